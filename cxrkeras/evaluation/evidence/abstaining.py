"""What withholding decisions costs and gains out of fold, from a run's folder."""

from collections.abc import Mapping
from pathlib import Path

from cxrkeras.evaluation.evidence.evidence import fold_numbers, row_thresholds
from cxrkeras.evaluation.rules import PrevalenceRule, Rule
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.evaluation.scores.abstention import crossed_thresholds, fit_abstention
from cxrkeras.evaluation.scores.operating import thresholds_of
from cxrkeras.evaluation.scores.predictions import read_predictions
from data_prep.files import read_json


def abstention_of_run(run: Path, rule: Rule, points: Mapping, share: float) -> dict:
    """{label: what `fit_abstention` gives} of a finished run.

    Args:
        run: its folder.
        rule: of the operating points.
        points: {label: operating point} by that rule.
        share: of the films, on which the decision is withheld.

    Raises:
        UserError: its predictions can't be read.
    """
    predictions = read_predictions(RunFolder(run).predictions)
    truth, score = predictions.truth, predictions.prob
    fold = fold_numbers(predictions)
    if isinstance(rule, PrevalenceRule):
        rows = row_thresholds(read_json(RunFolder(run).metrics), fold, [rule])[str(rule)]
    else:
        rows = crossed_thresholds(rule, truth, score, fold)
    thresholds = thresholds_of(points, predictions.labels)
    return fit_abstention(predictions.labels, truth, score, thresholds, share, fold, rows)
