"""`cxrkeras evaluate`: predictions against labels, and a run on another hospital's films."""

from pathlib import Path

import click
from click.core import ParameterSource

from cxrkeras.commands.shared.helping import Verb
from cxrkeras.commands.shared.key_file import key_file
from cxrkeras.commands.shared.operating_point import operating_point, rule_of, rules_named
from cxrkeras.commands.shared.overwriting import overwrite as overwriting
from cxrkeras.commands.shared.printing.results import result

LABEL_WIDTH = 28

_MAIN = ("predictions", "labels", "out", "key", "patient-column", "scores", "per", "overwrite")


@click.command(cls=Verb, shown=_MAIN)
@click.option(
    "--predictions",
    type=click.Path(path_type=Path),
    help="Table of probabilities (.csv, .csv.gz, .xlsx): a key column, and prob_LABEL or LABEL "
    "columns.",
)
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    help="Table with LABEL columns (1, 0, -1, blank) or of A|B findings, FILE.xlsx:SHEET where a "
    "workbook has several; or a prepared dataset.",
)
@click.option(
    "--run",
    type=click.Path(path_type=Path),
    help="With --data, in place of both tables: a run or a model folder, which is asked.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="With --run: another hospital's prepared dataset.",
)
@operating_point(f"With --run, the operating point that is shown first: {rules_named()}")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="New folder for the report."
)
@overwriting
@click.option(
    "--key",
    help="Column to join on, or PREDICTIONS_COLUMN=LABELS_COLUMN. Default: the first shared "
    "column; for a table of `cxrkeras predict`, the one that names its files.",
)
@click.option(
    "--patient-column",
    metavar="COLUMN",
    help="Column of patients, in the labels or else the predictions. Default: found by its name.",
)
@key_file
@click.option(
    "--scores",
    "ranks_only",
    is_flag=True,
    help="The predictions are any real scores, not probabilities: judge only their order (AUROC, "
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
    help="What a blank (finding not mentioned) counts as.",
)
@click.option(
    "--per",
    type=click.Choice(["image", "study", "patient"]),
    default="image",
    show_default=True,
    help="Score images, or studies by the highest probability over their views (as CheXpert is "
    "scored). Studies come from a column of the labels, or from CheXpert's paths; a patient may "
    "stand for a study.",
)
@click.option(
    "--over",
    type=click.Choice(["max", "mean"]),
    default="max",
    show_default=True,
    help="With --per: the score of the images that counts.",
)
def command(
    predictions,
    labels,
    run,
    data,
    rule,
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
    over,
) -> None:
    """Score anyone's predictions against labels, or a run on another hospital's films.

    With --predictions and --labels: metrics.json, predictions.csv and a report. With --run and
    --data, external validation: the run's models are asked, and what they reach is compared with
    what they reached out of fold (external.json, predictions.csv, external.html). Films and
    patients of the run are left out, and said.

    Rows are joined on a shared column; extra rows and columns of either table are left out and
    named. Intervals come from resamples of whole patients, if a column identifies them. Columns of
    0/1 decisions get sensitivity and specificity.

    \b
    Examples:
      cxrkeras evaluate --predictions preds.csv --labels Data_Entry_2017_v2020.csv.gz --out eval/nih
      cxrkeras evaluate --predictions answers.csv --labels data/ours --out eval/x
      cxrkeras evaluate --predictions logits.csv --labels l.csv --scores --out eval/y
      cxrkeras evaluate --run runs/first --data data/other --out eval/other
      cxrkeras evaluate --predictions preds.csv --labels valid.csv --per study --out eval/chexpert
    """
    if run or data:
        _elsewhere(run, data, out, overwrite, rule, uncertain, blank)
        return
    if not predictions or not labels:
        raise click.UsageError("Give --predictions and --labels, or --run and --data.")
    from cxrkeras.evaluation.theirs import evaluate_tables

    if rule is not None:
        raise click.UsageError("--operating-point is of a run: leave it out without --run.")
    if over != "max" and per == "image":
        raise click.UsageError("--over joins images: give --per study or --per patient too.")
    if ranks_only and prevalence:
        raise click.UsageError("--scores have no thresholds: leave out --prevalence.")
    metrics = evaluate_tables(
        predictions,
        labels,
        out,
        overwrite=overwrite,
        prevalence=prevalence,
        key=key,
        patient_column=patient_column,
        key_file=key_file,
        uncertain=uncertain,
        blank=blank,
        per=per,
        over=over,
        ranks_only=ranks_only,
    )
    for line in _lines(metrics):
        click.echo(line)
    click.echo(f"Report: {result(out / 'report.html')}")


def _elsewhere(run, data, out: Path, overwrite: bool, rule, uncertain: str, blank: str) -> None:
    context = click.get_current_context()
    taken = {"run", "data", "out", "overwrite", "rule", "uncertain", "blank"}
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name)
        if source is ParameterSource.COMMANDLINE and parameter.name not in taken:
            raise click.UsageError(f"{parameter.opts[0]} is of tables: leave it out with --run.")
    if not run or not data:
        raise click.UsageError("--run and --data belong together: give both.")
    from cxrkeras.evaluation.external.report import PAGE, as_lines
    from cxrkeras.serving.external import validate_elsewhere

    found = validate_elsewhere(
        run,
        data,
        out,
        overwrite=overwrite,
        rule=rule_of(rule),
        uncertain=uncertain,
        blank=blank,
    )
    for line in as_lines(found):
        click.echo(line)
    click.echo(f"Page: {result(out / PAGE)}")


def _lines(metrics: dict) -> list[str]:
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
    notes = metrics["about"]["notes"]
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
            cuts = part["thresholds"]
            cut = f" {_number(cuts.get('corrected', cuts['prevalence'])['mean']):>10}"
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
