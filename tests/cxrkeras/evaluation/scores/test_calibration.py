"""Calibration against scikit-learn, against known distortions, and by its invariants."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from cxrkeras.evaluation.scores.calibration import (
    METHODS,
    calibrate,
    expected_calibration_error,
    fit_calibration,
    score_calibration,
)

SEEDS = st.integers(0, 10**6)


def simulated(seed: int, n: int = 400, slope: float = 1.0, shift: float = 0.0):
    """(n, 1) truth, and probabilities whose logits are `slope` and `shift` off the true ones."""
    rng = np.random.default_rng(seed)
    z = rng.normal(-1.5, 1.5, n)
    truth = (rng.random(n) < expit(z)).astype(float)
    truth[:2] = 1, 0
    return truth[:, None], expit((z - shift) / slope)[:, None]


def fitted(truth, p) -> dict:
    return fit_calibration(["a"], truth, p)


@settings(max_examples=20)
@given(SEEDS)
@pytest.mark.parametrize("method", METHODS)
def test_both_methods_rise_and_stay_inside_zero_and_one(method, seed):
    truth, p = simulated(seed, n=60)
    grid = np.linspace(0, 1, 501)[:, None]
    found = calibrate(fitted(truth, p), ["a"], grid, method)[:, 0]
    assert (np.diff(found) >= 0).all()
    assert (found >= 0).all()
    assert (found <= 1).all()


@settings(max_examples=20)
@given(SEEDS)
def test_a_temperature_changes_no_auroc(seed):
    truth, p = simulated(seed, n=80)
    found = calibrate(fitted(truth, p), ["a"], p, "temperature")
    assert np.array_equal(np.argsort(found[:, 0]), np.argsort(p[:, 0]))
    assert roc_auc_score(truth[:, 0], found[:, 0]) == roc_auc_score(truth[:, 0], p[:, 0])


def test_a_known_temperature_and_bias_are_found():
    truth, p = simulated(0, n=60_000, slope=2.5, shift=0.7)
    found = fitted(truth, p)["a"]["temperature"]
    assert 1 / found["temperature"] == pytest.approx(2.5, rel=0.03)
    assert found["bias"] == pytest.approx(0.7, abs=0.05)


@settings(max_examples=20)
@given(SEEDS)
def test_temperature_is_logistic_regression_on_platt_s_targets(seed):
    truth, p = simulated(seed, n=150, slope=1.7, shift=-0.5)
    y = truth[:, 0] == 1
    weights = np.where(y, (y.sum() + 1) / (y.sum() + 2), 1 / ((~y).sum() + 2))
    z = np.tile(logit(p), (2, 1))
    both = np.concatenate([np.ones(len(y)), np.zeros(len(y))])
    reference = LogisticRegression(C=1e12, tol=1e-10, max_iter=10_000)
    reference.fit(z, both, sample_weight=np.concatenate([weights, 1 - weights]))
    found = fitted(truth, p)["a"]["temperature"]
    assert 1 / found["temperature"] == pytest.approx(reference.coef_[0, 0], rel=1e-3, abs=1e-4)
    assert found["bias"] == pytest.approx(reference.intercept_[0], rel=1e-3, abs=1e-3)


def test_scores_that_mislead_get_the_hottest_temperature_not_a_falling_line():
    truth, p = simulated(1)
    found = fitted(truth, 1 - p)["a"]["temperature"]
    assert found["temperature"] == pytest.approx(20)


def test_perfectly_separated_labels_stay_finite():
    truth = np.repeat([[0.0], [1.0]], 5, axis=0)
    p = np.concatenate([np.full((5, 1), 1e-30), np.ones((5, 1))])
    for method in METHODS:
        found = calibrate(fitted(truth, p), ["a"], p, method)
        assert (found > 0).all()
        assert (found < 1).all()
        assert (found[5:] > found[:5]).all()


@settings(max_examples=20)
@given(SEEDS)
def test_isotonic_is_scikit_learn_s_with_one_image_more(seed):
    truth, p = simulated(seed, n=90)
    found = calibrate(fitted(truth, p), ["a"], p, "isotonic")[:, 0]
    # Every image 90 times; then the one more is a whole number of images too.
    positives = int(truth.sum())
    more = [p.min()] * positives + [p.max()] * (90 - positives)
    scores = np.concatenate([np.repeat(p[:, 0], 90), more])
    outcomes = np.concatenate([np.repeat(truth[:, 0], 90), [1] * positives, [0] * (90 - positives)])
    reference = IsotonicRegression().fit(scores, outcomes)
    np.testing.assert_allclose(found, reference.predict(p[:, 0]), atol=1e-9)


def test_the_highest_score_is_no_certainty():
    p = np.linspace(0.1, 0.9, 9)[:, None]
    truth = (p == p.max()).astype(float)
    found = calibrate(fitted(truth, p), ["a"], np.array([[0.99]]), "isotonic")[0, 0]
    assert found == pytest.approx(1 / (2 - 1 / 9))  # one positive, 8/9 of a negative


def test_new_images_are_told_better_than_by_plain_isotonic_regression():
    ours, plain = [], []
    for seed in range(30):
        (truth, p), (new, q) = simulated(seed, n=300), simulated(1000 + seed, n=3000)
        ours.append(log_loss(new, calibrate(fitted(truth, p), ["a"], q, "isotonic")))
        line = IsotonicRegression(out_of_bounds="clip").fit(p[:, 0], truth[:, 0])
        plain.append(log_loss(new, np.clip(line.predict(q[:, 0]), 1 / 302, 301 / 302)))
    assert np.mean(ours) < np.mean(plain)
    assert np.greater(plain, ours).mean() > 0.8


@pytest.mark.parametrize("method", METHODS)
def test_the_parameters_survive_json(method):
    truth, p = simulated(3)
    one = fitted(truth, p)
    again = json.loads(json.dumps(one, allow_nan=False))
    assert np.array_equal(calibrate(one, ["a"], p, method), calibrate(again, ["a"], p, method))
    assert again["a"]["n"] == 400
    assert again["a"]["from"].startswith("400 predictions, ")


def test_a_label_of_one_class_has_no_calibration_and_the_others_do():
    truth, p = simulated(4)
    truth = np.column_stack([truth, np.zeros(400), np.full(400, np.nan)])
    calibration = fit_calibration(["a", "none", "unknown"], truth, np.tile(p, 3))
    for method in METHODS:
        found = calibrate(calibration, ["a", "none", "unknown"], np.tile(p, 3), method)
        assert np.isfinite(found[:, 0]).all()
        assert np.isnan(found[:, 1:]).all()


def test_scores_are_cross_fitted_and_scikit_learn_s():
    truth, p = simulated(5, slope=2.0, shift=1.0)
    truth[::17] = np.nan
    raw, fold = np.sqrt(p), np.arange(400) % 4
    scores = score_calibration(["a"], truth, raw, p, fold)["per_label"]["a"]
    known = np.isfinite(truth[:, 0])
    for method in METHODS:
        crossed = np.empty((400, 1))
        for k in range(4):
            rest = fit_calibration(["a"], truth[fold != k], p[fold != k])
            crossed[fold == k] = calibrate(rest, ["a"], p[fold == k], method)
        y, found = truth[known, 0], crossed[known, 0]
        assert scores[method]["log_loss"] == pytest.approx(log_loss(y, found))
        assert scores[method]["brier"] == pytest.approx(brier_score_loss(y, found))
        assert scores[method]["ece"] == pytest.approx(expected_calibration_error(y == 1, found))
    assert scores["raw"]["brier"] == pytest.approx(brier_score_loss(truth[known, 0], raw[known, 0]))
    undistorted = log_loss(truth[known, 0], p[known, 0])
    assert scores["undistorted"]["log_loss"] == pytest.approx(undistorted)
    assert scores["temperature"]["log_loss"] < undistorted


def test_a_label_that_some_folds_can_t_fit_is_left_out_of_the_mean():
    truth, p = simulated(6)
    rare = np.zeros((400, 1))
    rare[0] = 1
    fold = np.arange(400) % 4
    scores = score_calibration(
        ["a", "rare"], np.hstack([truth, rare]), *[np.hstack([p, p])] * 2, fold
    )
    assert scores["per_label"]["rare"] is None
    assert scores["mean"]["isotonic"] == pytest.approx(scores["per_label"]["a"]["isotonic"])
    nothing = score_calibration(["rare"], rare, p, p, fold)
    assert nothing == {"per_label": {"rare": None}, "mean": None}


@given(st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]), min_size=1, max_size=60), SEEDS)
def test_calibration_error_is_zero_for_what_happens_as_often_as_told(values, seed):
    p = np.repeat(values, 10)
    y = np.concatenate([np.arange(10) < round(10 * value) for value in values])
    order = np.random.default_rng(seed).permutation(len(p))
    assert expected_calibration_error(y[order], p[order]) == pytest.approx(0, abs=1e-12)
    assert expected_calibration_error(p > 2, np.full(len(p), 0.25)) == 0.25
