import base64
import dataclasses
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrkeras.data.distortion import Factor
from cxrkeras.evaluation.evidence.evidence import row_thresholds, write_evaluation, write_metrics
from cxrkeras.evaluation.report import samples
from cxrkeras.evaluation.report.run import write_report
from cxrkeras.evaluation.scores.predictions import Predictions, read_predictions, write_predictions
from data_prep.errors import UserError
from tests.cxrkeras.evaluation.conftest import make_images, make_run, simulate
from tests.cxrkeras.evaluation.report.pages import Checker, check


@dataclasses.dataclass(frozen=True)
class Told:
    """A run with images that has been scored and has its report. Don't write into it."""

    run: Path
    metrics: dict
    html: str
    page: Checker


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> Told:
    folder = tmp_path_factory.mktemp("told")
    data = make_images(folder / "prepared", simulate(1, 300, 214))
    run = make_run(folder / "run", n=300, data=str(data))
    metrics = write_metrics(run)
    path = write_report(run)
    return Told(run, metrics, path.read_text("utf-8"), check(path))


@pytest.fixture
def scored(told, tmp_path) -> Path:
    """That run with its scores, to be changed."""
    return shutil.copytree(told.run, tmp_path / "run")


def test_report_of_a_run_is_whole_self_contained_and_names_nobody(told):
    metrics, page = told.metrics, told.page
    pooled = metrics["macro"]["pooled"]["auroc"]
    assert f"Pooled out-of-fold macro AUROC {pooled:.3f} over 7 labels" in page.text
    for section in (
        "scores",
        "test",
        "operating",
        "confusion",
        "curves",
        "calibration",
        "benefit",
        "cohort",
        "checklists",
        "folds",
        "training",
        "samples",
        "made",
    ):
        assert section in page.ids
    bounds = metrics["macro"]["pooled"]["auroc_interval"]
    assert f"(95% interval {bounds['low']:.3f} to {bounds['high']:.3f})" in page.text
    assert "whole patients were drawn with replacement, 2,000 times" in page.text
    for name, part in metrics["per_label"].items():
        assert name in page.text
        bounds = part["pooled"]["average_precision_interval"]
        assert f"{bounds['low']:.3f} to {bounds['high']:.3f}" in page.text
        assert f"{part['pooled']['auroc']:.3f}" in page.text
        assert f"{part['thresholds']['corrected']['mean']:.3f}" in page.text
    heads = re.findall(r'colspan="4">(\w+) rule<', told.html)
    assert heads == ["Corrected", "Prevalence"]
    rules = re.findall(r"<details( open)?>\n<summary>Rule: (\w+)", told.html)
    assert rules[:3] == [(" open", "corrected"), ("", "prevalence"), ("", "youden")]
    assert "Operating points: corrected, prevalence, youden" in page.text
    assert "The prevalence rule is the study's own threshold" in page.text
    assert "No patient in two folds: checked" in page.text
    p = read_predictions(told.run / "predictions.csv")
    for secret in {*p.patients, *p.images, *(name.split("/")[-1] for name in p.images)}:
        assert secret not in told.html
    # 4 figures for each label, 2 strips for each row, 4 panels for the folds, 4 for the stage
    assert len(page.figures) == 4 * 7 + 2 * 9 + 4 + 4


def test_where_the_distortion_is_unknown_nothing_is_corrected(run_of):
    run = run_of()
    for path in run.glob("folds/*/fold.json"):
        facts = json.loads(path.read_text())
        del facts["inflation"]
        path.write_text(json.dumps(facts))
    assert "corrected" not in json.dumps(write_metrics(run))
    page = check(write_report(run))
    assert "isn't known, so there is no corrected rule" in page.text
    assert page.text.lower().count("corrected") == 1
    html = (run / "report.html").read_text("utf-8")
    for row in re.findall(r"<thead>.*?</table>", html, re.S):
        counts = {len(re.findall("<t[hd]", line)) for line in re.findall("<tr.*?</tr>", row, re.S)}
        assert len(counts) == 1 or "colgroup" in row


def test_writing_again_gives_the_same_bytes(told, scored):
    assert write_report(scored).read_bytes() == (told.run / "report.html").read_bytes()


def test_metrics_of_an_earlier_version_have_no_intervals_and_are_shown(scored):
    run = scored
    metrics = json.loads((run / "metrics.json").read_text())
    for part in (metrics, metrics["test"]):
        del part["intervals"]
        for scored in (part["macro"], *part["per_label"].values()):
            for score in ("auroc", "average_precision"):
                del scored["pooled"][f"{score}_interval"]
    (run / "metrics.json").write_text(json.dumps(metrics))
    html = write_report(run).read_text("utf-8")
    check(run / "report.html")
    scores = html[html.index('<section id="scores">') : html.index("</section>")]
    assert "% interval" not in scores
    assert 'class="whisker"' not in html


def test_intervals_are_drawn_around_their_scores(told):
    found = re.findall(
        r'd="M([\d.]+) [\d.]+H([\d.]+)M.*?<circle class="dot pooled" cx="([\d.]+)"', told.html
    )
    assert len(found) == 2 * 8
    for low, high, at in found:
        assert float(low) <= float(at) <= float(high)


def test_sample_images_are_inlined_grey_and_small(told):
    assert 4 <= len(told.page.images) <= 16
    for image in told.page.images:
        content = base64.b64decode(image["src"].partition(",")[2])
        with Image.open(io.BytesIO(content)) as opened:
            assert opened.mode == "L"
            assert max(opened.size) <= samples.SIDE


def test_missing_parts_leave_their_sections_out(run_of):
    run = run_of(test=False)
    write_metrics(run)
    for name in ("experiment.toml", "environment.json"):
        (run / name).unlink()
    for path in run.glob("*/*/history.csv"):
        path.unlink()
    page = check(write_report(run))
    assert not page.ids & {"test", "training", "samples"}
    assert {"scores", "folds", "made"} <= page.ids


def test_histories_of_one_epoch_or_with_gaps_are_drawn(scored):
    run = scored
    head = "epoch,loss,learning_rate,val_loss\n"
    (run / "folds" / "0" / "history.csv").write_text(head + "0,0.7,0.001,0.8\n")
    (run / "folds" / "1" / "history.csv").write_text(head + "0,0.7,0,\n1,nan,0.001,0.8\n")
    (run / "folds" / "2" / "history.csv").write_text("")
    check(write_report(run))


def test_leak_test_is_announced(told, scored):
    assert "leak test" not in told.page.text
    path = scored / "experiment.toml"
    path.write_text(path.read_text().replace("shuffle_labels = false", "shuffle_labels = true"))
    assert "This is the leak test." in check(write_report(scored)).text


def test_warnings_are_shown(run_of):
    run = run_of(test=False)
    p = read_predictions(run / "predictions.csv")
    truth = p.truth.copy()
    truth[np.array(p.folds) == "2", 1] = 0
    truth[:, 0] = 0
    truth[truth[:, 2] == 1, 2] = np.where(np.arange((truth[:, 2] == 1).sum()) < 3, 1, 0)
    write_predictions(
        run / "predictions.csv",
        Predictions(p.images, p.patients, p.folds, p.labels, p.prob, truth),
    )
    write_metrics(run)
    text = check(write_report(run)).text
    assert "Aortic sclerosis: no positive out of fold." in text
    assert "Arterial curvature: no positive in fold 2; its means leave that out." in text
    assert "Fewer than 10 positives in all: Abnormal lung fields (3)" in text
    assert "over 6 of 7 labels" in text
    assert "Aortic sclerosis has no curve" in text


def test_names_are_escaped(tmp_path, simulated):
    labels = ("<script>alert(1)</script>", 'a"b&c', *simulated.labels[2:])
    p = Predictions(
        simulated.images,
        ("",) * 300,
        ("0",) * 300,
        labels,
        simulated.prob,
        simulated.truth,
    )
    training = {"prevalence": np.full(7, 0.1), "distortion": Factor(np.ones(7))}
    about = {"predictions": "p.csv", "labels": "<b>.csv", "thresholds": "a file", "notes": ["<i>"]}
    write_evaluation(tmp_path, p, training, about)
    page = check(write_report(tmp_path))
    assert "<script>alert(1)</script>" in page.text
    assert "patients unknown" in page.text


def test_samples_are_what_their_group_says(told):
    p = read_predictions(told.run / "predictions.csv")
    cut = row_thresholds(told.metrics, np.array(p.folds, dtype=int))["corrected"]
    chosen = samples.choose(p, cut)
    wanted = {"hit": (1, True), "miss": (1, False), "alarm": (0, True), "rest": (0, False)}
    for group, pairs in chosen.items():
        truth, called = wanted[group]
        assert pairs
        people = [p.patients[row] for row, _ in pairs]
        assert len(set(people)) == len(people)
        for row, column in pairs:
            assert p.truth[row, column] == truth
            assert (p.prob[row, column] > cut[row, column]) == called
    for row, _ in chosen["rest"]:
        assert not (p.truth[row] == 1).any()
        assert not (p.prob[row] > cut[row]).any()
    assert len({column for _, column in chosen["hit"]}) >= 5


def test_samples_take_no_patient_twice_and_leave_labelled_images_out_of_the_quiet():
    labels = ("Effusion",)
    patients = ("a", "a", "b", "c", "d")
    prob = np.array([[0.99], [0.98], [0.7], [0.01], [0.2]])
    truth = np.array([[1.0], [1.0], [1.0], [1.0], [0.0]])
    p = Predictions(tuple("12345"), patients, ("0",) * 5, labels, prob, truth)
    chosen = samples.choose(p, np.full((5, 1), 0.5))
    assert chosen == {"hit": [(0, 0), (2, 0)], "miss": [(3, 0)], "alarm": [], "rest": [(4, 0)]}


def test_a_label_that_nobody_could_judge_leaves_the_quiet_ones(told):
    p = read_predictions(told.run / "predictions.csv")
    cut = row_thresholds(told.metrics, np.array(p.folds, dtype=int))["corrected"]
    before = samples.choose(p, cut)["rest"]
    unknown = dataclasses.replace(p, truth=np.where(np.arange(7) == 2, np.nan, p.truth))
    cut = np.where(np.arange(7) == 3, np.nan, cut)
    after = samples.choose(unknown, cut)["rest"]
    assert len(after) == len(before)
    for row, column in after:
        assert column not in (2, 3)
        assert not (unknown.truth[row] == 1).any()
        assert not (p.prob[row] > cut[row]).any()


def test_samples_are_held_against_the_corrected_threshold(told):
    shown = set(re.findall(r"score 0\.\d+, threshold (0\.\d+)", told.page.text))
    p = read_predictions(told.run / "predictions.csv")
    cut = row_thresholds(told.metrics, np.array(p.folds, dtype=int))["corrected"]
    assert shown
    assert shown <= {f"{value:.3f}" for value in cut.ravel()}


def test_calibration_is_drawn_with_and_without_the_inflation(told):
    drawn = {
        kind: re.findall(rf'<polyline class="{kind} thin" points="([^"]+)"', told.html)
        for kind in ("val", "pooled")
    }
    assert len(drawn["val"]) == len(drawn["pooled"]) == 7
    for raw, mended in zip(drawn["val"], drawn["pooled"], strict=True):
        # undoing the inflation moves every mean score to the left
        across = [
            np.mean([float(point.split(",")[0]) for point in line.split()])
            for line in (raw, mended)
        ]
        assert across[1] < across[0]


@pytest.mark.parametrize(("score", "warned"), [(0.95, False), (0.4, True)])
def test_accuracy_no_better_than_never_calling_is_said(tmp_path, simulated, score, warned):
    prob = np.where(simulated.truth == 1, score, 0.05)
    p = dataclasses.replace(simulated, folds=("0",) * 300, prob=prob)
    training = {"prevalence": np.full(7, 0.1), "distortion": Factor(np.ones(7))}
    write_evaluation(tmp_path, p, training, {"thresholds": "a file"})
    text = check(write_report(tmp_path)).text
    assert ("is no better than that of a model that never finds anything" in text) == warned


def test_sample_outside_the_dataset_is_never_read(tmp_path, simulated):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "secret.png")
    (tmp_path / "set" / "images").mkdir(parents=True)
    outside = Predictions(
        ("../secret.png",) * 300,
        simulated.patients,
        simulated.folds,
        simulated.labels,
        simulated.prob,
        simulated.truth,
    )
    cut = np.full(simulated.prob.shape, 0.3)
    assert samples.load(outside, cut, tmp_path / "set") == []
    assert samples.load(outside, cut, tmp_path / "set" / "images" / "..") == []
    assert samples.load(outside, cut, tmp_path) == []
    inside = dataclasses.replace(outside, images=("secret.png",) * 300)
    assert len(samples.load(inside, cut, tmp_path)) >= 3


@pytest.mark.parametrize("content", [None, "{", "[]", json.dumps({"kind": "other"})])
def test_a_folder_that_is_no_run_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(UserError, match=r"finished run's metrics\.json"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("ranks_only", [False, True])
def test_pages_of_decisions_and_of_scores_are_whole(tmp_path, simulated, ranks_only):
    prob = simulated.prob * 40 - 9 if ranks_only else (simulated.prob > 0.5).astype(float)
    folds = ("0",) * 300
    p = dataclasses.replace(simulated, folds=folds, prob=prob, ranks_only=ranks_only)
    training = {"prevalence": np.full(7, 0.1), "distortion": Factor(np.ones(7))}
    about = {"predictions": "p.csv", "labels": "l.csv", "thresholds": "", "notes": []}
    metrics = write_evaluation(tmp_path, p, training, about)
    page = check(write_report(tmp_path))
    assert ("decisions" in page.ids, "operating" in page.ids) == (not ranks_only, False)
    assert ("curves" in page.ids) == ranks_only
    assert {"confusion", "calibration", "benefit"}.isdisjoint(page.ids) == ranks_only
    assert (metrics["decisions"] is None) == ranks_only
