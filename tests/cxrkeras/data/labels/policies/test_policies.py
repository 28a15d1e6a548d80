"""What every policy promises, other packages' included, and what the papers say of ours."""

import subprocess
import sys

import pytest

from cxrkeras.data.labels.entries import MASKED, UNCERTAIN_CLASS
from cxrkeras.data.labels.policies import Policy
from cxrkeras.registry import POLICIES


@pytest.mark.parametrize("name", POLICIES.names())
def test_a_policy_gives_targets_that_losses_and_pipeline_know(name):
    policy = POLICIES.make(name)
    assert isinstance(policy, Policy)
    assert isinstance(policy.guessed, bool)
    low, high = policy.ends()
    assert 0 <= low <= high <= 1 or (low == high and low in (MASKED, UNCERTAIN_CLASS))
    assert not policy.guessed or low == MASKED  # what is guessed teaches nothing before
    assert POLICIES.make(str(policy)) == policy
    assert str(policy) == name
    about = POLICIES.about(name)
    assert about.line.endswith(".") or about.line.endswith(")")


@pytest.mark.parametrize(
    ("policy", "ends"),
    [
        ("ones", (1, 1)),  # Irvin et al. 2019
        ("zeros", (0, 0)),
        ("ignore", (MASKED, MASKED)),
        ("self_trained", (MASKED, MASKED)),
        ("multi_class", (UNCERTAIN_CLASS, UNCERTAIN_CLASS)),
        ("ones_lsr", (0.55, 0.85)),  # Pham et al. 2021
        ("zeros_lsr", (0, 0.3)),
        ("half", (0.5, 0.5)),
        ("zeros_lsr:low=0.1,high=0.1", (0.1, 0.1)),
    ],
)
def test_the_papers_targets(policy, ends):
    assert POLICIES.make(policy).ends() == ends
    assert POLICIES.make(policy).guessed == (policy == "self_trained")


def test_policies_are_known_and_checked_without_keras():
    code = (
        "import sys\n"
        "from cxrkeras.data.labels.targets import targets_from_codes\n"
        "from cxrkeras.registry import POLICIES\n"
        "for name in POLICIES.names(): targets_from_codes([[-1, 0]], uncertain=name)\n"
        "assert not {'keras', 'tensorflow', 'jax'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
