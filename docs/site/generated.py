"""The pages that are made of the code: verbs, the Python face, parts, published systems."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
from mkdocs_click._docs import make_command_docs

import cxrkeras
from cxrkeras.cli import VERBS, cli
from cxrkeras.registry import KINDS
from cxrkeras.runs.presets import preset_line, preset_names, preset_text

PAGES: set[str] = set()


def pages(root: Path) -> dict[str, str]:
    """{page: its Markdown}."""
    made = {"reference/cli/index.md": _verbs(), "reference/python.md": _face()}
    made |= {f"reference/cli/{verb}.md": _verb(verb) for verb in VERBS}
    made["reference/parts.md"] = _parts()
    made["reference/recipes.md"] = _recipes(root / "experiments" / "recipes.md")
    made |= _notebooks(root)
    PAGES.update(made)
    return made


def verb_of(page: str) -> str | None:
    """The verb whose how-to a page is."""
    verb = page.removeprefix("howto/").removesuffix(".md")
    return verb if page.startswith("howto/") and verb in VERBS else None


def _verbs() -> str:
    rows = "\n".join(f"| [`{verb}`]({verb}.md) | {line} |" for verb, line in VERBS.items())
    return (
        "# The command line\n\nEach verb explains itself with `--help`, which these pages repeat. "
        f"`cxrkeras --debug` shows the traceback of an error.\n\n| verb | what |\n| --- | --- |\n"
        f"{rows}\n"
    )


def _verb(verb: str) -> str:
    command = cli.get_command(click.Context(cli), verb)
    lines = [f"---\ntitle: {verb}\n---\n"]
    lines += make_command_docs(f"cxrkeras {verb}", command, has_attr_list=True)
    return "\n".join(_with_examples(lines))


def _with_examples(lines: list[str]) -> Iterator[str]:
    """The lines, with the examples of a help text as blocks of code."""
    within = fenced = False
    for line in lines:
        fenced ^= line.startswith("```")
        if within and not line.strip():
            yield "```"
            within = False
        yield line.removeprefix("  ") if within else line
        if not fenced and line in ("Example:", "Examples:"):
            yield "\n```text"
            within = True


def _face() -> str:
    text = (
        "# The Python face\n\nMade of the docstrings. [From Python](../python.md) shows all of it "
        "in use.\n"
    )
    for name, place in cxrkeras._PLACES.items():
        where = f"cxrkeras.face.{place}.{name}" if place else f"cxrkeras.face.{name}"
        if name == "UserError":
            where = "data_prep.errors.UserError"
        text += f"\n::: {where}\n"
        if name == "load":
            text += "\n::: cxrkeras.face.model.Model\n"
    return text


def _parts() -> str:
    text = (
        "# Parts\n\nWhat there is to choose from, as `cxrkeras parts` lists it; `cxrkeras parts "
        "KIND NAME` adds the options of one. [Add a part](../architecture.md#add-a-part) says how "
        "to write your own.\n"
    )
    for kind in KINDS:
        given = "`cxrkeras prep NAME`" if kind.argument == "prep" else f"`{kind.argument}`"
        text += f"\n## {kind.kind.capitalize()}\n\n{given}\n\n| name | what |\n| --- | --- |\n"
        for name in kind.names():
            about = kind.about(name)
            source = f" *Source: {_cell(about.source)}*" if about.source else ""
            text += f"| `{name}` | {_cell(about.line)}{source} |\n"
    return text


def _recipes(measured: Path) -> str:
    scores = dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", measured.read_text("utf-8"), re.M))
    text = (
        "# Published systems\n\n`cxrkeras cv --recipe NAME` runs one on your data; `cxrkeras parts "
        "recipes NAME` prints the whole file. Published scores are of other images and other "
        "splits, so none is a target, and none may be compared with another. The last column only "
        "shows that a system runs from films to an export: one epoch on some sixty small films, "
        "macro AUROC out of fold (`python -m experiments.miniatures`).\n\n"
        "| name | what | published | source | in miniature |\n| --- | --- | --- | --- | --- |\n"
    )
    for name in preset_names():
        said = {key: _cell(_said(name, key)) for key in ("Published", "Source")}
        text += (
            f"| `{name}` | {_cell(preset_line(name))} | {said['Published']} | {said['Source']} | "
            f"{scores.get(name, 'not run')} |\n"
        )
    text += "\n## What is ours where the source is silent\n\n"
    return text + "\n".join(f"- `{name}`: {_said(name, 'Ours')}" for name in preset_names()) + "\n"


def _said(name: str, key: str) -> str:
    """A part of a preset's header, as one line."""
    found = re.search(rf"^# {key}: (.*?)\n(#\n|[^#])", preset_text(name), re.DOTALL | re.MULTILINE)
    lines = found[1].split("\n") if found else []
    return " ".join(line.removeprefix("#").strip() for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _notebooks(root: Path) -> dict[str, str]:
    """{page: its Markdown} of the notebooks, without what they print."""
    made = {}
    for path in sorted((root / "docs" / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        parts = [_shown(cell["cell_type"], "".join(cell["source"])) for cell in cells]
        parts.insert(1, f"[Download the notebook]({path.name})")
        made[f"notebooks/{path.stem}.md"] = "\n\n".join(parts) + "\n"
    return made


def _shown(kind: str, source: str) -> str:
    return f"```python\n{source}\n```" if kind == "code" else source
