import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from cxrkeras.evaluation.report.curves import pr_points, reliability_points, roc_points
from cxrkeras.evaluation.report.plots import nice_ticks


@given(seed=st.integers(0, 2**32 - 1), levels=st.integers(3, 1000))
@settings(max_examples=30, deadline=None)
def test_area_under_the_drawn_line_is_the_score(seed, levels):
    rng = np.random.default_rng(seed)
    truth = np.append((rng.random(300) < 0.2).astype(float), [0, 1, np.nan])
    prob = np.round(np.clip(0.3 * np.nan_to_num(truth) + 0.7 * rng.random(303), 0, 1) * levels)
    prob /= levels
    known = np.isfinite(truth)
    for points_of, score in (
        (roc_points, roc_auc_score),
        (pr_points, average_precision_score),
    ):
        points = points_of(truth, prob)
        area = np.trapezoid(points[:, 1], points[:, 0])
        assert area == pytest.approx(score(truth[known], prob[known]), abs=0.005)


def test_no_curve_without_both_classes():
    assert roc_points(np.zeros(5), np.linspace(0, 1, 5)) is None
    assert pr_points(np.array([1, np.nan]), np.array([0.1, 0.2])) is None
    assert reliability_points(np.array([np.nan]), np.array([0.2])) is None


def test_reliability_bins_hold_equal_counts_and_keep_the_mean():
    rng = np.random.default_rng(2)
    prob = rng.random(10_000)
    truth = (rng.random(10_000) < prob).astype(float)
    points = reliability_points(truth, prob)
    assert len(points) == 10
    assert points[:, 0].mean() == pytest.approx(prob.mean(), abs=1e-3)
    np.testing.assert_allclose(points[:, 0], points[:, 1], atol=0.06)


def test_equal_scores_share_a_bin():
    points = reliability_points(np.array([0.0, 1, 0, 1]), np.full(4, 0.3))
    np.testing.assert_allclose(points, [[0.3, 0.5]])


@given(low=st.floats(-100, 100), size=st.floats(1e-3, 1e3), wanted=st.integers(2, 8))
def test_ticks_are_inside_and_neither_few_nor_many(low, size, wanted):
    ticks = nice_ticks(low, low + size, wanted)
    slack = size * 1e-6
    assert all(low - slack <= tick <= low + size + slack for tick in ticks)
    assert 1 <= len(ticks) <= wanted + 1
