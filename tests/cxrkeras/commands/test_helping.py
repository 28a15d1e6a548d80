"""What `--help` shows of every verb, and what `--help-all` does."""

import click
import pytest
from click.testing import CliRunner

from cxrkeras.cli import cli
from cxrkeras.commands.shared.helping import Verb, section

SCREEN = 50  # lines of 80 characters
MANY = 15  # options of which a verb names the main ones


def every_verb(group: click.Group, *above: str) -> dict[str, click.Command]:
    context, found = click.Context(group), {}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            found |= every_verb(command, *above, name)
        else:
            found[" ".join((*above, name))] = command
    return found


VERBS = every_verb(cli)
each = pytest.mark.parametrize("name", VERBS)


def said(*words: str) -> str:
    done = CliRunner().invoke(cli, list(words), prog_name="cxrkeras", terminal_width=80)
    assert done.exit_code == 0, done.output
    return done.output


@each
def test_help_fits_a_screen_and_begins_with_what_it_is_for_and_examples(name):
    shown = said(*name.split(), "--help")
    assert len(shown.splitlines()) <= SCREEN
    assert shown.index("Usage:") < shown.index("Example") < shown.index("ptions:\n")
    assert f"  cxrkeras {name}" in shown.partition("Example")[2]


@each
def test_a_verb_with_many_options_names_the_main_ones_and_help_all_has_them_all(name):
    command = VERBS[name]
    assert isinstance(command, Verb)
    options = {one.opts[0]: one for one in command.options()}
    short = said(*name.split(), "--help")
    listed = {word for word in short.partition("ptions:\n")[2].split() if word in options}
    if "--help-all" not in short:
        assert len(options) <= MANY
        assert listed == options.keys()
        return
    assert 3 < len(listed) <= MANY
    required = {flag for flag, one in options.items() if one.required}
    assert required <= listed
    whole = said(*name.split(), "--help-all")
    assert f"All {len(options)} options" in short
    for flag, option in options.items():
        assert f"  {flag}" in whole
        assert f"{getattr(option, 'section', 'Options')}:\n" in whole


ABOUT = """Does it.

DESCRIPTION

\b
Examples:
  it --main 1 \\
     --odd 2
  two
  three
  four
  five
  the sixth
"""


def a_command(description: str) -> Verb:
    @click.command(cls=Verb, shown=("main",), help=ABOUT.replace("DESCRIPTION", description))
    @click.option("--main", type=click.Choice(["a" * 30, "b" * 30]), help="What: so; and so on.")
    @click.option("--odd", help="Hardly ever. [default: 3]", metavar="N")
    @section("Rarer still", click.option("--rare", is_flag=True))
    def command(**_):
        """See ABOUT."""

    return command


@pytest.mark.parametrize("words", [3, 800], ids=["short", "long"])
def test_an_option_that_is_not_named_waits_for_help_all(words):
    described = " ".join(["said"] * words)
    short = CliRunner().invoke(a_command(described), ["--help"]).output
    assert "--main NAME  What: so\n" in short
    assert "it --main 1 \\\n       --odd 2\n    two" in short
    also = " and the whole description" * (words > 3)
    assert short.rstrip().endswith(f"All 3 options{also}: command --help-all")
    assert ("said" in short) == (words == 3)
    for word in ("--odd N", "--rare", "the sixth", "and so on"):
        assert word not in short
    whole = CliRunner().invoke(a_command(described), ["--help-all"]).output
    assert whole.index("the sixth") < whole.index("said") < whole.index("--odd N")
    assert whole.index("Rarer still:\n") < whole.index("--rare")
    assert "and so on." in whole


def test_a_main_option_that_is_none_fails_at_once():
    with pytest.raises(ValueError, match="no option outt"):
        click.command(cls=Verb, shown=("outt",))(lambda: None)
