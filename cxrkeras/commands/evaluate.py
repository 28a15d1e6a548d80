"""`cxrkeras evaluate`: anyone's predictions scored against labels, with a report like a run's."""

import json
from pathlib import Path

import click

from data_prep.errors import UserError

LABEL_WIDTH = 28


@click.command()
@click.option(
    "--predictions",
    required=True,
    type=click.Path(path_type=Path),
    help="Table of probabilities (.csv, .csv.gz): a key column, and prob_LABEL or LABEL columns.",
)
@click.option(
    "--labels",
    required=True,
    type=click.Path(path_type=Path),
    help="Table with LABEL columns (1, 0, -1, blank) or of A|B findings; or a prepared dataset.",
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder for the report."
)
@click.option(
    "--key",
    help="Column to join on, or PREDICTIONS_COLUMN=LABELS_COLUMN. Default: the first shared one.",
)
@click.option(
    "--prevalence",
    type=click.Path(path_type=Path),
    help="CSV (label,prevalence[,inflation]) or JSON (also a run's fold.json) for the thresholds. "
    "Default: the prevalence of the given labels.",
)
@click.option(
    "--uncertain",
    type=click.Choice(["ignore", "zeros", "ones"]),
    default="ignore",
    show_default=True,
    help="What -1 counts as; ignore leaves the entry out.",
)
@click.option(
    "--blank",
    type=click.Choice(["zeros", "ignore"]),
    default="zeros",
    show_default=True,
    help="What a finding that is not mentioned counts as.",
)
@click.option(
    "--per",
    type=click.Choice(["image", "study"]),
    default="image",
    show_default=True,
    help="study: the highest probability of a study's views is its own (as CheXpert is scored). "
    "Studies come from a column of the labels, or from CheXpert's paths.",
)
def command(predictions, labels, out, key, prevalence, uncertain, blank, per) -> None:
    """Score anyone's predictions against labels: metrics.json, predictions.csv and a report.

    Rows are joined on a shared column; extra rows and columns of either table are left out, and
    named.

    \b
    Examples:
      cxrkeras evaluate --predictions preds.csv --labels Data_Entry_2017_v2020.csv.gz --out eval/nih
      cxrkeras evaluate --predictions preds.csv --labels data/ours --key file=source_id --out eval/x
      cxrkeras evaluate --predictions preds.csv --labels valid.csv --per study --out eval/chexpert
    """
    from cxrkeras.evaluation.evidence import write_evaluation
    from cxrkeras.evaluation.join import join
    from cxrkeras.evaluation.report import write_report

    _refuse_foreign(out)
    meaning = {"uncertain": uncertain, "blank": blank}
    joined = join(predictions, labels, key=key, **meaning, per_study=per == "study")
    training, origin = _training(joined.predictions, prevalence)
    about = {
        "predictions": predictions.name,
        "labels": labels.name,
        "thresholds": origin,
        "notes": list(joined.notes),
    }
    metrics = write_evaluation(out, joined.predictions, training, about)
    path = write_report(out)
    for line in _lines(metrics, joined.notes):
        click.echo(line)
    click.echo(f"Report: {path}")


def _refuse_foreign(out: Path) -> None:
    """Only a new or empty folder, or an earlier evaluation's, may be written to."""
    if not out.exists():
        return
    # a killed run may leave a hidden temporary file
    if out.is_dir() and all(path.name.startswith(".") for path in out.iterdir()):
        return
    try:
        kind = json.loads((out / "metrics.json").read_text("utf-8"))["kind"]
    except (OSError, ValueError, KeyError, TypeError):
        kind = None
    if kind != "evaluate":
        raise UserError(
            "--out is a new or empty folder, or one that `cxrkeras evaluate` wrote. "
            f"Received: {out}, which holds something else. Give another folder."
        )


def _training(predictions, path: Path | None) -> tuple[dict, str]:
    """Prevalence and inflation by label for the thresholds, and where they come from."""
    import numpy as np

    from cxrkeras.evaluation.prevalence import read_prevalence

    if path is not None:
        return read_prevalence(path, predictions.labels), f"the prevalence given in {path.name}"
    known = np.isfinite(predictions.truth).sum(axis=0)
    positive = (predictions.truth == 1).sum(axis=0)
    share = np.divide(positive, known, out=np.full(len(known), np.nan), where=known > 0)
    origin = "the prevalence of the labels being scored (a little flattering: give --prevalence)"
    return {"prevalence": share, "inflation": np.ones(len(share))}, origin


def _lines(metrics: dict, notes: tuple[str, ...]) -> list[str]:
    from cxrkeras.evaluation.narrative import sentence, warnings

    head = f"{'label':<{LABEL_WIDTH}} {'positive':>9} {'prevalence':>11} {'threshold':>10}"
    lines = [*notes, "", f"{head} {'AUROC':>8} {'AP':>8}"]
    for name, part in metrics["per_label"].items():
        score, cut = part["pooled"], part["thresholds"]["corrected"]["mean"]
        lines.append(
            f"{name:<{LABEL_WIDTH}} {score['positives']:>9,} {_number(score['prevalence']):>11} "
            f"{_number(cut):>10} {_number(score['auroc']):>8} "
            f"{_number(score['average_precision']):>8}"
        )
    origin = f"Thresholds: {metrics['about']['thresholds']}."
    return [*lines, "", origin, *warnings(metrics), sentence(metrics)]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
