"""`--uncertain`: what the code -1 means in training, said once or label by label."""

import csv
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from data_prep.errors import UserError
from data_prep.tables.vocabulary import canonical

MASKED = -1.0
"""A target entry that no loss and no metric counts. Any negative target is read so."""

UNCERTAIN_CLASS = 2.0
"""The target of an entry that belongs to a label's third class, "uncertain"."""


class Policy(NamedTuple):
    """What becomes of the uncertain entries of a label.

    Args:
        low: their target, in [0, 1], or MASKED, or UNCERTAIN_CLASS.
        high: the end of the range in which the target is drawn anew for each epoch; None: no range.
        guessed: masked at first, then replaced by the trained model's probabilities.
    """

    low: float
    high: float | None = None
    guessed: bool = False


UNCERTAIN: dict[str, Policy] = {
    "ones": Policy(1.0),
    "zeros": Policy(0.0),
    "ignore": Policy(MASKED),
    "self-trained": Policy(MASKED, guessed=True),
    "multi-class": Policy(UNCERTAIN_CLASS),
    "ones-lsr": Policy(0.55, 0.85),
    "zeros-lsr": Policy(0.0, 0.3),
    "half": Policy(0.5),
}
"""CheXpert's U-Ones, U-Zeros, U-Ignore, U-SelfTrained and U-MultiClass (Irvin et al. 2019), their
label smoothing into ranges (Pham et al. 2021), and a fixed one half."""

BLANK: dict[str, float] = {"zeros": 0.0, "ignore": MASKED}

DEFAULT = "ones"
_KNOWN = f"choose one of {', '.join(UNCERTAIN)}"


def parse_uncertain(text: str) -> tuple[str, dict[str, str]]:
    """Read `ones`, `Atelectasis=ones,Edema=zeros` or `ignore,Edema=zeros`.

    Args:
        text: one policy, or LABEL=POLICY, or both, joined by commas. A label that holds a comma
            stands in double quotes with its policy, as in CSV.

    Returns:
        The policy of labels that aren't named, and {canonical label: policy} of those that are.

    Raises:
        UserError: a policy that does not exist, or one thing said twice.
    """
    words = next(csv.reader([text], skipinitialspace=True), [])
    if not any(word.strip() for word in words):
        raise UserError(f"--uncertain needs a policy: {_KNOWN}. Received: {text!r}.")
    rest, named = [], {}
    for word in words:
        label, equals, policy = word.rpartition("=")
        label, policy = canonical(label), policy.strip()
        if policy not in UNCERTAIN:
            raise UserError(f"--uncertain: there is no policy {policy!r}; {_KNOWN}.")
        if label in named or (rest and not equals):
            raise UserError(
                f"--uncertain says {f'what {label} means' if equals else 'what the rest means'} "
                f"once. Received: {text}."
            )
        if equals:
            named[label] = policy
        else:
            rest.append(policy)
    return (rest or [DEFAULT])[0], named


def policies_for(text: str, labels: Sequence[str]) -> tuple[str, ...]:
    """The policy of each label, in order; see `parse_uncertain`."""
    rest, named = parse_uncertain(text)
    return tuple(named.get(canonical(label), rest) for label in labels)


def check_labels(text: str, labels: Iterable[str]) -> None:
    """Check that each label that `--uncertain` names is one of `labels`, whatever its spelling.

    Raises:
        UserError: naming the first that isn't.
    """
    labels = list(dict.fromkeys(labels))
    unknown = parse_uncertain(text)[1].keys() - set(map(canonical, labels))
    if unknown:
        raise UserError(
            f"--uncertain names {', '.join(sorted(unknown))}, a label of none of the run's "
            f"datasets. They have: {', '.join(labels)}."
        )
