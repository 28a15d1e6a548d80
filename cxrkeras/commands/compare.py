"""`cxrkeras compare`: runs on the same images, with the uncertainty of their differences."""

from pathlib import Path

import click

from cxrkeras.commands.shared.helping import Verb
from cxrkeras.commands.shared.numbers import Finite
from cxrkeras.commands.shared.overwriting import overwrite as overwriting
from data_prep.outputs import check_folder

WIDTH = 28


@click.command(cls=Verb)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option("--test", is_flag=True, help="Compare on the held-out test sets.")
@click.option("--common", is_flag=True, help="Use only the images that all runs have.")
@click.option(
    "--all-pairs", is_flag=True, help="Compare each run with each, not only with the first."
)
@click.option(
    "--resamples",
    type=click.IntRange(100),
    default=2000,
    show_default=True,
    help="Resamples of patients, or of images if no patient is known.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Random seed of the resampling.",
)
@click.option(
    "--level",
    type=Finite(0, 1, min_open=True, max_open=True),
    default=0.95,
    show_default=True,
    help="Confidence level of the intervals.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="New folder for JSON, CSV and an HTML page."
)
@overwriting
def command(runs, test, common, all_pairs, resamples, seed, level, out, overwrite) -> None:
    """Compare runs on the same images: which is better, by how much, and with what certainty.

    A RUN is a folder that `cxrkeras cv` or `evaluate` wrote, or a predictions.csv. The others are
    compared with the first: a difference is the later run minus the first, printed with both names.
    Whole patients are resampled for the differences of macro AUROC and average precision (images if
    no patient is known, which is then stated); labels are compared by DeLong's test with Holm's
    correction. Spearman's correlation says how alike two runs rank the images.

    \b
    Examples:
      cxrkeras compare runs/first runs/from-scratch
      cxrkeras compare runs/* --all-pairs --out runs/compared
    """
    from cxrkeras.evaluation.compare.compare import compare_predictions
    from cxrkeras.evaluation.compare.report import is_comparison, write_comparison
    from cxrkeras.evaluation.compare.runs import read_runs
    from data_prep.progress import Steps

    if out is not None:
        check_folder(out, "compare", is_comparison, overwrite=overwrite)
    named = read_runs(runs, test=test)
    options = {"resamples": resamples, "seed": seed, "level": level}
    long = len(named) * len(next(iter(named.values())).images) > 20_000
    with Steps("Resampling", resamples, shown=long, transient=True) as steps:
        comparison = compare_predictions(
            named, all_pairs=all_pairs, common=common, done=steps.step, **options
        )
    for line in _lines(comparison):
        click.echo(line)
    if out is not None:
        click.echo(f"Page: {write_comparison(out, comparison)}")


def _lines(comparison: dict) -> list[str]:
    differences = comparison["differences"]
    drawn = f"Intervals: from {comparison['resamples']:,} resamples of {comparison['drawn']}."
    lines = [*comparison["notes"], *_run_lines(comparison), drawn, ""]
    if len(differences) == 1:
        lines += [*_label_lines(comparison, differences[0]), ""]
    lines += [*_correlation_lines(comparison), ""]
    return [*lines, *(difference["sentence"] for difference in differences)]


def _run_lines(comparison: dict) -> list[str]:
    from cxrkeras.evaluation.compare.verdict import percent

    level = f"{percent(comparison['level'])} interval"
    width = max(WIDTH, *(len(name) for name in comparison["runs"]))
    lines = [f"{'run':<{width}} {'macro AUROC':>12} {level:>16} {'macro AP':>9} {level:>16}"]
    for name, run in comparison["runs"].items():
        auroc, precision = run["auroc"], run["average_precision"]
        lines.append(
            f"{name:<{width}} {_number(auroc['value']):>12} {_span(auroc):>16} "
            f"{_number(precision['value']):>9} {_span(precision):>16}"
        )
    return lines


def _label_lines(comparison: dict, difference: dict) -> list[str]:
    from cxrkeras.evaluation.compare.verdict import direction

    width = max(WIDTH, *(len(name) for name in comparison["labels"]))
    head = f"{'label':<{width}} {'positive':>9} {'difference':>11}"
    lines = [f"AUROC, {direction(difference)}:"]
    lines.append(f"{head} {'interval':>18} {'p':>7} {'p, Holm':>8}")
    for name, part in difference["per_label"].items():
        lines.append(
            f"{name:<{width}} {comparison['positives'][name]:>9,} "
            f"{_number(part['difference'], '+'):>11} {_span(part, '+'):>18} "
            f"{_number(part['p']):>7} {_number(part['p_holm']):>8}"
        )
    return lines


def _correlation_lines(comparison: dict) -> list[str]:
    lines = ["Spearman's rank correlation of the scores, mean over the labels:"]
    for part in comparison["correlations"]:
        known = [value for value in part["per_label"].values() if value is not None]
        span = f" ({min(known):.3f} to {max(known):.3f} by label)" if known else ""
        lines.append(f"{' and '.join(part['runs'])}: {_number(part['mean'])}{span}")
    return lines


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.3f}"


def _span(part: dict, sign: str = "") -> str:
    return "-" if part["low"] is None else f"{part['low']:{sign}.3f} to {part['high']:{sign}.3f}"
