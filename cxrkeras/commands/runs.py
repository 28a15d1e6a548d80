"""`cxrkeras runs`: what runs a folder holds; one of them; and how several differ."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from cxrkeras.commands.shared.helping import Verb
from cxrkeras.commands.shared.printing.tables import table_lines, width_of_output
from cxrkeras.runs.listing import as_text, list_runs
from data_prep.errors import UserError

_FOLDER = "runs"
_SPARE = ("commit", "device", "duration", "recipe", "data", "date", "method", "backbone")
_SORTS = ("date", "auroc", "duration", "run", "backbone", "method", "data")
_DAY = 10  # characters of a date without its hour
_COMMIT = 9

as_json = click.option("--json", "to_json", is_flag=True, help="Print JSON instead of text.")


class _Runs(click.Group):
    """Lists a folder where the first word is no verb of its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As `click.Group` does, with the hidden verb put in."""
        own = args and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if own else ["list", *args])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the list's options as this command's."""
        listed = self.commands["list"].get_params(ctx)
        records = [record for one in listed if (record := one.get_help_record(ctx))]
        with formatter.section("Options"):
            formatter.write_dl(records)
        self.format_commands(ctx, formatter)


@click.group(cls=_Runs, subcommand_metavar="[FOLDER] [--sort BY] | COMMAND RUN...")
def command() -> None:
    """List the runs below FOLDER (`runs` if not given), with what they scored and how far they are.

    AUROC is the macro AUROC out of fold, with its 95% interval. A run that isn't finished shows
    its folds, its last epoch, and how long ago that was. A folder called as a command of this verb
    is given as ./show.

    \b
    Examples:
      cxrkeras runs
      cxrkeras runs --sort auroc
      cxrkeras runs runs/study --sort duration --json
      cxrkeras runs show runs/first
      cxrkeras runs compare runs/first runs/second
    """


@command.command("list", cls=Verb, hidden=True)
@click.argument("folder", type=click.Path(path_type=Path), default=_FOLDER)
@click.option(
    "--sort",
    "by",
    type=click.Choice(_SORTS),
    default=_SORTS[0],
    show_default=True,
    help="Newest, best and longest come first.",
)
@as_json
def list_command(folder: Path, by: str, to_json: bool) -> None:
    """List the runs below FOLDER.

    \b
    Example:
      cxrkeras runs list runs/study
    """
    found = _sorted(list_runs(folder), by)
    if to_json:
        click.echo(json.dumps(found, indent=1, ensure_ascii=False))
    elif not found:
        click.echo(f"{folder} holds no run. Begin one: cxrkeras cv --out {folder / 'first'}")
    else:
        for line in table_lines(_columns(found), width_of_output(), _SPARE):
            click.echo(line)


@command.command("show", cls=Verb)
@click.argument("run", type=click.Path(path_type=Path))
@as_json
def show_command(run: Path, to_json: bool) -> None:
    """Show one run: its settings that aren't defaults, its starts, its scores, its log's end.

    \b
    Example:
      cxrkeras runs show runs/first
    """
    from cxrkeras.runs.differing import shown

    found = shown(run)
    if to_json:
        click.echo(json.dumps(found, indent=1, ensure_ascii=False))
        return
    for name, value in found["run"].items():
        if value is not None and not name.startswith(("auroc_", "folds")):
            click.echo(f"{name}: {_cell(name, found['run'])}")
    click.echo("\nSettings that aren't defaults:")
    for name, value in found["settings"].items():
        click.echo(f"  {name.replace('_', '-')}: {as_text(value)}")
    if found["starts"]:
        click.echo("\nStarts:")
    for start in found["starts"]:
        click.echo(f"  {start.get('at')}  {start.get('command')}")
    if found["labels"]:
        click.echo("\nAUROC out of fold, label by label:")
        columns = {
            "  label": [f"  {label}" for label in found["labels"]],
            "AUROC": [_within(one) for one in found["labels"].values()],
            "positives": [str(one["positives"]) for one in found["labels"].values()],
        }
        for line in table_lines(columns, width_of_output()):
            click.echo(line)
    for number, line in enumerate(found["log"]):
        click.echo(f"\nEnd of train.log:\n  {line}" if number == 0 else f"  {line}")


@command.command("compare", cls=Verb)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@as_json
def compare_command(runs: tuple[Path, ...], to_json: bool) -> None:
    """Show the settings in which runs differ, beside what they scored.

    Whether scores differ by more than chance, `cxrkeras compare` tells, on the same images.

    \b
    Example:
      cxrkeras runs compare runs/first runs/second
    """
    if len(runs) < 2:
        raise UserError(f"runs compare needs two runs or more. Received: {runs[0]}.")
    from cxrkeras.runs.differing import compared

    found = compared(runs)
    if to_json:
        click.echo(json.dumps(found, indent=1, ensure_ascii=False))
        return
    names = [one["run"] for one in found["runs"]]
    rows = {name.replace("_", "-"): list(map(as_text, v)) for name, v in found["differ"].items()}
    for name in ("progress", "duration", "device", "commit", "auroc"):
        rows[name] = [_cell(name, one) for one in found["runs"]]
    columns = {"": list(rows)} | {
        f"{name}{' ' * n}": [values[n] for values in rows.values()] for n, name in enumerate(names)
    }
    for line in table_lines(columns, width_of_output()):
        click.echo(line)
    if not found["differ"]:
        click.echo("No setting differs.")
    same = "The folds are the same." if found["same_folds"] else "The folds are not the same."
    click.echo(f"{same} {_next(runs, [one['finished'] for one in found['runs']])}")


def _next(runs: Sequence[Path], finished: Sequence[bool]) -> str:
    """The command that compares the scores of the runs that have any."""
    scored = [shlex.quote(str(run)) for run, ended in zip(runs, finished, strict=True) if ended]
    if len(scored) < 2:
        return "Scores can be compared once two of them are finished."
    return f"Do the scores differ by more than chance? cxrkeras compare {' '.join(scored)}"


def _sorted(found: list[dict[str, Any]], by: str) -> list[dict[str, Any]]:
    known = [facts for facts in found if facts[by] is not None]
    largest = by in ("date", "auroc", "duration")
    rest = [facts for facts in found if facts[by] is None]
    return sorted(known, key=lambda facts: facts[by], reverse=largest) + rest


def _columns(found: list[dict[str, Any]]) -> dict[str, list[str]]:
    names = ("run", "auroc", "progress", "date", "method", "backbone", "recipe", "data")
    names = (*names, "duration", "device", "commit")
    return {name: [_cell(name, facts) for facts in found] for name in names}


def _cell(name: str, facts: dict[str, Any]) -> str:
    from data_prep.progress import duration

    value = facts[name]
    if value is None:
        return "-"
    if name == "auroc":
        return _within(facts)
    if name == "duration":
        return duration(value)
    if name == "date":
        return value[: _DAY + 6].replace("T", " ")
    if name == "data":
        return Path(value).name
    if name == "commit":
        return value[:_COMMIT] + "+" * (value.endswith("+") and len(value) > _COMMIT)
    return as_text(value)


def _within(facts: dict[str, Any]) -> str:
    if facts["auroc"] is None:
        return "-"
    low, high = facts.get("auroc_low"), facts.get("auroc_high")
    interval = f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else ""
    return f"{facts['auroc']:.3f}{interval}"
