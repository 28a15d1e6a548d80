"""Decisions withheld near the threshold, against a double loop."""

import numpy as np
import pytest

from cxrkeras.evaluation.rules import parse_rule
from cxrkeras.evaluation.scores.abstention import crossed_thresholds, fit_abstention, withheld
from cxrkeras.evaluation.scores.curve import Curve

RNG = np.random.default_rng(0)
N = 240
TRUTH = (RNG.random((N, 2)) < 0.3).astype(float)
TRUTH[::9, 0] = np.nan
SCORE = np.clip(0.3 + 0.25 * np.nan_to_num(TRUTH) + RNG.normal(0, 0.15, (N, 2)), 0.01, 0.99)
FOLD = np.arange(N) % 4
LABELS = ("a", "b")
CUTS = np.array([0.4, 0.45])


def log_odds(p: float) -> float:
    return float(np.log(p / (1 - p)))


@pytest.fixture(scope="module")
def found():
    rows = crossed_thresholds(parse_rule("youden"), TRUTH, SCORE, FOLD)
    return fit_abstention(LABELS, TRUTH, SCORE, CUTS, 0.2, FOLD, rows)


def test_what_is_reached_is_cross_fitted(found):
    hits = positives = decided = 0
    known = [n for n in range(N) if np.isfinite(TRUTH[n, 0])]
    apart, cuts = {}, {}
    for k in range(4):
        others = np.array([n for n in known if FOLD[n] != k])
        cuts[k] = parse_rule("youden").threshold(Curve(TRUTH[others, 0] == 1, SCORE[others, 0]))
    for n in known:
        apart[n] = abs(log_odds(SCORE[n, 0]) - log_odds(cuts[FOLD[n]]))
    for n in known:
        others = sorted(apart[m] for m in known if FOLD[m] != FOLD[n])
        if apart[n] > others[int(np.floor(0.2 * (len(others) - 1)))]:
            decided += 1
            positives += TRUTH[n, 0] == 1
            hits += TRUTH[n, 0] == 1 and SCORE[n, 0] > cuts[FOLD[n]]
    assert found["a"]["n"] == decided
    assert found["a"]["coverage"] == pytest.approx(decided / len(known), abs=1e-12)
    assert found["a"]["sensitivity"] == pytest.approx(hits / positives, abs=1e-12)


def test_about_the_share_is_withheld_and_it_lies_around_the_threshold(found):
    held = withheld(found, LABELS, CUTS, SCORE)
    for k, label in enumerate(LABELS):
        assert found[label]["coverage"] == pytest.approx(0.8, abs=0.05)
        inside = (found[label]["low"] <= SCORE[:, k]) & (SCORE[:, k] <= found[label]["high"])
        assert (inside == held[:, k]).mean() > 0.99
        assert found[label]["low"] < CUTS[k] < found[label]["high"]


def test_without_a_threshold_nothing_is_withheld():
    none = fit_abstention(
        LABELS, TRUTH, SCORE, np.array([np.nan, 0.4]), 0.2, FOLD, np.full((N, 2), 0.4)
    )
    assert none["a"] is None
    assert not withheld(none, LABELS, np.array([np.nan, 0.4]), SCORE)[:, 0].any()
