"""Every command that README and docs print is parsed, and run unless a mark says why not."""

import contextlib
import io
import re

import click
import pytest

from tests.conftest import ROOT
from tests.docs.commands import PAGES, commands_in, commands_of, parsed
from tests.docs.stand_ins import TINY, Workspace

PRINTED = [command for page in PAGES for command in commands_in(page)]


@pytest.mark.parametrize("page", sorted({command.page for command in PRINTED}))
def test_a_page_prints_what_the_command_line_takes(page, monkeypatch):
    monkeypatch.setattr(click.Path, "convert", lambda self, value, *_: value)  # no file is there
    for command in commands_in(page):
        try:
            parsed(command.words)
        except click.UsageError as error:
            pytest.fail(f"{command}\n{error.format_message()}")


def test_a_wrong_command_is_one():
    (command,) = commands_of("```\ncxrkeras cv --data data/ours \\\n  --nope  # no\n```")
    assert command.words == ("cv", "--data", "data/ours", "--nope")
    with pytest.raises(click.UsageError, match="nope"):
        parsed(command.words)


def test_a_mark_is_of_the_block_below_it():
    text = (
        "<!-- not run: no GPU -->\n```\nA=1 cxrkeras cv\n```\n\n```\ncxrkeras cv\n```\n\n"
        "<!-- not run: no GPU -->\nText.\n```\ncxrkeras cv\n```\n```text\ncxrkeras cv\n```\n"
    )
    marked, *others = commands_of(text)
    assert (marked.unrun, marked.environment) == ("no GPU", {"A": "1"})
    assert [command.unrun for command in others] == ["", ""]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """What the stand-ins keep for all pages."""
    from tests.cxrkeras.backbones import known

    with pytest.MonkeyPatch.context() as patch:
        known.add(TINY, patch)
        yield tmp_path_factory.mktemp("shelf")


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted({c.page for c in PRINTED if not c.unrun}))
def test_a_page_runs_as_printed(page, shelf, tmp_path, monkeypatch):
    """In order, each with what the ones before it left, on tiny data and with a tiny network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CXRKERAS_CACHE", str(shelf / "cache"))
    space = Workspace(shelf)
    for command in commands_in(page):
        if command.unrun:
            continue
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = space.run(command)
        assert code == 0, f"{command}\n{said.getvalue()[-3000:]}"


@pytest.mark.slow
def test_the_python_of_the_readme_runs(shelf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = Workspace(shelf)
    space.cheap(("predict", "runs/first", "films"))
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    found: dict = {}
    exec(block, found)
    assert found["table"].columns[0] == "file"
