import csv
import dataclasses
import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from cxrkeras.evaluation.compare.compare import compare_predictions
from cxrkeras.evaluation.compare.report import COLUMNS, write_comparison
from cxrkeras.evaluation.compare.verdict import verdict
from data_prep.errors import UserError
from tests.cxrkeras.evaluation.report.pages import check


def noisier(predictions, by, seed=0):
    """The same predictions with noise on their logits: worse, but correlated with the original."""
    odds = np.log(predictions.prob / (1 - predictions.prob))
    odds += by * np.random.default_rng(seed).normal(size=odds.shape)
    return dataclasses.replace(predictions, prob=1 / (1 + np.exp(-odds)))


def rows(predictions, order):
    """Those rows, in that order."""
    return dataclasses.replace(
        predictions,
        images=tuple(np.array(predictions.images)[order]),
        patients=tuple(np.array(predictions.patients)[order]),
        folds=tuple(np.array(predictions.folds)[order]),
        prob=predictions.prob[order],
        truth=predictions.truth[order],
    )


def compare(named, **options):
    return compare_predictions(named, **{"resamples": 300, **options})


def test_a_run_against_itself_does_not_differ(simulated):
    result = compare({"first": simulated, "again": simulated})
    (difference,) = result["differences"]
    for score in ("auroc", "average_precision"):
        part = difference[score]
        assert (part["value"], part["low"], part["high"], part["p"]) == (0, 0, 0, 1)
    for part in difference["per_label"].values():
        assert (part["difference"], part["p"], part["p_holm"]) == (0, 1, 1)
    assert difference["sentence"].startswith(
        "first and again are not distinguishable on 300 images (again minus first): "
        "macro AUROC +0.000"
    )
    assert result["runs"]["first"] == result["runs"]["again"]


def test_a_worse_run_is_told_and_the_figures_are_scikit_learns(simulated):
    worse = noisier(simulated, 3)
    result = compare({"good": simulated, "bad": worse})
    json.dumps(result, allow_nan=False)
    (difference,) = result["differences"]
    assert (difference["run"], difference["reference"]) == ("bad", "good")
    for score, by in (("auroc", roc_auc_score), ("average_precision", average_precision_score)):
        for name, p in (("good", simulated), ("bad", worse)):
            values = []
            for k, label in enumerate(p.labels):
                known = np.isfinite(p.truth[:, k])
                values.append(by(p.truth[known, k], p.prob[known, k]))
                found = result["runs"][name]["per_label"][label][score]
                assert found["value"] == pytest.approx(values[-1], abs=1e-12)
                assert found["low"] < found["value"] < found["high"]
            assert result["runs"][name][score]["value"] == pytest.approx(np.mean(values))
        part, runs = difference[score], result["runs"]
        assert part["value"] == pytest.approx(
            runs["bad"][score]["value"] - runs["good"][score]["value"]
        )
        assert part["low"] < part["value"] < part["high"] < 0
    for part in difference["per_label"].values():
        assert part["low"] < part["difference"] < part["high"]
        assert part["p_holm"] >= part["p"]
    assert difference["sentence"].startswith(
        "bad is worse than good on 300 images: macro AUROC -0."
    )


def test_pairing_makes_the_interval_narrow(simulated):
    result = compare({"a": simulated, "b": noisier(simulated, 0.2)})
    part, alone = result["differences"][0]["auroc"], result["runs"]["a"]["auroc"]
    assert part["high"] - part["low"] < (alone["high"] - alone["low"]) / 2


def test_order_of_rows_and_labels_is_no_matter_and_the_same_seed_gives_the_same(simulated):
    other = noisier(simulated, 1)
    first = compare({"a": simulated, "b": other})
    order = np.random.default_rng(0).permutation(len(other.images))
    columns = [2, 0, 1, *range(3, len(other.labels))]
    shuffled = rows(other, order)
    shuffled = dataclasses.replace(
        shuffled,
        labels=tuple(other.labels[k] for k in columns),
        prob=shuffled.prob[:, columns],
        truth=shuffled.truth[:, columns],
    )
    assert compare({"a": simulated, "b": shuffled}) == first
    assert compare({"a": simulated, "b": other}, seed=1) != first


def test_reference_and_all_pairs(simulated):
    named = {name: noisier(simulated, by) for name, by in (("a", 0.1), ("b", 0.5), ("c", 2))}

    def pairs(**options):
        result = compare(named, resamples=100, **options)
        return [(d["run"], d["reference"]) for d in result["differences"]]

    assert pairs() == [("b", "a"), ("c", "a")]
    assert pairs(reference="b") == [("a", "b"), ("c", "b")]
    assert pairs(all_pairs=True) == [("b", "a"), ("c", "a"), ("c", "b")]
    with pytest.raises(UserError, match="one of a, b, c"):
        compare(named, reference="d")


def test_several_comparisons_are_corrected_for(simulated):
    named = {str(i): noisier(simulated, 0.4, seed=i) for i in range(6)}
    result = compare(named)
    values = [d["auroc"]["p"] for d in result["differences"]]
    corrected = [d["auroc"]["p_holm"] for d in result["differences"]]
    assert corrected[np.argmin(values)] == pytest.approx(min(1, 5 * min(values)))
    assert all(
        "Holm's correction for 5 comparisons" in d["sentence"] for d in result["differences"]
    )


def test_patients_are_taken_from_the_run_that_knows_them(simulated):
    unknown = dataclasses.replace(simulated, patients=("",) * 300)
    result = compare({"a": unknown, "b": simulated})
    assert result["patients"] == result["units"] == len(set(simulated.patients))
    alone = compare({"a": unknown, "b": unknown})
    assert (alone["patients"], alone["units"]) == (0, 300)


def test_what_differs_is_refused_by_name(simulated):
    few = rows(simulated, np.arange(250))
    with pytest.raises(UserError, match=r"250 in all runs, and others: a 50\..*--common"):
        compare({"a": simulated, "b": few})
    fewer = dataclasses.replace(
        simulated,
        labels=simulated.labels[:-1],
        prob=simulated.prob[:, :-1],
        truth=simulated.truth[:, :-1],
    )
    with pytest.raises(UserError, match="only a has Cardiac hypertrophy"):
        compare({"a": simulated, "b": fewer})
    truth = simulated.truth.copy()
    truth[np.isfinite(truth[:, 1]).argmax(), 1] = np.nan
    with pytest.raises(UserError, match="a and b disagree in 1 entries, of Arterial curvature"):
        compare({"a": simulated, "b": dataclasses.replace(simulated, truth=truth)})
    elsewhere = dataclasses.replace(simulated, images=tuple(f"x{i}" for i in range(300)))
    with pytest.raises(UserError, match="without a common image"):
        compare({"a": simulated, "b": elsewhere}, common=True)
    with pytest.raises(UserError, match="at least two runs"):
        compare({"a": simulated})


def test_common_images_only(simulated):
    one, other = rows(simulated, np.arange(280)), rows(simulated, np.arange(30, 300))
    result = compare({"a": one, "b": other}, common=True)
    assert result["images"] == 250
    assert result["notes"][0] == ("Only the 250 images common to all; left out: a 30, b 20.")
    inner = rows(simulated, np.arange(30, 280))
    assert compare({"a": inner, "b": inner})["runs"]["a"] == result["runs"]["a"]


def test_other_folds_are_noted(simulated):
    moved = dataclasses.replace(simulated, folds=("0",) * 300)
    assert compare({"a": simulated, "b": simulated})["notes"] == []
    (note,) = compare({"a": simulated, "b": moved})["notes"]
    assert note.startswith("The folds differ")


def test_labels_without_a_class_are_left_out_of_the_means(simulated):
    truth = simulated.truth.copy()
    truth[:, 0] = 0
    truth[:, 1] = np.nan
    p = dataclasses.replace(simulated, truth=truth)
    result = compare({"a": p, "b": noisier(p, 1)})
    json.dumps(result, allow_nan=False)
    values = [part["auroc"]["value"] for part in result["runs"]["a"]["per_label"].values()]
    assert values[:2] == [None, None]
    assert result["runs"]["a"]["auroc"]["value"] == pytest.approx(np.mean(values[2:]))
    label = result["differences"][0]["per_label"][p.labels[0]]
    assert set(label.values()) == {None}


def part(value, reach=0.02, p=0.5, p_holm=None):
    return {
        "value": value,
        "low": value - reach,
        "high": value + reach,
        "p": p,
        "p_holm": p if p_holm is None else p_holm,
    }


NOTHING = {"value": None, "low": None, "high": None, "p": None, "p_holm": None}


@pytest.mark.parametrize(
    ("auroc", "precision", "said"),
    [
        (part(0.01), part(0.001), "b and a are not distinguishable on 546 images (a minus b): "),
        (part(0.05, p=0.001), part(0.04, p=0.01), "a is better than b on 546 images: "),
        (part(-0.05, p=0.001), part(-0.04, p=0.01), "a is worse than b on 546 images: "),
        (
            part(0.05, p=0.001),
            part(0.01),
            "a against b is better in macro AUROC and not distinguishable in average precision on "
            "546 images: ",
        ),
        (
            part(0.05, p=0.001),
            part(-0.05, p=0.001),
            "a against b is better in macro AUROC and worse in average precision on 546 images: ",
        ),
        (part(0.05, p=0.03, p_holm=0.3), part(0.01), "b and a are not distinguishable on 546"),
        (NOTHING, NOTHING, "b and a are not comparable on 546 images (a minus b): macro AUROC –, "),
    ],
)
def test_one_sentence(auroc, precision, said):
    difference = {"run": "a", "reference": "b", "auroc": auroc, "average_precision": precision}
    sentence = verdict({**difference, "per_label": {}}, {"images": 546, "level": 0.95})
    assert sentence.startswith(said)
    assert sentence.count(".") == sentence.count("0.") + 1
    assert sentence.endswith("95% intervals.")


def test_labels_that_differ_after_the_correction_are_named():
    labels = {"Mass": {"p_holm": 0.01}, "Nodule": {"p_holm": 0.2}, "Hernia": {"p_holm": None}}
    difference = {
        "run": "a",
        "reference": "b",
        "auroc": part(0.01),
        "average_precision": part(0.01),
        "per_label": labels,
    }
    sentence = verdict(difference, {"images": 1, "level": 0.975}, 3)
    assert "on 1 image after Holm's correction for 3 comparisons" in sentence
    assert sentence.endswith("97.5% intervals; by label, Holm-corrected: Mass.")


def test_files_hold_the_comparison(tmp_path, simulated):
    named = {"good": simulated, "<b>bad</b>": noisier(simulated, 3), "third": noisier(simulated, 1)}
    result = compare(named)
    path = write_comparison(tmp_path / "out", result)
    assert json.loads((tmp_path / "out" / "comparison.json").read_text()) == result
    with (tmp_path / "out" / "comparison.csv").open() as file:
        table = list(csv.DictReader(file))
    assert tuple(table[0]) == COLUMNS
    assert len(table) == 2 * (2 + 7)
    assert float(table[0]["low"]) == result["differences"][0]["auroc"]["low"]
    text = check(path).text
    assert "<b>bad</b> minus good" in text
    for difference in result["differences"]:
        assert difference["sentence"] in text
    assert "Obuchowski's form" in text
    first = path.read_bytes()
    assert write_comparison(tmp_path / "out", result).read_bytes() == first


def test_page_of_a_comparison_with_little_to_compare(tmp_path, simulated):
    truth = np.full(simulated.truth.shape, np.nan)
    truth[:, 2] = np.arange(300) == 5
    p = dataclasses.replace(simulated, truth=truth, patients=simulated.images)
    result = compare({"a": p, "b": noisier(p, 1)}, resamples=100)
    text = check(write_comparison(tmp_path, result)).text
    assert "DeLong's test" in text
    assert "Labels with one class only in some resamples" in text
    assert "Abnormal lung fields (" in text
