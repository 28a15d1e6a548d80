import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    hamming_loss,
    mean_absolute_error,
    roc_auc_score,
)

from cxrkeras.data.distortion import Factor
from cxrkeras.evaluation.scores.metrics import evaluate
from cxrkeras.evaluation.scores.operating import from_prevalence

LABELS = ("Effusion", "Nodule", "Mass")


def random_set(seed, n=200, masked=0.2, levels=20):
    """Scores on a coarse grid, so that ties abound, and labels partly unknown."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((n, 3)) < [0.4, 0.2, 0.1]).astype(float)
    prob = np.clip(0.25 * truth + 0.7 * rng.random((n, 3)), 0, 1)
    prob = np.round(prob * levels) / levels
    truth[rng.random((n, 3)) < masked] = np.nan
    fold = rng.permutation(np.arange(n) % 4)
    return truth, prob, fold


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_agrees_with_scikit_learn(seed):
    truth, prob, _ = random_set(seed)
    cut = np.full(prob.shape, 0.35)
    result = evaluate(truth, prob, LABELS, thresholds={"prevalence": cut})
    for k, name in enumerate(LABELS):
        y, p = truth[:, k], prob[:, k]
        y, p = y[~np.isnan(truth[:, k])].astype(int), p[~np.isnan(truth[:, k])]
        pooled = result["per_label"][name]["pooled"]
        assert pooled["n"] == len(y)
        assert pooled["positives"] == y.sum()
        assert pooled["auroc"] == pytest.approx(roc_auc_score(y, p), abs=1e-12)
        ap = average_precision_score(y, p)
        assert pooled["average_precision"] == pytest.approx(ap, abs=1e-12)
        called = (p > 0.35).astype(int)
        assert pooled["hamming_prevalence"] == pytest.approx(hamming_loss(y, called))
        assert pooled["binary_accuracy"] == pytest.approx(accuracy_score(y, (p > 0.5).astype(int)))
        assert pooled["mae"] == pytest.approx(mean_absolute_error(y, p))
        assert pooled["all_negative_accuracy"] == pytest.approx(accuracy_score(y, np.zeros_like(y)))


def test_macro_and_micro_agree_with_scikit_learn_without_masks():
    truth, prob, _ = random_set(3, masked=0)
    y = truth.astype(int)
    result = evaluate(truth, prob, LABELS, thresholds={"prevalence": np.full(prob.shape, 0.4)})
    for average in ("macro", "micro"):
        pooled = result[average]["pooled"]
        assert pooled["auroc"] == pytest.approx(roc_auc_score(y, prob, average=average))
        ap = average_precision_score(y, prob, average=average)
        assert pooled["average_precision"] == pytest.approx(ap)
        # (1/NL) sum of XOR: with nothing masked, macro and micro Hamming are the same number
        called = (prob > 0.4).astype(int)
        assert pooled["hamming_prevalence"] == pytest.approx(hamming_loss(y, called))


@given(seed=st.integers(0, 10_000), power=st.floats(0.2, 5))
@settings(max_examples=10, deadline=None)
def test_ranking_metrics_ignore_monotone_maps_and_auroc_mirrors(seed, power):
    truth, prob, _ = random_set(seed, n=80)
    before, after, mirrored = (
        evaluate(truth, p, LABELS)["per_label"] for p in (prob, prob**power, 1 - prob)
    )
    for name in LABELS:
        a, b = before[name]["pooled"], after[name]["pooled"]
        assert a["auroc"] == b["auroc"]
        assert a["average_precision"] == b["average_precision"]
        if a["auroc"] is not None:
            assert mirrored[name]["pooled"]["auroc"] == pytest.approx(1 - a["auroc"])


@given(seed=st.integers(0, 10_000))
@settings(max_examples=5, deadline=None)
def test_masked_entries_count_nowhere_and_rows_may_come_in_any_order(seed):
    truth, prob, fold = random_set(seed, n=80)
    rng = np.random.default_rng(seed)
    other = np.where(np.isnan(truth), rng.random(prob.shape), prob)
    order = rng.permutation(len(truth))
    cut = {"prevalence": np.full(prob.shape, 0.3)}
    first = evaluate(truth, prob, LABELS, fold=fold, thresholds=cut)
    assert first == evaluate(truth, other, LABELS, fold=fold, thresholds=cut)
    again = evaluate(truth[order], prob[order], LABELS, fold=fold[order], thresholds=cut)
    for name in LABELS:
        for metric, value in first["per_label"][name]["pooled"].items():
            assert again["per_label"][name]["pooled"][metric] == pytest.approx(value)


def test_folds_mean_and_sample_sd():
    truth, prob, fold = random_set(11, n=400)
    result = evaluate(truth, prob, LABELS, fold=fold)
    alone = [evaluate(truth[fold == k], prob[fold == k], LABELS) for k in range(4)]
    values = [part["per_label"]["Nodule"]["pooled"]["auroc"] for part in alone]
    over = result["per_label"]["Nodule"]["over_folds"]["auroc"]
    assert over == {
        "mean": pytest.approx(np.mean(values)),
        "sd": pytest.approx(np.std(values, ddof=1)),
        "folds": 4,
    }
    macros = [part["macro"]["pooled"]["auroc"] for part in alone]
    assert result["macro"]["over_folds"]["auroc"]["mean"] == pytest.approx(np.mean(macros))
    assert "ddof=1" in result["sd"]


def test_label_without_positive_in_a_fold_is_listed_and_left_out_of_the_mean():
    truth, prob, fold = random_set(5, n=400, masked=0)
    truth[fold == 2, 2] = 0
    truth[fold == 1, 0] = 1
    result = evaluate(truth, prob, LABELS, fold=fold)
    assert {"label": "Mass", "fold": 2, "reason": "no positive"} in result["undefined"]
    assert {"label": "Effusion", "fold": 1, "reason": "no negative"} in result["undefined"]
    assert len(result["undefined"]) == 2
    assert result["per_label"]["Mass"]["over_folds"]["auroc"]["folds"] == 3
    assert result["macro"]["per_fold"][2]["labels"]["auroc"] == 2
    assert result["macro"]["per_fold"][2]["labels"]["prevalence"] == 3
    two = [result["per_label"][n]["per_fold"][2]["auroc"] for n in ("Effusion", "Nodule")]
    assert result["macro"]["per_fold"][2]["auroc"] == pytest.approx(np.mean(two))


def test_label_never_known_or_never_positive_leaves_json_without_nan():
    truth, prob, fold = random_set(7)
    truth[:, 1] = np.nan
    truth[:, 2] = 0
    result = evaluate(truth, prob, LABELS, fold=fold)
    json.dumps(result, allow_nan=False)
    reasons = {(u["label"], u["reason"]) for u in result["undefined"] if u["fold"] is None}
    assert reasons == {("Nodule", "no known label"), ("Mass", "no positive")}
    assert result["per_label"]["Nodule"]["pooled"]["auroc"] is None
    assert result["macro"]["pooled"]["labels"]["auroc"] == 1


def test_random_scores_reach_chance():
    rng = np.random.default_rng(0)
    truth = (rng.random((20_000, 1)) < 0.1).astype(float)
    pooled = evaluate(truth, rng.random((20_000, 1)), ["x"])["per_label"]["x"]["pooled"]
    assert pooled["auroc"] == pytest.approx(0.5, abs=0.03)
    assert pooled["average_precision"] == pytest.approx(pooled["prevalence"], abs=0.01)


def test_thresholds_of_each_fold_are_used_and_shown():
    truth, prob, fold = random_set(9, masked=0)
    prevalence = np.array([0.1, 0.2, 0.3, 0.3])[fold][:, None] * np.ones((1, 3))
    rules = from_prevalence(prevalence, Factor(np.full(prob.shape, 3.0)))
    result = evaluate(truth, prob, LABELS, fold=fold, thresholds=rules)
    label = result["per_label"]["Mass"]
    shown = label["thresholds"]["prevalence"]
    assert shown == pytest.approx({"mean": 0.225, "min": 0.1, "max": 0.3})
    assert label["thresholds"]["corrected"]["max"] == pytest.approx(0.9 / 1.6)
    wrong = (prob[:, 2] > prevalence[:, 2]) != (truth[:, 2] == 1)
    assert label["pooled"]["hamming_prevalence"] == pytest.approx(wrong.mean())


def test_label_untrained_in_a_fold_has_no_threshold_there():
    truth, prob, fold = random_set(9, masked=0)
    cut = np.full(prob.shape, 0.3)
    cut[fold == 0, 1] = np.nan
    result = evaluate(truth, prob, LABELS, fold=fold, thresholds={"prevalence": cut})
    assert result["per_label"]["Nodule"]["per_fold"][0]["hamming_prevalence"] is None
    assert [(u["label"], u["fold"]) for u in result["undefined"]] == [("Nodule", 0)]
    rest = fold != 0
    wrong = (prob[rest, 1] > 0.3) != (truth[rest, 1] == 1)
    pooled = result["per_label"]["Nodule"]["pooled"]
    assert pooled["hamming_prevalence"] == pytest.approx(wrong.mean())


def test_bad_input_is_refused():
    truth, prob, _ = random_set(1)
    with pytest.raises(ValueError, match="truth must be"):
        evaluate(truth + 1, prob, LABELS)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        evaluate(truth, np.where(prob > 0.5, np.nan, prob), LABELS)
    with pytest.raises(ValueError, match="K labels"):
        evaluate(truth, prob, LABELS[:2])
    with pytest.raises(ValueError, match="differ"):
        evaluate(truth, prob, ["a", "a", "b"])
    with pytest.raises(ValueError, match="thresholds"):
        evaluate(truth, prob, LABELS, thresholds={"x": np.zeros(3)})
