"""What must be said beside a number: the limits, against SciPy's interval, and the words."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from cxrkeras.evaluation.compare.compare import compare_predictions
from cxrkeras.evaluation.compare.report import write_comparison
from cxrkeras.evaluation.evidence.doubts import (
    FAR,
    LEAST,
    constant_features,
    constant_predictions,
    doubts_of_performance,
    doubts_of_scores,
    point_doubt,
    points_in_words,
    score_doubts,
)
from cxrkeras.evaluation.evidence.evidence import write_metrics
from cxrkeras.evaluation.evidence.performance import performance
from cxrkeras.evaluation.report.narrative import warnings
from cxrkeras.evaluation.report.run import write_report
from cxrkeras.evaluation.scores.predictions import Predictions, read_predictions, write_predictions


def point(called: int, positives: int, false: int, negatives: int, kind="cross_fitted") -> dict:
    """A point that calls so many of the positives, and of the negatives."""
    reached = {"sensitivity": called / positives, "specificity": 1 - false / negatives}
    return {kind: {**reached, "n": positives + negatives, "positives": positives}}


@st.composite
def counts(draw):
    positives, negatives = draw(st.integers(1, 400)), draw(st.integers(1, 400))
    called, false = draw(st.integers(0, positives)), draw(st.integers(0, negatives))
    return called, positives, false, negatives


@given(counts())
def test_a_point_is_doubted_just_where_its_interval_or_the_limits_say_so(counted):
    called, positives, false, negatives = counted
    sensitivity, fallout = called / positives, false / negatives
    low = binomtest(called, positives).proportion_ci(method="wilson").low
    high = binomtest(false, negatives).proportion_ci(method="wilson").high
    informed = sensitivity - fallout
    least = informed - np.hypot(sensitivity - low, high - fallout)  # Newcombe 1998, method 10
    doubt = point_doubt(point(*counted))
    if min(abs(least), abs(informed - LEAST)) > 1e-6:
        assert bool(doubt.chance) == (informed < LEAST or least < 0)
    rate, share = (called + false) / (positives + negatives), positives / (positives + negatives)
    if min(abs(rate - share * FAR), abs(rate - share / FAR)) > 1e-9:
        assert bool(doubt.calls) == (rate > share * FAR or rate < share / FAR)
    if not doubt.chance and not doubt.calls:
        assert str(doubt) == ""


def test_a_point_that_calls_every_image_is_told_in_words():
    edema, fine = point(15, 15, 531, 531), point(80, 100, 90, 446)
    assert str(point_doubt(edema)) == (
        "no better than chance, or too few positives to tell: sensitivity 1.000, specificity "
        "0.000; "
        "positive in 100.0% of images, labelled in 2.7%"
    )
    assert points_in_words({"Edema": edema, "Effusion": fine}) == [
        "No better than chance, or too few positives to tell (sensitivity + specificity; by chance "
        "1): Edema 1.000 + 0.000.",
        "Positive far more or less often than labelled, in % of images: Edema 100.0% for 2.7%.",
    ]
    assert points_in_words({"Effusion": fine}) == []


def test_the_test_set_goes_before_the_folds_and_what_is_unknown_is_no_doubt():
    good, bad = point(80, 100, 90, 446), point(15, 15, 531, 531, "held_out")
    assert point_doubt(good | bad).chance
    assert not point_doubt(good | {"held_out": good["cross_fitted"]}).chance
    assert not any(point_doubt({"threshold": 0.5, "from": "somewhere"}, 0.1))
    unknown = {"sensitivity": None, "specificity": None, "n": 20, "positives": 0}
    assert not any(point_doubt({"cross_fitted": unknown}, 0.1))
    lacking = {"held_out": unknown, **point(15, 15, 531, 531)}  # a test set without a positive
    assert point_doubt(lacking) == point_doubt(point(15, 15, 531, 531))


def test_without_counts_the_limits_and_the_given_prevalence_decide():
    """As a `model.json` of before they were noted has it."""
    old = {"cross_fitted": {"sensitivity": 0.9, "specificity": 0.5}}
    assert not point_doubt(old).calls
    assert str(point_doubt(old, 0.03)) == "positive in 51.2% of images, labelled in 3.0%"
    assert not point_doubt(old, 0.3).calls
    assert not point_doubt(old, 0.03).chance
    assert point_doubt({"cross_fitted": {"sensitivity": 0.5, "specificity": 0.55}}).chance
    for n, positives in ((10, 10), (10, 0), (10, None), (10, 50), (0, 0), (None, 3)):
        impossible = {**old["cross_fitted"], "n": n, "positives": positives}
        assert point_doubt({"cross_fitted": impossible}, 0.03) == point_doubt(old, 0.03)


@pytest.mark.parametrize("positives", [0, 5])
def test_counts_that_the_two_shares_can_t_be_of_are_as_none(positives):
    """As anybody's `model.json` may have them: both shares take positives and negatives."""
    odd = {"n": 5, "positives": positives, "cross_fitted": {"sensitivity": 0.9, "specificity": 0.5}}
    assert str(point_doubt(odd, 0.03)) == "positive in 51.2% of images, labelled in 3.0%"


def part(value, low, high):
    return {"value": value, "low": low, "high": high}


def test_scores_whose_interval_holds_a_half_are_told():
    labels = {
        "good": part(0.8, 0.7, 0.9),
        "luck": part(0.6, 0.45, 0.7),
        "none": part(None, None, None),
        "few": part(0.9, None, None),
        "half": part(0.5, 0.4, None),
        "nameless": part(None, 0.4, 0.6),
    }
    doubts = score_doubts(part(0.55, 0.49, 0.61), labels, [{"label": "luck", "fold": "3"}])
    assert doubts.sentences == [
        "The same score for every image, which says nothing: luck (fold 3).",
        "The macro AUROC can't be told from chance: 0.550 (0.490 to 0.610).",
        "AUROCs that can't be told from chance (0.5): luck (0.600).",
    ]
    assert score_doubts(part(0.8, 0.7, 0.9), {"good": labels["good"]}).sentences == []


def test_constant_predictions_are_found_by_label_and_fold():
    prob = np.random.default_rng(0).random((12, 3))
    folds = ["0"] * 5 + ["1"] * 6 + ["2"]  # one image alone is no evidence
    prob[:5, 1] = 0.5 + np.linspace(0, 1e-8, 5)
    prob[5:11, 2] = 0.25
    found = constant_predictions(prob, ["a", "b", "c"], folds)
    assert found == [{"label": "b", "fold": "0"}, {"label": "c", "fold": "1"}]
    # that tiny scores differ by little says nothing; nor does the one fold of an undivided set
    tiny = np.stack([prob[:, 0] * 1e-9, np.full(12, 1e-9), np.zeros(12)], axis=1)
    found = constant_predictions(tiny, ["a", "b", "c"], ["0"] * 12)
    assert found == [{"label": "b", "fold": ""}, {"label": "c", "fold": ""}]
    told = score_doubts(part(None, None, None), {}, found).sentences
    assert told == ["The same score for every image, which says nothing: b, c."]


def test_constant_features_are_told_where_they_are_most():
    assert constant_features({"0": {"all": 2048, "constant": 1024}}) == []
    (told,) = constant_features(
        {"0": {"all": 2048, "constant": 2048}, "1": {"all": 2048, "constant": 3}}
    )
    assert told.endswith("2,048 of 2,048 in fold 0 are constant.")


@pytest.fixture
def dead(run_of):
    """A run whose every prediction is the same, on features that are."""
    run = run_of(test=False)
    predictions = read_predictions(run / "predictions.csv")
    alike = Predictions(**{**vars(predictions), "prob": np.full(predictions.prob.shape, 0.625)})
    write_predictions(run / "predictions.csv", alike)
    for path in run.glob("folds/*/fold.json"):
        facts = json.loads(path.read_text())
        path.write_text(json.dumps({**facts, "features": {"all": 64, "constant": 64}}))
    return run, alike


def test_a_dead_model_is_told_in_the_report_and_in_a_comparison(dead, simulated, tmp_path):
    run, alike = dead
    metrics = write_metrics(run)
    told = warnings(metrics)
    assert "64 of 64 in fold 0, 64 of 64 in fold 1" in told[0]
    assert told[1].startswith("The same score for every image")
    assert any("The macro AUROC can't be told from chance: 0.500" in line for line in told)
    assert any("No better than chance" in line for line in told)
    page = write_report(run).read_text()
    beware = page[page.index("Before you believe a number") : page.index('<section id="scores">')]
    assert "The macro AUROC can&#39;t be told from chance" in beware

    alive = Predictions(**{**vars(alike), "prob": read_alive(run, alike)})
    compared = compare_predictions({"dead": alike, "alive": alive}, resamples=100)
    assert "dead: The macro AUROC can't be told from chance: 0.500" in " ".join(compared["notes"])
    assert not any(note.startswith("alive: The macro") for note in compared["notes"])
    page = write_comparison(tmp_path / "compared", compared).read_text()
    assert "dead: The same score for every image" in page


def read_alive(run, alike: Predictions) -> np.ndarray:
    truth = np.nan_to_num(alike.truth)
    return np.clip(0.3 + 0.3 * truth + np.random.default_rng(0).normal(0, 0.1, truth.shape), 0, 1)


def test_a_leak_test_may_be_at_chance(dead):
    run, _ = dead
    told = warnings(write_metrics(run), shuffled=True)
    assert not any("chance" in line for line in told)


def test_what_the_report_doubts_the_model_card_s_performance_does(dead):
    run, alike = dead
    metrics, found = write_metrics(run), performance(alike, None, "here")
    assert doubts_of_scores(metrics) == doubts_of_performance(found)
    assert doubts_of_performance(found).macro


def test_the_folds_sensitivities_are_those_of_their_own_thresholds(run_of):
    metrics = write_metrics(run_of(test=False))
    predictions = read_predictions(run_of(test=False) / "predictions.csv")
    label = predictions.labels[0]
    y, called = predictions.truth[:, 0], np.zeros(len(predictions.images), bool)
    for k, by_label in metrics["training"].items():
        pi, w = by_label["prevalence"][label], by_label["inflation"][label]
        here = np.array(predictions.folds) == k
        called[here] = predictions.prob[here, 0] > w * pi / (w * pi + 1 - pi)
    pooled = metrics["per_label"][label]["pooled"]
    assert pooled["sensitivity_corrected"] == pytest.approx(called[y == 1].mean())
    assert pooled["specificity_corrected"] == pytest.approx((~called[y == 0]).mean())
