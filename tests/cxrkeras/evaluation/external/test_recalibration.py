"""Calibration on other films against scikit-learn, SciPy and double loops."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from cxrkeras.evaluation.external.recalibration import (
    calibration_of,
    logistic,
    parts_of,
    sandwich,
    updated,
)

RNG = np.random.default_rng(1)
N = 400
UNIT = RNG.integers(0, 150, N)
P = RNG.uniform(0.02, 0.7, N)
Y = RNG.random(N) < expit(0.6 * logit(P) - 0.4)


def test_intercept_and_slope_are_maximum_likelihood():
    found = calibration_of(Y, P, UNIT)
    line = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000).fit(logit(P)[:, None], Y)
    assert found["slope"]["value"] == pytest.approx(line.coef_[0, 0], abs=1e-6)
    moved = brentq(lambda a: np.sum(Y - expit(logit(P) + a)), -9, 9, xtol=1e-13)
    assert found["intercept"]["value"] == pytest.approx(moved, abs=1e-9)
    assert found["ratio"]["value"] == pytest.approx(Y.sum() / P.sum(), abs=1e-12)
    for name in ("ratio", "intercept", "slope"):
        assert found[name]["low"] < found[name]["value"] < found[name]["high"]


def test_the_sandwich_equals_a_double_loop_over_patients():
    design = np.stack([np.ones(N), logit(P)], axis=1)
    p = expit(design @ logistic(design, np.zeros(N), Y))
    unit = np.unique(UNIT, return_inverse=True)[1]
    bread, meat = np.zeros((2, 2)), np.zeros((2, 2))
    for n in range(N):
        bread += p[n] * (1 - p[n]) * np.outer(design[n], design[n])
    for g in range(unit.max() + 1):
        score = np.zeros(2)
        for n in np.flatnonzero(unit == g):
            score += (Y[n] - p[n]) * design[n]
        meat += np.outer(score, score)
    groups = unit.max() + 1
    expected = np.linalg.inv(bread) @ meat @ np.linalg.inv(bread) * groups / (groups - 1)
    np.testing.assert_allclose(sandwich(design, Y - p, unit), expected, rtol=1e-9)


def test_a_new_intercept_is_scored_on_patients_that_it_was_not_fitted_on():
    found, part = updated(Y, P, UNIT), parts_of(UNIT)
    loss = 0.0
    for number in range(5):
        others = part != number
        moved = brentq(lambda a, o=others: np.sum(Y[o] - expit(logit(P[o]) + a)), -9, 9, xtol=1e-13)
        for n in np.flatnonzero(~others):
            p = expit(logit(P[n]) + moved)
            loss -= np.log(p if Y[n] else 1 - p)
    assert found["after"]["log_loss"] == pytest.approx(loss / N, abs=1e-9)
    assert found["before"]["brier"] == pytest.approx(np.mean((P - Y) ** 2), abs=1e-12)
    assert all(len(set(part[unit == UNIT])) == 1 for unit in set(UNIT.tolist()))


@pytest.mark.slow
def test_intervals_hold_what_they_promise():
    """Patients with several like films: 95% intervals of slope 1 and intercept 0."""
    hits = {"slope": 0, "intercept": 0}
    for _ in range(200):
        x = np.repeat(RNG.normal(-1, 1.2, 150), 2)
        y = RNG.random(300) < expit(x)
        found = calibration_of(y, expit(x), np.arange(300) // 2)
        for name, true in (("slope", 1), ("intercept", 0)):
            hits[name] += found[name]["low"] <= true <= found[name]["high"]
    assert all(0.9 <= count / 200 <= 0.99 for count in hits.values())


def test_what_cannot_be_told_is_none():
    assert calibration_of(np.zeros(9, bool), np.full(9, 0.2), np.arange(9)) is None
    assert updated(np.zeros(9, bool), np.full(9, 0.2), np.arange(9)) is None
    parted = np.arange(20) > 9
    assert calibration_of(parted, np.linspace(0.1, 0.9, 20), np.arange(20))["ratio"]["value"]
    none = calibration_of(parted, np.zeros(20), np.arange(20))
    assert none["ratio"] == {"value": None, "low": None, "high": None}
    rare = calibration_of(parted, np.where(np.arange(20) == 19, 0.5, 0), np.arange(20))
    assert np.isfinite(rare["ratio"]["high"])
