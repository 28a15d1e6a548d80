import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, t

from cxrkeras.evaluation.compare.intervals import (
    difference_interval,
    holm,
    macro,
    macro_freedom,
    normal_interval,
    resample,
    score_interval,
)
from cxrkeras.evaluation.compare.uncertainty import with_intervals
from cxrkeras.evaluation.evidence.evidence import write_metrics
from cxrkeras.evaluation.scores.metrics import evaluate
from cxrkeras.evaluation.scores.predictions import Predictions


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_its_definition(p):
    # step-down: the i-th smallest of m may be m - i + 1 times as large, and never below a smaller
    found = holm(p)
    m = len(p)
    smallest = sorted(p)
    for value, corrected in zip(p, found, strict=True):
        upto = [min(1, (m - i) * q) for i, q in enumerate(smallest) if q <= value]
        assert corrected == max(upto)


def test_holm_by_hand_and_without_tests_that_were_not_made():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([None, 0.02, None, 0.03]) == pytest.approx([None, 0.04, None, 0.04])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_difference_is_normal_with_the_resamples_error():
    draws = np.random.default_rng(0).normal(0.1, 0.03, 500)
    found = difference_interval(0.1, draws, 0.9)
    z = norm.ppf(0.95)
    error = draws.std(ddof=1)
    assert found["low"] == pytest.approx(0.1 - z * error)
    assert found["high"] == pytest.approx(0.1 + z * error)
    assert found["p"] == pytest.approx(2 * norm.sf(0.1 / error))


@given(value=st.floats(-1, 1), error=st.floats(1e-6, 1), level=st.floats(0.5, 0.999))
def test_p_and_interval_agree(value, error, level):
    part = normal_interval(value, error, level)
    inside = part["low"] <= 0 <= part["high"]
    assert inside == (part["p"] >= 1 - level) or abs(part["p"] - (1 - level)) < 1e-9


@given(st.floats(-1, 1), st.floats(1e-3, 1), st.floats(0.5, 0.999), st.integers(1, 400))
def test_with_few_degrees_of_freedom_it_is_students_t(value, error, level, freedom):
    part = normal_interval(value, error, level, freedom)
    low, high = t.interval(level, freedom, loc=value, scale=error)
    assert (part["low"], part["high"]) == pytest.approx((low, high), rel=1e-6, abs=1e-9)
    assert part["p"] == pytest.approx(2 * t.sf(abs(value) / error, freedom), rel=1e-6)
    assert part["p"] >= normal_interval(value, error, level)["p"]


@given(st.lists(st.integers(2, 500), min_size=1, max_size=14))
def test_freedom_of_a_mean_lies_between_its_rarest_label_and_all_together(fewer):
    found = macro_freedom(np.array(fewer))
    assert min(fewer) - 1 <= found * (1 + 1e-9)
    assert found <= sum(fewer) - len(fewer) + 1e-6
    assert macro_freedom(np.array([*fewer, 1, 0])) == found
    alike = np.full(3, fewer[0])
    assert macro_freedom(alike) == pytest.approx(3 * (fewer[0] - 1))


def test_macro_auroc_differences_go_by_students_t_of_the_patients_with_the_finding():
    random = np.random.default_rng(3)
    truth = np.zeros((200, 2))
    truth[:6, 0] = truth[:20, 1] = 1
    unit = np.arange(200) // 2  # so 3 and 10 patients
    pair = [random.normal(size=truth.shape) for _ in range(2)]
    drawn = resample(truth, pair, unit, resamples=200)
    freedom = (1 / 3 + 1 / 10) ** 2 / (1 / 9 / 2 + 1 / 100 / 9)
    for name, reference in (("auroc", t(freedom)), ("average_precision", norm)):
        part = drawn[name].of_difference(0, 1, 0.95)
        error = np.std(macro(drawn[name].draws[0]) - macro(drawn[name].draws[1]), ddof=1)
        assert part["p"] == pytest.approx(2 * reference.sf(abs(part["value"]) / error))
        assert part["high"] - part["value"] == pytest.approx(error * reference.ppf(0.975))


def test_without_spread_only_no_difference_is_sure():
    assert normal_interval(0.0, 0.0, 0.95) == {"value": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}
    assert normal_interval(0.2, 0.0, 0.95) == {"value": 0.2, "low": None, "high": None, "p": None}
    nothing = difference_interval(np.nan, np.full(9, np.nan), 0.95)
    assert nothing == {"value": None, "low": None, "high": None, "p": None}


@given(
    value=st.floats(0.001, 0.999),
    draws=st.lists(st.floats(0, 1) | st.just(np.nan), min_size=2, max_size=30),
)
def test_score_interval_stays_within_0_and_1_around_the_score(value, draws):
    found = score_interval(value, np.array(draws), 1e-4, 0.95)
    if found["low"] is None:
        assert np.isfinite(draws).sum() < 2
    else:
        assert 0 <= found["low"] <= value + 1e-12
        assert value - 1e-12 <= found["high"] <= 1


@pytest.mark.parametrize("value", [0.0, 1.0, np.nan])
def test_a_perfect_score_has_no_interval(value):
    found = score_interval(value, np.ones(50), 1e-4, 0.95)
    assert found["low"] is found["high"] is None


def test_macro_goes_over_the_labels_that_a_resample_has():
    scores = np.array([[0.5, np.nan, np.nan], [0.7, 0.9, np.nan]])
    np.testing.assert_allclose(macro(scores), [0.6, 0.9, np.nan])


def test_auroc_interval_holds_the_population_value_about_as_often_as_it_says():
    random = np.random.default_rng(1)
    true, held, trials = norm.cdf(1 / np.sqrt(2)), 0, 120
    for trial in range(trials):
        truth = (random.random((150, 1)) < 0.2).astype(float)
        score = random.normal(size=truth.shape) + truth
        drawn = resample(truth, [score], np.arange(150), resamples=200, seed=trial)["auroc"]
        part = drawn.of_label(0, 0, 0.9)
        held += part["low"] <= true <= part["high"]
    # binomial: 0.9 give or take three standard deviations of 0.027
    assert 0.82 <= held / trials <= 0.98


def test_more_images_of_the_same_patients_tell_nothing_more():
    random = np.random.default_rng(2)
    truth = (random.random((120, 1)) < 0.3).astype(float)
    score = random.normal(size=truth.shape) + truth
    four = [np.repeat(part, 4, axis=0) for part in (truth, score)]
    unit = np.arange(120)

    def width(truth, score, unit):
        part = resample(truth, [score], unit)["auroc"].of_label(0, 0, 0.95)
        return part["high"] - part["low"]

    once = width(truth, score, unit)
    assert width(*four, np.repeat(unit, 4)) == pytest.approx(once, rel=1e-9)
    assert width(*four, np.arange(480)) == pytest.approx(once / 2, rel=0.1)


def few(truth_column, patients):
    n = len(truth_column)
    random = np.random.default_rng(0)
    truth = np.column_stack([truth_column, np.arange(n) % 2]).astype(float)
    images = tuple(f"{i}.png" for i in range(n))
    return Predictions(
        images, patients, ("0",) * n, ("Rare", "Common"), random.random((n, 2)), truth
    )


def test_intervals_stand_beside_the_scores(simulated):
    scores = evaluate(simulated.truth, simulated.prob, simulated.labels)
    found = with_intervals(scores, simulated)
    json.dumps(found, allow_nan=False)
    parts = [part["pooled"] for part in found["per_label"].values()]
    for score in ("auroc", "average_precision"):
        for part in [*parts, found["macro"]["pooled"]]:
            bounds = part[f"{score}_interval"]
            assert bounds["low"] < part[score] < bounds["high"]
    made = found["intervals"]
    assert made["patients"] == made["units"] == len(set(simulated.patients))
    assert (made["level"], made["resamples"]) == (0.95, 2000)


def test_a_finding_in_one_patient_has_no_interval_and_is_counted_where_it_is_missing():
    truth = np.zeros(40)
    truth[:2] = 1
    one = few(truth, ("a", "a", *(f"p{i}" for i in range(38))))
    found = with_intervals(evaluate(one.truth, one.prob, one.labels), one)
    assert found["per_label"]["Rare"]["pooled"]["auroc_interval"] is None
    assert found["per_label"]["Common"]["pooled"]["auroc_interval"] is not None
    assert found["macro"]["pooled"]["auroc_interval"] is not None
    # 39 units: (1 - 1/39)^39 of the resamples go without that patient
    missing = found["intervals"]["undefined_resamples"]
    assert set(missing) == {"Rare"}
    assert missing["Rare"] / 2000 == pytest.approx((38 / 39) ** 39, abs=0.04)
    two = few(truth, ("",) * 40)
    found = with_intervals(evaluate(two.truth, two.prob, two.labels), two)
    assert found["per_label"]["Rare"]["pooled"]["auroc_interval"] is not None
    assert (found["intervals"]["patients"], found["intervals"]["units"]) == (0, 40)


def test_a_label_never_found_has_neither_score_nor_interval():
    none = few(np.zeros(30), ("",) * 30)
    found = with_intervals(evaluate(none.truth, none.prob, none.labels), none)
    assert found["per_label"]["Rare"]["pooled"]["average_precision_interval"] is None
    assert found["intervals"]["undefined_resamples"] == {}
    assert found["macro"]["pooled"]["auroc_interval"] is not None


def test_a_runs_metrics_hold_intervals_of_folds_and_test_set(run_of):
    run = run_of()
    result = write_metrics(run)
    for part in (result, result["test"]):
        bounds = part["macro"]["pooled"]["auroc_interval"]
        assert bounds["low"] < part["macro"]["pooled"]["auroc"] < bounds["high"]
    small, large = (part["macro"]["pooled"]["auroc_interval"] for part in (result["test"], result))
    assert small["high"] - small["low"] > large["high"] - large["low"]
    assert write_metrics(run) == result
