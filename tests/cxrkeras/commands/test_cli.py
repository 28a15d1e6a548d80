"""The command line: help without TensorFlow, exit codes, and what an error may show."""

import subprocess
import sys

import click
import pytest

from cxrkeras import __version__, cli
from cxrkeras.cli import VERBS, main
from data_prep.errors import UserError

HELPS = [[], *([verb] for verb in VERBS), ["prep", "table"], ["prep", "eda"], ["prep", "phantom"]]
PROBE = """
import contextlib, io, sys
from cxrkeras.cli import main
for words in {helps!r}:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        try:
            main([*words, "--help"])
        except SystemExit as end:
            assert end.code == 0, words
    assert "Example" in said.getvalue(), words
    heavy = {{"tensorflow", "keras", "jax"}} & set(sys.modules)
    print(" ".join(words) or "cxrkeras", "|", " ".join(sorted(heavy)))
"""


def code_of(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    return end.value.code


def test_no_help_imports_tensorflow_and_each_has_examples():
    probe = PROBE.format(helps=HELPS)
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert len(lines) == len(HELPS)
    assert [line for line in lines if line.split("|")[1].strip()] == []


def test_the_list_of_verbs_needs_click_and_nothing_else():
    """What makes `cxrkeras --help` slow is another package."""
    code = (
        "import sys; before = set(sys.modules); from cxrkeras.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n"
        "    new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "    print(*sorted(new - set(sys.stdlib_module_names)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1].split() == ["click", "cxrkeras", "data_prep"]


def test_a_command_ends_without_looking_for_garbage():
    """Of what TensorFlow and Keras make, that takes longer than a second."""
    code = (
        "import atexit, gc, sys; atexit.register(lambda: print(gc.get_freeze_count()))\n"
        "from cxrkeras.cli import main; sys.argv[1:] = ['--version']; main()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stdout.splitlines()[-1]) > 10_000


def test_help_lists_every_verb_with_what_it_is_for(capsys):
    assert code_of("--help") == 0
    said = " ".join(capsys.readouterr().out.split())
    for verb, purpose in VERBS.items():
        assert f"{verb} {purpose}" in said


def test_version(capsys):
    assert code_of("--version") == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("cv", "--nonsense"),
        ("cv", "--epochs", "many"),
        ("cv", "--method", "guess"),
        ("cv", "--backbone", "densenet12"),
        ("pretrain", "--backbone", "densenet12", "--out", "x"),
        ("summary", "--backbone", "densenet12"),
        ("report",),
        ("prep", "nonsense"),
        ("evaluate",),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2_and_says_what(words, capsys):
    assert code_of(*words) == 2
    said = capsys.readouterr()
    assert "Usage: cxrkeras" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("word", "hint"),
    [("predcit", "Did you mean 'predict'?"), ("qqq", "`cxrkeras --help` lists the commands.")],
)
def test_a_mistyped_verb_brings_the_nearest(word, hint, capsys):
    assert code_of(word, "x") == 2
    assert f"No such command {word!r}. {hint}" in capsys.readouterr().err


@pytest.fixture
def verb(monkeypatch):
    """`verb(error)`: lets `cxrkeras report x` raise it."""

    def fails_with(error: BaseException) -> None:
        def report(self, ctx, name):
            @click.command()
            @click.argument("runs", nargs=-1)
            def command(runs):
                raise error

            return command

        monkeypatch.setattr(cli._Verbs, "get_command", report)

    return fails_with


def test_a_mistake_of_the_user_ends_with_1_and_one_line(verb, capsys):
    verb(UserError("Sizes are positive. Received: -1. Give another."))
    assert code_of("report", "x") == 1
    assert capsys.readouterr().err == "Error: Sizes are positive. Received: -1. Give another.\n"


def test_an_unforeseen_error_shows_its_place_but_never_its_message(verb, capsys):
    verb(ValueError("Jane Doe, born 1950-01-01"))
    assert code_of("report", "x") == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "ValueError at test_cli.py:" in said
    assert "--debug" in said
    assert "Jane" not in said


@pytest.mark.parametrize("words", [("--debug", "report", "x"), ("report", "x", "--debug")])
def test_debug_shows_the_trace_wherever_it_stands(verb, capsys, words):
    verb(ValueError("the message"))
    assert code_of(*words) == 1
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "the message" in said


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.exceptions.Abort()])
def test_ctrl_c_ends_with_130_and_says_how_to_go_on(verb, capsys, monkeypatch, error):
    verb(error)
    assert code_of("report", "x") == 130
    assert capsys.readouterr().err.strip() == "Stopped."
    monkeypatch.setattr("cxrkeras.cli._RESUMED", ("report",))
    assert code_of("report", "x") == 130
    assert capsys.readouterr().err.strip() == "Stopped. The same command resumes from here."
