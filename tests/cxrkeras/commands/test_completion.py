"""Completion by the shell: parts by their names, quickly, without TensorFlow."""

import os
import subprocess
import sys

import pytest

from cxrkeras.registry import BACKBONES, HEADS, RECIPES
from cxrkeras.runs.presets import everyday_names, preset_names

PROBE = """
import sys
from click.shell_completion import BashComplete
from cxrkeras.cli import cli
shell = BashComplete(cli, {}, "cxrkeras", "_CXRKERAS_COMPLETE")
for line in sys.argv[1:]:
    *words, begun = line.split(" ")
    print(*(item.value for item in shell.get_completions(words, begun)))
print(*sorted({"tensorflow", "keras", "jax", "numpy", "pandas"} & set(sys.modules)))
"""


def completed(*lines: str) -> list[list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *lines], capture_output=True, text=True, check=True
    )
    return [line.split() for line in done.stdout.split("\n")[:-1]]


def test_verbs_options_and_parts_are_completed_without_anything_heavy():
    *found, heavy = completed(
        "comp",
        "cv --see",
        "cv --backbone den",
        "cv --head ",
        "cv --recipe fro",
        "cv --recipe che",
        "cv --preset ",
        "prep ch",
    )
    verbs, options, backbones, heads, recipes, systems, presets, readers = found
    assert not {"tensorflow", "keras", "jax", "pandas"} & set(heavy)
    assert verbs == ["compare"]
    assert options == ["--seed", "--seeds"]
    assert backbones == [name for name in BACKBONES.names() if name.startswith("den")]
    assert "densenet121" in backbones
    assert heads == HEADS.names()
    assert recipes == ["frozen"]
    assert {*recipes, *systems} <= {*RECIPES.names(), *preset_names()}
    assert "chexnet" in systems
    assert presets == everyday_names()
    assert "chexpert" in readers


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_line_of_the_docs_gives_each_shell_its_function(shell):
    done = subprocess.run(
        [sys.executable, "-c", "from cxrkeras.cli import main; main()"],
        env={
            **os.environ,
            "_CXRKERAS_COMPLETE": f"{shell}_source",
            "CXRKERAS_VERBOSITY": "quiet",  # a whole shell may be
        },
        capture_output=True,
        text=True,
    )
    assert f"_CXRKERAS_COMPLETE={shell}_complete" in done.stdout
    assert done.returncode == 0
