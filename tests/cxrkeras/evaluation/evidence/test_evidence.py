import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from cxrkeras.evaluation.evidence.audit import audit_folds
from cxrkeras.evaluation.evidence.evidence import row_thresholds, write_metrics
from cxrkeras.evaluation.report.narrative import warnings
from cxrkeras.evaluation.report.run import write_report
from cxrkeras.evaluation.scores.predictions import read_predictions, write_predictions
from data_prep.errors import UserError


def test_predictions_survive_writing_to_the_last_bit(tmp_path, simulated):
    path = tmp_path / "predictions.csv"
    write_predictions(path, simulated)
    back = read_predictions(path)
    assert (back.images, back.patients, back.folds, back.labels) == (
        simulated.images,
        simulated.patients,
        simulated.folds,
        simulated.labels,
    )
    np.testing.assert_array_equal(back.prob, simulated.prob)
    np.testing.assert_array_equal(back.truth, simulated.truth)
    first = path.read_bytes()
    write_predictions(path, back)
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns="fold"), "Missing: fold"),
        (lambda t: t.assign(prob_x=2.0, true_x=0), "others"),
        (lambda t: t.assign(prob_x="high", true_x=0), "other text"),
        (lambda t: t.assign(prob_x=0.5, true_x=-1), "others"),
        (lambda t: t.assign(image="same"), "twice"),
        (lambda t: t.iloc[:0], "Missing"),
    ],
)
def test_damaged_predictions_are_refused(tmp_path, simulated, change, said):
    path = tmp_path / "predictions.csv"
    write_predictions(path, simulated)
    change(pd.read_csv(path)).to_csv(path, index=False)
    with pytest.raises(UserError, match=said):
        read_predictions(path)


def test_metrics_of_a_run(run_of):
    run = run_of()
    result = write_metrics(run)
    assert json.loads((run / "metrics.json").read_text()) == result
    p = read_predictions(run / "predictions.csv")
    known = np.isfinite(p.truth[:, 0])
    expected = roc_auc_score(p.truth[known, 0], p.prob[known, 0])
    assert result["per_label"][p.labels[0]]["pooled"]["auroc"] == pytest.approx(expected)
    assert result["folds"] == [0, 1, 2, 3, 4]
    assert result["patients"] == len(set(p.patients))
    assert result["test"]["images"] == 60


def test_each_row_is_cut_at_its_own_folds_threshold(run_of):
    run = run_of(test=False)
    result = write_metrics(run)
    assert result["test"] is None
    p = read_predictions(run / "predictions.csv")
    fold = np.array(p.folds, dtype=int)
    cut = row_thresholds(result, fold)
    for k in range(5):
        content = json.loads((run / "folds" / str(k) / "fold.json").read_text())
        pi = np.array([content["training_prevalence"][name] for name in p.labels])
        np.testing.assert_array_equal(cut["prevalence"][fold == k][0], pi)
        np.testing.assert_allclose(cut["corrected"][fold == k][0], 9 * pi / (9 * pi + 1 - pi))
    for rule, values in cut.items():
        known = np.isfinite(p.truth)
        wrong = ((p.prob > values) != (p.truth == 1))[known].mean()
        assert result["micro"]["pooled"][f"hamming_{rule}"] == pytest.approx(wrong)
    # the loss inflated the odds: only the corrected rule is any good
    micro = result["micro"]["pooled"]
    assert micro["hamming_corrected"] < micro["hamming_prevalence"] / 2


def test_test_set_is_cut_at_the_mean_over_folds(run_of):
    result = write_metrics(run_of())
    shares = [part["prevalence"] for part in result["training"].values()]
    name = result["labels"][0]
    shown = result["test"]["per_label"][name]["thresholds"]["prevalence"]["mean"]
    assert shown == pytest.approx(np.mean([share[name] for share in shares]))


def test_label_never_trained_has_no_threshold(run_of):
    run = run_of()
    for path in run.glob("folds/*/fold.json"):
        content = json.loads(path.read_text())
        content["training_prevalence"]["Spinal lesions"] = None
        path.write_text(json.dumps(content))
    result = write_metrics(run)
    assert result["per_label"]["Spinal lesions"]["pooled"]["hamming_corrected"] is None
    assert result["test"]["per_label"]["Spinal lesions"]["pooled"]["hamming_prevalence"] is None
    reasons = [u["reason"] for u in result["undefined"] if u["label"] == "Spinal lesions"]
    assert any("no threshold" in reason for reason in reasons)


def test_audit_counts_by_hand(simulated):
    folds = pd.DataFrame(
        {"image": simulated.images, "patient": simulated.patients, "fold": simulated.folds}
    )
    audit = audit_folds(folds, simulated, None)
    fold = np.array(simulated.folds)
    counts = np.array([(simulated.truth[fold == str(k)] == 1).sum(axis=0) for k in range(5)])
    for k, part in enumerate(audit["parts"]):
        assert list(part["positives"].values()) == counts[k].tolist()
        assert part["images"] == (fold == str(k)).sum()
        assert part["patients"] == len(set(np.array(simulated.patients)[fold == str(k)]))
    assert audit["patients_in_several_folds"] == 0
    worst = audit["largest_deviation"]
    off = np.abs(counts - counts.mean(axis=0))
    assert abs(worst["count"] - worst["even"]) == pytest.approx(off.max())


def test_audit_shows_the_test_set_but_does_not_take_it_for_a_fold(run_of):
    audit = write_metrics(run_of())["audit"]
    assert [part["fold"] for part in audit["parts"]] == ["0", "1", "2", "3", "4", "test"]
    folds, worst = audit["parts"][:-1], audit["largest_deviation"]
    counts = [part["positives"][worst["label"]] for part in folds]
    assert worst["even"] == pytest.approx(np.mean(counts))
    assert worst["fold"] != "test"
    assert audit["images_not_predicted"] == 0
    assert sum(audit["parts"][-1]["positives"].values()) > 0


def test_audit_tells_of_patients_who_were_found_to_be_one(run_of):
    run = run_of()
    none = {"merged": 0, "apart": 0}
    assert write_metrics(run)["audit"]["linked_patients"] == none
    for found in ({"merged": 4, "apart": 0}, {"merged": 0, "apart": 6}):
        (run / "environment.json").write_text(json.dumps({"linked_patients": found}))
        metrics = write_metrics(run)
        assert metrics["audit"]["linked_patients"] == found
        page = write_report(run).read_text()
        assert ("4 patient numbers merged" in page) == (found["merged"] == 4)
        assert (
            "6 patient numbers share a copy of a film with another, but were kept apart" in page
        ) == (found["apart"] == 6)
        warned = any("6 patient numbers" in line for line in warnings(metrics))
        assert warned == (found["apart"] == 6)


def test_audit_finds_a_leaking_patient_and_an_unknown_one(simulated):
    folds = pd.DataFrame(
        {"image": simulated.images, "patient": simulated.patients, "fold": simulated.folds}
    )
    patient = folds["patient"][0]
    other = folds.index[folds["patient"] != patient][0]
    folds.loc[other, ["patient", "fold"]] = [patient, str((int(folds["fold"][0]) + 1) % 5)]
    folds.loc[folds.index[-1], "patient"] = ""
    audit = audit_folds(folds, simulated, None)
    assert audit["patients_in_several_folds"] == 1
    assert audit["images_without_patient"] == 1


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("predictions.csv", r"predictions\.csv"),
        ("folds.csv", r"folds\.csv"),
        ("folds/3", "Train that fold again"),
    ],
)
def test_missing_parts_are_named_and_nothing_is_written(run_of, part, said):
    run = run_of()
    path = run / part
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    with pytest.raises(UserError, match=said):
        write_metrics(run)
    assert not (run / "metrics.json").exists()


def test_branches_stand_beside_the_model_with_what_it_gains(run_of):
    run = run_of()
    plain = write_metrics(run)
    assert "branches" not in plain
    whole = read_predictions(run / "predictions.csv")
    noise = np.random.default_rng(0).random(whole.prob.shape)
    for name, prob in (("same", whole.prob), ("worse", (whole.prob + 2 * noise) / 3)):
        write_predictions(run / f"predictions-{name}.csv", replace(whole, prob=prob))
    metrics = write_metrics(run)
    found = metrics.pop("branches")
    assert metrics == plain
    same, worse = found["same"], found["worse"]
    own = {name: part["pooled"]["auroc"] for name, part in plain["per_label"].items()}
    assert same["per_label"] == pytest.approx(own)
    interval = plain["macro"]["pooled"]["auroc_interval"]
    assert {end: same["macro"][end] for end in interval} == pytest.approx(interval)
    assert same["gain"]["value"] == 0
    gain = worse["gain"]
    assert gain["value"] == pytest.approx(same["macro"]["value"] - worse["macro"]["value"])
    assert 0 < gain["value"] < gain["high"]
    assert 'id="branches"' in write_report(run).read_text(encoding="utf-8")
    write_predictions(run / "predictions-other.csv", replace(whole, images=whole.images[::-1]))
    with pytest.raises(UserError, match=r"predictions-other\.csv must have the images"):
        write_metrics(run)
