"""Greedy choice of members: against brute force, and what its estimates are worth on noise."""

from itertools import combinations_with_replacement

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from cxrkeras.evaluation.scores import selection
from cxrkeras.evaluation.scores.selection import METRICS, greedy, select

LABELS = ("Mass", "Nodule")
SCORES = {"auroc": roc_auc_score, "average_precision": average_precision_score}


def macro(metric, truth, prob):
    columns = [(truth[:, k], prob[:, k]) for k in range(truth.shape[1])]
    known = [(np.isfinite(t), t, p) for t, p in columns]
    return np.mean([SCORES[metric](t[rows], p[rows]) for rows, t, p in known])


def drawn(seed, members=4, rows=40, signal=1.0):
    rng = np.random.default_rng(seed)
    truth = (rng.random((rows, 2)) < 0.4).astype(float)
    parts = [signal * truth + rng.normal(size=(rows, 2)) for _ in range(members)]
    truth[rng.random((rows, 2)) < 0.1] = np.nan
    return truth, [np.nan_to_num(part) for part in parts]


@pytest.mark.parametrize("metric", METRICS)
def test_each_step_takes_what_helps_most_and_the_best_on_the_way_is_kept(metric, monkeypatch):
    monkeypatch.setattr(selection, "ROUNDS", 3)
    for seed in range(2):
        truth, parts = drawn(seed, members=3)
        taken, path = [], []
        for _ in range(3):
            tried = [
                macro(metric, truth, np.mean([parts[m] for m in [*taken, new]], axis=0))
                for new in range(len(parts))
            ]
            taken.append(int(np.argmax(tried)))
            path.append(max(tried))
        kept = taken[: int(np.argmax(path)) + 1]
        counts = greedy(truth, parts, LABELS, metric)
        assert counts.tolist() == [kept.count(m) for m in range(len(parts))]
        best = max(
            macro(metric, truth, np.mean([parts[m] for m in chosen], axis=0))
            for size in range(1, 4)
            for chosen in combinations_with_replacement(range(len(parts)), size)
        )
        alone = max(macro(metric, truth, part) for part in parts)
        assert alone <= max(path) <= best


def test_two_that_mend_each_other_are_found_by_brute_force_and_greedily(monkeypatch):
    """The best of all multisets is an equal pair, and a member that only harms is left out."""
    monkeypatch.setattr(selection, "ROUNDS", 2)
    truth = np.array([[1.0], [1], [0], [0]])
    parts = [np.array([column]).T for column in ([3.0, 1, 2, 0], [1.0, 3, 0, 2], [0.0, 0, 9, 9])]
    assert greedy(truth, parts, ["Mass"], "auroc").tolist() == [1, 1, 0]


def test_a_label_without_a_positive_doesn_t_count(monkeypatch):
    monkeypatch.setattr(selection, "ROUNDS", 4)
    truth, parts = drawn(0)
    truth[:, 1] = 0
    alone = greedy(truth[:, :1], [part[:, :1] for part in parts], LABELS[:1], "auroc")
    assert np.array_equal(greedy(truth, parts, LABELS, "auroc"), alone)


def test_the_choice_for_a_fold_hasn_t_seen_it(monkeypatch):
    monkeypatch.setattr(selection, "ROUNDS", 4)
    truth, parts = drawn(1)
    fold = np.array(["0", "1"] * 20)
    before = select(truth, parts, fold, LABELS)
    truth[fold == "0"] = 1 - truth[fold == "0"]
    after = select(truth, parts, fold, LABELS)
    assert np.array_equal(before.by_fold["0"], after.by_fold["0"])
    assert not np.array_equal(before.by_fold["1"], after.by_fold["1"])


@pytest.mark.slow
def test_on_noise_the_nested_estimate_is_chance_and_the_apparent_one_isn_t(monkeypatch):
    monkeypatch.setattr(selection, "ROUNDS", 3)
    fold, draws = (np.arange(60) % 4).astype(str), 25
    found = []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        truth = (rng.random((60, 1)) < 0.4).astype(float)
        told = select(truth, list(rng.normal(size=(6, 60, 1))), fold, LABELS[:1])
        found.append((told.apparent, told.nested))
    (apparent, nested), error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / draws**0.5
    assert abs(nested - 0.5) < 3 * error[1]
    assert apparent > 0.5 + 4 * error[0]
