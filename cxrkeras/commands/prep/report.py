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
    for line in _one_sided(counts["per_label"]):
        click.secho(f"  {WARNING}{line}", fg="yellow")


def _one_sided(per_label: dict[str, dict[str, int]]) -> list[str]:
    """What is to be told of labels without a positive or a negative."""
    none = {"positives": [], "negatives": []}
    blank = []
    for label, n in per_label.items():
        if not n["1"]:
            none["positives"].append(label)
        elif not n["0"]:
            (blank if n[""] else none["negatives"]).append(label)
    lines = [f"no {what}, so nothing to score: {', '.join(of)}" for what, of in none.items() if of]
    if blank:
        lines.append(
            f"no negatives: {', '.join(blank)}. `cxrkeras cv` counts what isn't mentioned as "
            "absent (--blank zeros). If it isn't absent, mend the table"
        )
    return lines


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
