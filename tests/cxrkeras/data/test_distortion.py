"""What losses make of probabilities: undone exactly, by label and by row, or not at all."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrkeras.data.distortion import (
    Curve,
    Distortion,
    Factor,
    averaged,
    by_row,
    from_log_odds,
    log_odds,
)

LABELS = ("Mass", "Effusion")
probabilities = st.floats(0.001, 0.999)
factors = st.floats(0.01, 200)


def focal(gamma: float, p: np.ndarray) -> np.ndarray:
    """Scores at which the focal loss is smallest, found by bisection of its derivative."""
    low, high = np.zeros_like(p), np.ones_like(p)
    for _ in range(200):
        q = (low + high) / 2
        of_positive = (1 - q) ** gamma / q - gamma * (1 - q) ** (gamma - 1) * np.log(q)
        of_negative = q**gamma / (1 - q) - gamma * q ** (gamma - 1) * np.log1p(-q)
        rises = p * of_positive > (1 - p) * of_negative
        low, high = np.where(rises, q, low), np.where(rises, high, q)
    return (low + high) / 2


@given(p=probabilities, w=factors)
def test_a_factor_scales_odds_and_is_undone(p, w):
    q = Factor([w]).distort([p])
    assert q / (1 - q) == pytest.approx(w * p / (1 - p), rel=1e-9)
    assert Factor([w]).undistort(q) == pytest.approx(p, rel=1e-9)


@pytest.mark.parametrize("w", [0.0, -1.0, np.inf, np.nan])
def test_an_impossible_factor_is_refused(w):
    with pytest.raises(ValueError, match="positive and finite"):
        Factor([w])


def test_a_curve_follows_the_focal_loss():
    p = np.linspace(0.001, 0.999, 400)
    facts = {"distortion": {n: {"p": p.tolist(), "q": focal(2, p).tolist()} for n in LABELS}}
    known = Distortion.from_facts(json.loads(json.dumps(facts)), LABELS)
    asked = np.random.default_rng(0).uniform(0.01, 0.99, (50, 2))
    np.testing.assert_allclose(known.distort(asked), focal(2, asked), atol=1e-5)
    np.testing.assert_allclose(known.undistort(focal(2, asked)), asked, atol=1e-5)
    assert known.as_facts(LABELS) == facts
    assert not known.none


@given(rows=st.lists(st.tuples(probabilities, probabilities), min_size=1), w=factors)
def test_a_curve_through_a_factor_s_points_is_that_factor(rows, w):
    p = np.array([0.2, 0.5, 0.7])
    known, exact = Curve([(p, Factor(w).distort(p))] * 2), Factor([w, w])
    np.testing.assert_allclose(known.distort(rows), exact.distort(rows), rtol=1e-9)
    np.testing.assert_allclose(known.undistort(rows), exact.undistort(rows), rtol=1e-9)


def test_certainty_and_nothing_stay():
    curve = Curve([(np.array([0.1, 0.9]), np.array([0.2, 0.95]))])
    for known in (curve, Factor([3.0])):
        found = known.undistort([[0.0], [1.0], [np.nan]])
        np.testing.assert_array_equal(found, [[0.0], [1.0], [np.nan]])


@given(p=st.floats(1e-12, 1 - 1e-12))
def test_log_odds_come_back(p):
    assert from_log_odds(log_odds(p)) == pytest.approx(p, rel=1e-6)


@pytest.mark.parametrize("facts", [{}, {"inflation": None}, {"distortion": None}])
def test_nothing_known_is_none(facts):
    assert Distortion.from_facts(facts, LABELS) is None


def test_each_row_is_undone_as_its_own_model_s():
    curve = Curve([(np.array([0.1, 0.9]), np.array([0.3, 0.97]))] * 2)
    rows, q = np.array([1, 0, 1]), np.full((3, 2), 0.5)
    mixed = by_row([Factor([2.0, 4.0]), curve], rows)
    np.testing.assert_array_equal(mixed.undistort(q)[1], Factor([2.0, 4.0]).undistort(q[1]))
    np.testing.assert_array_equal(mixed.undistort(q)[[0, 2]], curve.undistort(q[[0, 2]]))
    plain = by_row([Factor([2.0, 4.0]), Factor([1.0, 1.0])], rows)
    np.testing.assert_array_equal(plain.w, [[1, 1], [2, 4], [1, 1]])
    assert by_row([Factor([2.0, 4.0]), None], rows) is None


def test_an_ensemble_has_the_mean_of_log_odds_or_nothing():
    found = averaged([Factor([1.0, 8.0]), Factor([4.0, 2.0])])
    np.testing.assert_allclose(found.w, [2, 4])
    weighted = averaged([Factor([1.0, 1.0]), Factor([16.0, 16.0])], [0.75, 0.25])
    np.testing.assert_allclose(weighted.w, [2, 2])
    curves = [Curve([(np.array([0.1, 0.9]), np.array([0.2, q]))]) for q in (0.95, 0.96)]
    assert averaged([curves[0], curves[0]]) is curves[0]
    assert averaged(curves) is None
    assert averaged([Factor([1.0]), None]) is None
