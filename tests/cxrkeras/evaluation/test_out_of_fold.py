"""`operating_points.json`: from the folds' own inflation, and the same whether written or not."""

import json

import numpy as np
import pytest
from sklearn.metrics import log_loss

from cxrkeras.evaluation.calibration import calibrate
from cxrkeras.evaluation.evidence import fold_numbers
from cxrkeras.evaluation.operating import Rule, fit_points
from cxrkeras.evaluation.out_of_fold import (
    FILE,
    fit_on_run,
    read_operating_points,
    write_operating_points,
)
from cxrkeras.evaluation.predictions import read_predictions
from cxrkeras.evaluation.thresholds import deflate
from data_prep.errors import UserError


@pytest.fixture
def run(run_of):
    folder = run_of(test=False)
    folds = {k: json.loads((folder / f"folds/{k}/fold.json").read_text()) for k in range(5)}
    training = {str(k): {"inflation": fold["inflation"]} for k, fold in folds.items()}
    metrics = {"labels": list(folds[0]["inflation"]), "training": training}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def test_an_older_run_is_fitted_without_writing_and_then_reads_the_same(run):
    fitted = read_operating_points(run)
    assert not (run / FILE).exists()
    write_operating_points(run)
    assert read_operating_points(run) == fitted == json.loads((run / FILE).read_text())


def test_points_are_on_the_models_own_scores_and_calibration_on_undistorted_ones(run):
    predictions, facts = read_predictions(run / "predictions.csv"), read_operating_points(run)
    expected = fit_points(
        predictions.labels,
        predictions.truth,
        predictions.prob,
        [Rule("sensitivity", 0.9)],
        fold=fold_numbers(predictions),
        where="out-of-fold predictions",
    )
    assert facts["operating_points"]["sensitivity=0.9"] == expected["sensitivity=0.9"]
    undistorted = deflate(predictions.prob, 9.0)
    told = calibrate(facts["calibration"], predictions.labels, undistorted, "temperature")
    known = np.isfinite(predictions.truth)
    losses = [log_loss(predictions.truth[known], p[known]) for p in (told, predictions.prob)]
    assert losses[0] < 0.7 * losses[1]  # the scores were inflated nine times
    mean = facts["calibration_scores"]["mean"]
    assert mean["undistorted"]["brier"] < mean["raw"]["brier"]


def test_any_share_is_fitted_on_demand(run):
    points = fit_on_run(run, Rule("specificity", 0.876))
    assert all(point["specificity"] >= 0.876 for point in points.values())
    assert {"sensitivity", "specificity"} == set(points["Spinal lesions"]["cross_fitted"])


@pytest.mark.parametrize(("name", "content"), [("metrics.json", "{}"), (FILE, "[1"), (FILE, "é")])
def test_a_damaged_file_is_named_with_the_cure(run, name, content):
    write_operating_points(run)
    (run / name).write_bytes(content.encode("latin-1"))
    if name != FILE:
        (run / FILE).unlink()
    with pytest.raises(UserError, match=rf"{name}.*cxrkeras cv.*--out"):
        read_operating_points(run)
