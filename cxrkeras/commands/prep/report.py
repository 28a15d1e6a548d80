"""What a verb of `cxrkeras prep` prints of a prepared dataset."""

import click

from cxrkeras.commands.shared.printing.results import result


def report(summary) -> None:
    """Print a prepared dataset's counts and where it lies, and what is still to be told of it."""
    from data_prep.dataset.publish import WARNING

    counts = summary.description["counts"]
    held = f"{counts['images']} images of {counts['patients']} patients"
    click.echo(f"\n{result(summary.out)}: {_state(summary)}: {held}")
    _tally("rejected", summary.rejected, "rejected.csv")
    _tally("duplicates", summary.duplicates, "duplicates.csv")
    for note in summary.notes:
        click.secho(f"  {note}", fg="yellow" if note.startswith(WARNING) else None)
    width = max(map(len, counts["per_label"]), default=0)
    click.echo(f"  {'label':<{width}}  positive  negative  uncertain  not mentioned")
    for label, n in counts["per_label"].items():
        click.echo(f"  {label:<{width}}  {n['1']:8}  {n['0']:8}  {n['-1']:9}  {n['']:13}")


def _state(summary) -> str:
    if not summary.already:
        return "prepared"
    known = "already prepared" + ", every image verified" * summary.verified
    if summary.mended:
        return f"{known}, {summary.mended} made again (damaged or missing)"
    return known if summary.verified else f"{known}, nothing done"


def _tally(what: str, counts, file: str) -> None:
    if not counts:
        return
    click.echo(f"  {what}: {sum(counts.values())} (in {file})")
    for reason, count in counts.most_common():
        click.echo(f"    {count:6}  {reason}")
