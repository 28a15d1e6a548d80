from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from cxrkeras.evaluation.compare.resampling import (
    Ranking,
    bootstrap,
    resample_counts,
    sampling_units,
)
from experiments.bench import intervals


def drawn_set(seed, n=60, labels=3, levels=8, masked=0.2, rate=0.3):
    """Coarse scores, so that ties abound; entries partly unknown; patients with several images."""
    random = np.random.default_rng(seed)
    truth = (random.random((n, labels)) < rate).astype(float)
    prob = np.clip(0.3 * truth + 0.7 * random.random((n, labels)), 0, 1)
    if levels:
        prob = np.round(prob * levels) / levels
    truth[random.random(truth.shape) < masked] = np.nan
    unit = np.unique(random.integers(0, max(2, n // 2), n), return_inverse=True)[1]
    return truth, prob, unit


def by_scikit_learn(truth, score, weight):
    """AUROC and average precision of one label; NaN where the weighted images have one class."""
    used = np.isfinite(truth) & (weight > 0)
    y, s, w = truth[used], score[used], weight[used]
    if len(np.unique(y)) < 2:
        return np.nan, np.nan
    return (
        roc_auc_score(y, s, sample_weight=w),
        average_precision_score(y, s, sample_weight=w),
    )


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2, 60),
    levels=st.sampled_from([0, 1, 3, 8]),
    rate=st.sampled_from([0.0, 0.05, 0.4, 1.0]),
)
@settings(max_examples=30)
def test_each_resample_scores_as_scikit_learn_scores_it(seed, n, levels, rate):
    truth, prob, unit = drawn_set(seed, n, levels=levels, rate=rate)
    auroc, precision = bootstrap(truth, [prob, 1 - prob], unit, resamples=2, seed=seed)
    (counts,) = resample_counts(int(unit.max()) + 1, 2, seed)
    for b in range(2):
        weight = counts[unit, b]
        again = np.repeat(np.arange(n), weight)
        for r, scores in enumerate((prob, 1 - prob)):
            for k in range(truth.shape[1]):
                found = auroc[r, k, b], precision[r, k, b]
                weighted = by_scikit_learn(truth[:, k], scores[:, k], weight)
                repeated = by_scikit_learn(
                    truth[again, k], scores[again, k], np.ones(len(again), dtype=int)
                )
                np.testing.assert_allclose(found, weighted, atol=1e-12, rtol=0)
                np.testing.assert_allclose(found, repeated, atol=1e-12, rtol=0)


def test_labels_without_a_known_entry_or_a_class_are_undefined():
    truth = np.array([[np.nan, 1.0, 0.0], [np.nan, 1.0, 0.0]])
    auroc, precision = bootstrap(truth, [np.zeros((2, 3))], np.arange(2), resamples=3, seed=0)
    assert np.isnan(auroc).all()
    assert np.isnan(precision).all()


@given(units=st.integers(1, 40), resamples=st.integers(1, 30), at_once=st.integers(1, 500))
def test_resamples_draw_as_many_units_as_there_are_whatever_is_held_at_once(
    units, resamples, at_once
):
    parts = list(resample_counts(units, resamples, 5, at_once))
    counts = np.concatenate(parts, axis=1)
    assert counts.shape == (units, resamples)
    assert (counts.sum(axis=0) == units).all()
    assert all(part.size <= max(at_once, units) for part in parts)
    np.testing.assert_array_equal(
        counts, np.concatenate([*resample_counts(units, resamples, 5)], 1)
    )


def test_units_are_drawn_alike():
    # each count is Binomial(n, 1/n): mean 1, variance 1 - 1/n
    (counts,) = resample_counts(50, 4000, 1)
    assert counts.mean() == 1
    np.testing.assert_allclose(counts.mean(axis=1), 1, atol=5 / np.sqrt(4000))
    np.testing.assert_allclose(counts.var(), 1 - 1 / 50, rtol=0.02)


def test_images_of_a_patient_are_drawn_together_and_those_without_one_alone():
    images = ["b", "a", "c", "d", "p"]
    unit = sampling_units(images, ["p", "", "p", "", ""])
    assert unit[0] == unit[2]
    assert len(set(unit.tolist())) == 4  # an image that is called like a patient isn't that patient
    again = sampling_units(images[::-1], ["", "", "p", "", "p"])
    np.testing.assert_array_equal(again[::-1], unit)


def test_row_order_changes_nothing():
    truth, prob, unit = drawn_set(3)
    order = np.random.default_rng(0).permutation(len(unit))
    first = bootstrap(truth, [prob], unit, resamples=20, seed=1)
    second = bootstrap(truth[order], [prob[order]], unit[order], resamples=20, seed=1)
    np.testing.assert_array_equal(first, second)


def test_each_resample_is_announced():
    truth, prob, unit = drawn_set(3)
    calls = []
    bootstrap(truth, [prob], unit, resamples=17, seed=1, done=lambda: calls.append(1))
    assert len(calls) == 17


def test_ranking_takes_any_counts():
    truth, prob, unit = drawn_set(8, labels=1)
    counts = np.random.default_rng(0).integers(0, 4, (int(unit.max()) + 1, 6)).astype(np.int32)
    found = Ranking(truth[:, 0], prob[:, 0], unit, len(counts)).scores(counts)
    for b in range(6):
        wanted = by_scikit_learn(truth[:, 0], prob[:, 0], counts[unit, b])
        np.testing.assert_allclose([part[b] for part in found], wanted, atol=1e-12, rtol=0)


@pytest.mark.real
def test_published_predictions_score_as_by_scikit_learn(real):
    folder = real("metadata", "jrzech_preds.csv.gz").parent
    stand = SimpleNamespace(real=lambda place: folder)
    truth, prob, unit = intervals._published(stand)
    assert truth.shape == (22_433, 14)
    assert unit.max() + 1 == 6_187
    fast = bootstrap(truth, [prob], unit, resamples=2, seed=intervals.SEED)
    slow = intervals._looped(truth, prob, unit, 2)
    np.testing.assert_allclose(np.stack(fast)[:, 0], slow, atol=1e-12, rtol=0)
