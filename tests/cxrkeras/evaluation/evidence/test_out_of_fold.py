"""`operating_points.json`: from the folds' own inflation, and the same whether written or not."""

import json
import math

import numpy as np
import pytest
from sklearn.metrics import log_loss, recall_score

from cxrkeras.data.distortion import Factor
from cxrkeras.evaluation.evidence.evidence import fold_numbers
from cxrkeras.evaluation.evidence.out_of_fold import (
    fit_on_run,
    read_operating_points,
    write_operating_points,
)
from cxrkeras.evaluation.rules import parse_rule
from cxrkeras.evaluation.scores.calibration import calibrate
from cxrkeras.evaluation.scores.operating import fit_points
from cxrkeras.evaluation.scores.predictions import read_predictions
from data_prep.errors import UserError

FILE = "operating_points.json"


@pytest.fixture
def run(run_of):
    return with_metrics(run_of(test=False))


def fold_facts(folder) -> dict:
    return {k: json.loads((folder / f"folds/{k}/fold.json").read_text()) for k in range(5)}


def with_metrics(folder):
    folds = fold_facts(folder)
    training = {
        str(k): {"inflation": fold["inflation"], "prevalence": fold["training_prevalence"]}
        for k, fold in folds.items()
    }
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
        [parse_rule("sensitivity=0.9")],
        fold=fold_numbers(predictions),
        where="out-of-fold predictions",
    )
    assert facts["operating_points"]["sensitivity=0.9"] == expected["sensitivity=0.9"]
    undistorted = Factor(9.0).undistort(predictions.prob)
    told = calibrate(facts["calibration"], predictions.labels, undistorted, "temperature")
    known = np.isfinite(predictions.truth)
    losses = [log_loss(predictions.truth[known], p[known]) for p in (told, predictions.prob)]
    assert losses[0] < 0.7 * losses[1]  # the scores were inflated nine times
    mean = facts["calibration_scores"]["mean"]
    assert mean["undistorted"]["brier"] < mean["raw"]["brier"]


def test_the_prevalence_rules_are_told_what_each_fold_s_own_threshold_reaches(run):
    points = read_operating_points(run)["operating_points"]["corrected"]
    predictions, folds = read_predictions(run / "predictions.csv"), fold_facts(run)
    label = predictions.labels[0]
    y, called = predictions.truth[:, 0], np.zeros(len(predictions.images), bool)
    for k, fold in folds.items():
        pi, w = fold["training_prevalence"][label], fold["inflation"][label]
        here = np.array(predictions.folds) == str(k)
        called[here] = predictions.prob[here, 0] > w * pi / (w * pi + 1 - pi)
    assert points[label]["cross_fitted"] == pytest.approx(
        {
            "sensitivity": recall_score(y == 1, called),
            "specificity": recall_score(y == 0, ~called),
            "n": np.isfinite(y).sum(),
            "positives": (y == 1).sum(),
        }
    )


def test_the_test_set_is_called_by_the_mean_of_the_models(run_of):
    run = with_metrics(run_of(test=True))
    points, test = read_operating_points(run), read_predictions(run / "test_predictions.csv")
    for rule, by_label in points["operating_points"].items():
        for k, label in enumerate(test.labels):
            point, known = by_label[label], np.isfinite(test.truth[:, k])
            told = point["held_out"]
            assert told["n"] == known.sum()
            y = test.truth[known, k] == 1
            if point["threshold"] is None or not 0 < y.sum() < len(y):
                assert told["sensitivity"] is told["specificity"] is None
                continue
            called = test.prob[known, k] > point["threshold"]
            assert told["sensitivity"] == pytest.approx(recall_score(y, called)), rule
            assert told["specificity"] == pytest.approx(recall_score(~y, ~called)), rule
    assert fit_on_run(run, parse_rule("youden")) == points["operating_points"]["youden"]


def test_any_share_is_fitted_on_demand(run):
    points = fit_on_run(run, parse_rule("specificity=0.876"))
    assert all(point["specificity"] >= 0.876 for point in points.values())
    assert {"sensitivity", "specificity", "n", "positives"} == set(
        points["Spinal lesions"]["cross_fitted"]
    )


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.json", "{}"),
        ("metrics.json", DEEP),
        ("metrics.json", '{"labels": [], "training": []}'),
        (FILE, "[1"),
        (FILE, "é"),
        (FILE, DEEP),
        (FILE, '{"format": 3, "calibration": {}, "operating_points": []}'),
    ],
)
def test_a_damaged_file_is_named_with_the_cure(run, name, content):
    write_operating_points(run)
    (run / name).write_bytes(content.encode("latin-1"))
    if name != FILE:
        (run / FILE).unlink()
    with pytest.raises(UserError, match=rf"{name}.*cxrkeras cv.*--out"):
        read_operating_points(run)


@pytest.mark.parametrize("inflation", ["text", math.inf, 0, None, [], 10**400])
def test_a_run_s_inflation_is_a_positive_number(run, inflation):
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["training"]["2"]["inflation"]["Spinal lesions"] = inflation
    (run / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(UserError, match=r"metrics\.json can't be used"):
        read_operating_points(run)
