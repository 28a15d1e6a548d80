"""With No Finding as a fifteenth label, means are over the 14 findings, wherever they stand."""

from dataclasses import replace

import numpy as np
import pytest

from cxrkeras.data.labels.label_sets import LABEL_SETS
from cxrkeras.evaluation.compare.compare import compare_predictions
from cxrkeras.evaluation.compare.intervals import resample
from cxrkeras.evaluation.compare.uncertainty import with_intervals
from cxrkeras.evaluation.evidence.branches import score_branches
from cxrkeras.evaluation.evidence.evidence import write_evaluation
from cxrkeras.evaluation.evidence.performance import performance
from cxrkeras.evaluation.report.narrative import sentence
from cxrkeras.evaluation.report.run import write_report
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.evaluation.scores.counted import counted, left_out
from cxrkeras.evaluation.scores.metrics import evaluate
from cxrkeras.evaluation.scores.predictions import Predictions, write_predictions

NIH15, NIH14 = LABEL_SETS["nih15"], LABEL_SETS["nih14"]


def predictions(labels, seed=0, n=60) -> Predictions:
    """Of the first labels of NIH15, the same numbers for the same label."""
    rng = np.random.default_rng(seed)
    truth = np.random.default_rng(9).integers(0, 2, (n, len(NIH15))).astype(np.float64)
    prob = np.clip(rng.uniform(0, 0.7, truth.shape) + 0.3 * truth, 0, 1)
    prob[:, -1] = truth[:, -1]  # as nobody finds it: its part in a mean would be seen
    images = tuple(f"{number}.png" for number in range(n))
    folds = tuple(str(number % 2) for number in range(n))
    width = len(labels)
    return Predictions(images, images, folds, tuple(labels), prob[:, :width], truth[:, :width])


@pytest.mark.parametrize("labels", [("a", "No Finding"), NIH14, LABEL_SETS["chexpert14"]])
def test_everywhere_else_all_labels_count(labels):
    assert counted(labels).all()
    assert left_out(labels) == []


def test_in_any_order_and_spelling_no_finding_alone_is_left_out():
    turned = [name.replace("_", " ").upper() for name in reversed(NIH15)]
    assert left_out(turned) == ["NO FINDING"]
    assert counted(NIH15).tolist() == [True] * 14 + [False]


def test_means_and_their_intervals_are_those_without_it():
    fifteen, fourteen = predictions(NIH15), predictions(NIH14)
    scores = []
    for one in (fifteen, fourteen):
        cut = {"half": np.full(one.prob.shape, 0.5)}
        fold = np.array(one.folds).astype(int)
        found = evaluate(one.truth, one.prob, one.labels, fold=fold, thresholds=cut)
        scores.append(with_intervals(found, one))
    assert scores[0]["macro"] == scores[1]["macro"]
    assert scores[0]["micro"] == scores[1]["micro"]
    assert scores[0]["left_out"] == ["No Finding"]
    assert not {"left_out", "macro_all"} & set(scores[1])
    assert {k: v for k, v in scores[1].items() if k != "labels"}.keys() < scores[0].keys()
    assert scores[0]["per_label"]["No Finding"]["pooled"]["auroc"] == 1.0
    told = sentence({**scores[0], "patients": 0, "kind": "cv"})
    assert "over 14 of 15 labels, without No Finding (95% interval" in told
    assert f"; with No Finding {scores[0]['macro_all']['pooled']['auroc']:.3f} (95%" in told
    assert "with No Finding" not in sentence({**scores[1], "patients": 0, "kind": "cv"})
    ours, theirs = (performance(one, None, "how") for one in (fifteen, fourteen))
    assert ours["macro"] == theirs["macro"]


def test_the_mean_over_all_fifteen_stands_beside_with_its_interval(tmp_path):
    fifteen = predictions(NIH15)
    fifteen = replace(
        fifteen, folds=("0",) * 60, prob=np.where(fifteen.prob == 1, 0.99, fifteen.prob)
    )
    training = {"prevalence": np.full(15, 0.5), "distortion": None}
    about = {"predictions": "", "labels": "", "thresholds": "", "notes": []}
    scores = write_evaluation(tmp_path, fifteen, training, about)
    whole = scores["macro_all"]
    for score in ("auroc", "average_precision"):
        each = [scores["per_label"][label]["pooled"][score] for label in NIH15]
        assert whole["pooled"][score] == pytest.approx(np.mean(each), abs=1e-12)
        found = whole["pooled"][f"{score}_interval"]
        assert found["low"] < whole["pooled"][score] < found["high"]
        assert found != scores["macro"]["pooled"][f"{score}_interval"]
    assert whole["pooled"]["labels"]["auroc"] == 15
    fold = np.arange(60) % 2
    by_fold = evaluate(fifteen.truth, fifteen.prob, fifteen.labels, fold=fold)["macro_all"]
    assert [one["fold"] for one in by_fold["per_fold"]] == [0, 1]
    page = write_report(tmp_path).read_text("utf-8")
    assert page.index("Macro mean without No Finding") < page.index("Macro mean of all labels")


def test_so_are_differences(tmp_path):
    found = [
        compare_predictions(
            {"a": predictions(labels, 1), "b": predictions(labels, 2)}, resamples=50
        )
        for labels in (NIH15, NIH14)
    ]
    for score in ("auroc", "average_precision"):
        both = [one["differences"][0][score] for one in found]
        assert both[0] == both[1]
    alike = [one["correlations"][0]["mean"] for one in found]
    assert alike[0] == alike[1] < 1
    assert "The macro means go without No Finding." in found[0]["notes"]
    assert not any("go without" in note for note in found[1]["notes"])
    with_branch = []
    for labels in (NIH15, NIH14):
        write_predictions(RunFolder(tmp_path).branch("local"), predictions(labels, 2))
        with_branch.append(score_branches(tmp_path, predictions(labels, 1))["local"])
    for one in ("macro", "gain"):
        assert with_branch[0][one] == with_branch[1][one]
    drawn = resample(predictions(NIH15).truth, [predictions(NIH15).prob], np.arange(60), NIH15)
    assert drawn["auroc"].macro(0)[0] < 0.99


def test_so_are_branches_of_a_run(tmp_path):
    found = []
    for labels in (NIH15, NIH14):
        run = tmp_path / str(len(labels))
        run.mkdir()
        write_predictions(run / "predictions-local.csv", predictions(labels, 2))
        found.append(score_branches(run, predictions(labels, 1))["local"])
    assert found[0]["macro"] == found[1]["macro"]
    assert found[0]["gain"] == found[1]["gain"]
    assert found[0]["per_label"]["No Finding"] == 1.0
