"""Operating points against scikit-learn's ROC curve and against every cut that there is."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from cxrkeras.data.distortion import Factor
from cxrkeras.evaluation.rules import parse_rule
from cxrkeras.evaluation.scores.operating import (
    STANDARD,
    fit_points,
    prevalence_points,
    thresholds_of,
)
from data_prep.errors import UserError

YOUDEN = parse_rule("youden")
FEW = [0.0, 1e-300, 0.1, np.nextafter(0.1, 1), 0.3, 0.5, 0.9, np.nextafter(1, 0), 1.0]
FREE = st.floats(0, 1, allow_subnormal=False)


@st.composite
def scored(draw, smallest=2):
    """(N,) truth of both classes and (N,) scores, few values (ties, the ends) or any."""
    values = draw(st.sampled_from([st.sampled_from(FEW), FREE]))
    pairs = draw(st.lists(st.tuples(st.booleans(), values), min_size=smallest, max_size=40))
    truth = np.array([positive for positive, _ in pairs], float)
    truth[:2] = 1, 0
    return truth, np.array([score for _, score in pairs])


def point(truth, score, rule, **how) -> dict:
    points = fit_points(["a"], truth[:, None], score[:, None], [rule], **how)
    return points[str(rule)]["a"]


def every_cut(truth, score) -> list[tuple[np.ndarray, float, float]]:
    """(called, sensitivity, specificity) for each set that a threshold can call, fewest first."""
    cuts = [score >= level for level in [np.inf, *np.unique(score)[::-1]]]
    return [(c, c[truth == 1].mean(), (~c[truth == 0]).mean()) for c in cuts]


@given(scored())
@pytest.mark.parametrize("drop", [True, False])
def test_youden_is_the_argmax_of_scikit_learn_s_curve(drop, data):
    truth, score = data
    fpr, tpr, levels = roc_curve(truth, score, drop_intermediate=drop)
    best = levels[np.argmax(tpr - fpr)]
    assert np.array_equal(score > point(truth, score, YOUDEN)["threshold"], score >= best)


@given(scored(), st.floats(0.01, 1))
def test_a_wanted_sensitivity_is_reached_with_the_fewest_calls(data, wanted):
    truth, score = data
    found = point(truth, score, parse_rule(f"sensitivity={wanted!r}"))
    called = score > found["threshold"]
    enough = [cut for cut in every_cut(truth, score) if cut[1] >= wanted]
    assert np.array_equal(called, enough[0][0])
    assert (found["sensitivity"], found["specificity"]) == enough[0][1:]


@given(scored(), st.floats(0.01, 1))
def test_a_wanted_specificity_is_kept_with_the_most_calls(data, wanted):
    truth, score = data
    found = point(truth, score, parse_rule(f"specificity={wanted!r}"))
    called = score > found["threshold"]
    enough = [cut for cut in every_cut(truth, score) if cut[2] >= wanted]
    assert np.array_equal(called, enough[-1][0])
    assert (found["sensitivity"], found["specificity"]) == enough[-1][1:]


@given(st.integers(1, 60), st.data())
def test_a_share_that_is_exactly_there_counts_as_reached(positives, data):
    k = data.draw(st.integers(1, positives))
    score = np.linspace(0.9, 0.1, positives + 1)
    for name, truth in (("sensitivity", 1.0), ("specificity", 0.0)):
        y = np.array([truth] * positives + [1 - truth])
        ordered = score if truth else score[::-1]
        assert point(y, ordered, parse_rule(f"{name}={k / positives!r}"))[name] == k / positives


@given(scored(), st.sampled_from(STANDARD))
def test_what_the_threshold_calls_survives_a_float32_s_rounding(data, rule):
    truth, score = data
    score = np.round(score, 3)
    threshold = point(truth, score, rule)["threshold"]
    rounded = score.astype(np.float32) > np.float32(threshold)
    assert np.array_equal(rounded, score > threshold)


def test_unknown_entries_count_nowhere_and_the_words_say_how_many_did():
    truth, score = np.array([1, 0, np.nan, 0, 1]), np.array([0.8, 0.2, 0.99, 0.4, 0.6])
    found = point(truth, score, YOUDEN, where="out-of-fold predictions")
    assert found["threshold"] == pytest.approx(0.5)
    assert (found["n"], found["positives"], found["sensitivity"]) == (4, 2, 1.0)
    assert found["from"] == "Youden on 4 out-of-fold predictions, 2 positive"


@pytest.mark.parametrize(("value", "word"), [(0.0, "no positive"), (1.0, "no negative")])
def test_without_one_class_there_is_no_threshold(value, word):
    for rule in STANDARD:
        found = point(np.full(4, value), np.linspace(0, 1, 4), rule, fold=np.arange(4))
        assert (found["threshold"], found["sensitivity"], found["cross_fitted"]) == (None,) * 3
        assert word in found["from"]
    assert np.isnan(thresholds_of({"a": found}, ["a"])).all()


@given(scored(smallest=12), st.sampled_from(STANDARD))
def test_cross_fitted_scores_are_those_of_thresholds_from_the_other_folds(data, rule):
    truth, score = data
    truth[:6] = 1, 0, 1, 0, 1, 0
    fold = np.arange(len(truth)) // 2 % 3  # each fold has a positive and a negative
    called = np.zeros(len(truth), bool)
    for k in range(3):
        there = point(truth[fold != k], score[fold != k], rule)["threshold"]
        called[fold == k] = score[fold == k] > there
    crossed = point(truth, score, rule, fold=fold)["cross_fitted"]
    assert crossed["sensitivity"] == called[truth == 1].mean()
    assert crossed["specificity"] == (~called[truth == 0]).mean()


def test_points_are_json():
    rng = np.random.default_rng(0)
    truth, score = rng.integers(0, 2, (30, 2)).astype(float), rng.random((30, 2))
    points = fit_points(["a", "b"], truth, score, STANDARD, fold=np.arange(30) % 3)
    assert json.loads(json.dumps(points, allow_nan=False)) == points
    assert list(points) == [str(rule) for rule in STANDARD]


def test_points_from_prevalence_are_the_mean_over_the_models_that_have_them():
    prevalence = np.array([[0.1, 0.0], [0.3, np.nan]])
    inflation = np.array([[9.0, 2.0], [4.0, 2.0]])
    points = prevalence_points(["a", "b"], prevalence, [Factor(w) for w in inflation])
    assert points["prevalence"]["a"]["threshold"] == pytest.approx(0.2)
    corrected = Factor([9.0, 4.0]).distort([0.1, 0.3]).mean()
    assert points["corrected"]["a"]["threshold"] == pytest.approx(corrected)
    assert points["prevalence"]["b"]["threshold"] is None
    assert "isn't known" in points["corrected"]["b"]["from"]


@pytest.mark.parametrize("rule", [*STANDARD, parse_rule("prevalence"), parse_rule("corrected")])
def test_a_rule_s_text_reads_back(rule):
    assert parse_rule(str(rule)) == rule


WRONG = (
    *("", "best", "youden=1", "prevalence=1", "sensitivity", "sensitivity=", "sensitivity=0"),
    *("sensitivity=1.01", "specificity=nan", "specificity=95%", "sensitivity=-0.5"),
)


@pytest.mark.parametrize("text", WRONG)
def test_another_text_is_refused_with_the_choices(text):
    with pytest.raises(UserError, match=r"--operating-point (must be one of|\w+)"):
        parse_rule(text)
