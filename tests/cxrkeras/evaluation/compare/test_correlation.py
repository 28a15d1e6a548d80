"""Rank correlations of runs, against SciPy's."""

import dataclasses
import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from cxrkeras.evaluation.compare.compare import compare_predictions
from cxrkeras.evaluation.compare.correlation import rank_correlations
from cxrkeras.evaluation.compare.report import write_comparison
from tests.cxrkeras.evaluation.report.pages import check


def with_scores(predictions, prob):
    return dataclasses.replace(predictions, prob=prob)


def test_they_are_scipys_with_ties_too(simulated):
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.2, simulated.prob.shape)
    other = with_scores(simulated, np.clip(np.round(simulated.prob + noise, 1), 0, 1))
    third = with_scores(simulated, rng.random(simulated.prob.shape))
    named = {"a": simulated, "b": other, "c": third}
    found = rank_correlations(named)
    assert [part["runs"] for part in found] == [["a", "b"], ["a", "c"], ["b", "c"]]
    for part in found:
        one, two = (named[name].prob for name in part["runs"])
        wanted = [spearmanr(one[:, k], two[:, k]).statistic for k in range(one.shape[1])]
        assert list(part["per_label"]) == list(simulated.labels)
        np.testing.assert_allclose(list(part["per_label"].values()), wanted, atol=1e-12)
        assert part["mean"] == pytest.approx(np.mean(wanted))


def test_an_order_is_all_that_counts(simulated):
    scores = simulated.prob
    for other, wanted in ((scores**3, 1), (1 - scores, -1)):
        (part,) = rank_correlations({"a": simulated, "b": with_scores(simulated, other)})
        np.testing.assert_allclose(list(part["per_label"].values()), wanted, atol=1e-12)


def test_scores_that_are_all_equal_have_none(simulated):
    scores = simulated.prob.copy()
    scores[:, 1] = 0.5
    (part,) = rank_correlations({"a": simulated, "b": with_scores(simulated, scores)})
    assert part["per_label"][simulated.labels[1]] is None
    assert part["mean"] == pytest.approx(1)
    nothing = with_scores(simulated, np.full_like(scores, 0.5))
    (part,) = rank_correlations({"a": simulated, "b": nothing})
    assert part["mean"] is None


def test_a_comparison_has_them_aligned_and_shows_them(simulated, tmp_path):
    order = np.random.default_rng(1).permutation(len(simulated.images))
    other = dataclasses.replace(
        simulated,
        **{
            name: tuple(np.array(getattr(simulated, name))[order])
            for name in ("images", "patients", "folds")
        },
        prob=1 - simulated.prob[order],
        truth=simulated.truth[order],
    )
    result = compare_predictions({"a": simulated, "b": other}, resamples=100)
    (part,) = result["correlations"]
    assert part["mean"] == pytest.approx(-1)
    json.dumps(result, allow_nan=False)
    assert "a and b-1.000-1.000" in check(write_comparison(tmp_path, result)).text
