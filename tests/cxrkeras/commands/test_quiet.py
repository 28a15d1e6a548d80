"""`-q` and `-v`, before or after any verb."""

from pathlib import Path

import click
import pytest

from cxrkeras import cli
from cxrkeras.commands.shared.printing.results import result
from data_prep.errors import UserError
from data_prep.say import detail, say
from data_prep.verbosity import USUAL, verbosity


@click.command()
@click.argument("words", nargs=-1)
@click.option("--fail", is_flag=True)
@click.option("--none", is_flag=True)
def talkative(words, fail, none):
    """A verb that says a lot."""
    say("a line")
    say("Warning: of the work")
    detail("a detail")
    click.echo(f"words: {' '.join(words)}")
    click.echo("  Warning: of the result")
    click.echo("Before you believe a number: doubt it")
    if fail:
        raise UserError("The rule.")
    if not none:
        click.echo(f"Report: {result(Path('out/report.html'))}")


@pytest.fixture
def call(monkeypatch, capsys):
    """`call(*words)`: exit code, standard output and standard error of that verb."""
    monkeypatch.setattr(cli._Verbs, "get_command", lambda self, ctx, name: talkative)

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            cli.main(list(words))
        assert verbosity() == USUAL  # of the next call
        return end.value.code, *capsys.readouterr()

    return run


DOUBTS = "Warning: of the result\nBefore you believe a number: doubt it\n"


@pytest.mark.parametrize("words", [("-q", "cv"), ("cv", "-q", "a"), ("cv", "a", "--quiet")])
def test_quiet_prints_the_result_and_warnings(call, words):
    assert call(*words) == (0, "out/report.html\n", f"Warning: of the work\n{DOUBTS}")


def test_usually_a_line_is_said_and_a_detail_is_not(call):
    code, out, err = call("cv", "a", "b")
    assert (code, err) == (0, "a line\nWarning: of the work\n")
    assert out.splitlines()[0] == "words: a b"
    assert out.splitlines()[-1] == "Report: out/report.html"


@pytest.mark.parametrize("words", [("-v", "cv"), ("cv", "--verbose")])
def test_details_are_said_with_what_the_command_took(call, words):
    code, out, err = call(*words)
    lines = err.splitlines()
    assert (code, lines[:3]) == (0, ["a line", "Warning: of the work", "a detail"])
    assert lines[3].startswith("took 0 s")
    assert out == call("cv")[1]


def test_what_is_called_like_an_option_is_given_behind_dashes(call):
    assert call("cv", "--", "-q", "-v")[1].splitlines()[0] == "words: -q -v"


def test_a_verb_without_a_file_as_its_result_prints_all_of_it(call):
    assert call("cv", "-q", "--none")[1].startswith("words:")


def test_a_verb_that_fails_quietly_says_why(call):
    code, out, err = call("cv", "-q", "--fail")
    assert (code, out, err) == (1, "", "Warning: of the work\nError: The rule.\n")


def test_the_page_of_an_external_validation_is_its_result(monkeypatch, capsys):
    monkeypatch.setattr("cxrkeras.serving.external.validate_elsewhere", lambda *_, **__: {})
    monkeypatch.setattr("cxrkeras.evaluation.external.report.as_lines", lambda found: ["a line"])
    with pytest.raises(SystemExit):
        cli.main(["evaluate", "-q", "--run", "r", "--data", "d", "--out", "o"])
    assert capsys.readouterr().out == f"{Path('o/external.html')}\n"
