"""`cxrkeras evaluate`: anyone's predictions scored against labels, with a report like a run's."""

import json
from pathlib import Path

import click

from cxrkeras.commands.shared.overwriting import overwrite as overwriting
from data_prep.outputs import check_folder, remove

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
    "--out", required=True, type=click.Path(path_type=Path), help="New folder for the report."
)
@overwriting
@click.option(
    "--key",
    help="Column to join on, or PREDICTIONS_COLUMN=LABELS_COLUMN. Default: the first shared one; "
    "for a table of `cxrkeras predict` the one that names its files.",
)
@click.option(
    "--patient-column",
    metavar="COLUMN",
    help="Column of patients, of the labels or else the predictions. Default: found by its name.",
)
@click.option(
    "--key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Secret key of the patients' pseudonyms, as for `cxrkeras prep`.",
)
@click.option(
    "--scores",
    "ranks_only",
    is_flag=True,
    help="The predictions are any real scores, no probabilities: judge only their order (AUROC, "
    "average precision).",
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
def command(
    predictions,
    labels,
    out,
    overwrite,
    key,
    patient_column,
    key_file,
    ranks_only,
    prevalence,
    uncertain,
    blank,
    per,
) -> None:
    """Score anyone's predictions against labels: metrics.json, predictions.csv and a report.

    Rows are joined on a shared column; extra rows and columns of either table are left out, and
    named. Intervals come from resamples of whole patients where a column tells who they are.
    Columns of 0/1 decisions get sensitivity and specificity.

    \b
    Examples:
      cxrkeras evaluate --predictions preds.csv --labels Data_Entry_2017_v2020.csv.gz --out eval/nih
      cxrkeras evaluate --predictions answers.csv --labels data/ours --out eval/x
      cxrkeras evaluate --predictions logits.csv --labels l.csv --scores --out eval/y
      cxrkeras evaluate --predictions preds.csv --labels valid.csv --per study --out eval/chexpert
    """
    from cxrkeras.evaluation.evidence.evidence import write_evaluation
    from cxrkeras.evaluation.report.run import write_report
    from cxrkeras.evaluation.tables.join import join

    if ranks_only and prevalence:
        raise click.UsageError("--scores have no thresholds: leave out --prevalence.")
    check_folder(out, "evaluate", _is_evaluation, overwrite=overwrite)
    joined = join(
        predictions,
        labels,
        key=key,
        patient_column=patient_column,
        key_file=key_file,
        uncertain=uncertain,
        blank=blank,
        per_study=per == "study",
        ranks_only=ranks_only,
    )
    training, origin = ({}, "") if ranks_only else _training(joined.predictions, prevalence)
    about = {
        "predictions": predictions.name,
        "labels": labels.name,
        "thresholds": origin,
        "notes": list(joined.notes),
        "learnt": joined.learnt,
    }
    remove(out / name for name in ("report.html", "predictions.csv"))
    metrics = write_evaluation(out, joined.predictions, training, about)
    path = write_report(out)
    for line in _lines(metrics, joined.notes):
        click.echo(line)
    click.echo(f"Report: {path}")


def _is_evaluation(out: Path) -> bool:
    try:
        return json.loads((out / "metrics.json").read_text("utf-8"))["kind"] == "evaluate"
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _training(predictions, path: Path | None) -> tuple[dict, str]:
    """Prevalence and inflation by label for the thresholds, and where they come from."""
    import numpy as np

    from cxrkeras.evaluation.scores.prevalence import read_prevalence

    if path is not None:
        return read_prevalence(path, predictions.labels), f"the prevalence given in {path.name}"
    known = np.isfinite(predictions.truth).sum(axis=0)
    positive = (predictions.truth == 1).sum(axis=0)
    share = np.divide(positive, known, out=np.full(len(known), np.nan), where=known > 0)
    origin = "the prevalence of the labels being scored (a little flattering: give --prevalence)"
    return {"prevalence": share, "inflation": np.ones(len(share))}, origin


def _lines(metrics: dict, notes: tuple[str, ...]) -> list[str]:
    from cxrkeras.evaluation.report.narrative import sentence, warnings

    decisions = metrics["decisions"] or {}
    ranked = {name: part for name, part in metrics["per_label"].items() if name not in decisions}
    tables = [_ranked_lines(ranked, metrics["ranks_only"]), _decision_lines(decisions)]
    lines = [line for table in tables if table for line in ("", *table)]
    if metrics["ranks_only"]:
        origin = "Scores, not probabilities: only their order was judged, without thresholds."
    else:
        origin = f"Thresholds: {metrics['about']['thresholds']}." if ranked else ""
    made = metrics["intervals"]
    drawn = f"Intervals: from {made['resamples']:,} resamples of {made['drawn']}."
    beside = [line for line in (origin, drawn) if line]
    return [*notes, *lines, "", *beside, *warnings(metrics), sentence(metrics)]


def _ranked_lines(per_label: dict, ranks_only: bool) -> list[str]:
    if not per_label:
        return []
    cut = "" if ranks_only else f" {'threshold':>10}"
    head = f"{'label':<{LABEL_WIDTH}} {'positive':>9} {'prevalence':>11}{cut}"
    lines = [f"{head} {'AUROC':>8} {'AP':>8}"]
    for name, part in per_label.items():
        score = part["pooled"]
        if not ranks_only:
            cut = f" {_number(part['thresholds']['corrected']['mean']):>10}"
        lines.append(
            f"{name:<{LABEL_WIDTH}} {score['positives']:>9,} {_number(score['prevalence']):>11}"
            f"{cut} {_number(score['auroc']):>8} {_number(score['average_precision']):>8}"
        )
    return lines


def _decision_lines(decisions: dict) -> list[str]:
    if not decisions:
        return []
    lines = [f"{'0/1 decisions':<{LABEL_WIDTH}} {'sensitivity':>26} {'specificity':>26}"]
    for name, part in decisions.items():
        shares = (
            (part["sensitivity"], part["found"], part["positives"]),
            (part["specificity"], part["cleared"], part["negatives"]),
        )
        told = [f"{_number(share['value'])} ({n:,} of {of:,})" for share, n, of in shares]
        lines.append(f"{name:<{LABEL_WIDTH}} {told[0]:>26} {told[1]:>26}")
    return lines


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
