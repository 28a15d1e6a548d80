import html
import json
import re

import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from cxrkeras.cli import main
from cxrkeras.evaluation.evidence.doubts import LEARNT, LEARNT_BY_FOLDS

PREDICTIONS = "image,prob_Effusion,prob_Mass\n" + "".join(
    f"{i}.png,{(i * 7 % 20) / 20},{(i * 3 % 20) / 20}\n" for i in range(40)
)
LABELS = "image,Effusion,Mass\n" + "".join(
    f"{i}.png,{int(i % 3 == 0)},{i % 2}\n" for i in range(40)
)


@pytest.fixture
def run(tmp_path, capsys):
    """`run(...)` calls `cxrkeras evaluate` on two small tables: exit code, stdout, stderr."""
    (tmp_path / "p.csv").write_text(PREDICTIONS)
    (tmp_path / "l.csv").write_text(LABELS)

    def call(*options, predictions="p.csv", labels="l.csv", out="out"):
        files = ["--predictions", tmp_path / predictions, "--labels", tmp_path / labels]
        argv = ["evaluate", *files, "--out", tmp_path / out, *options]
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in argv])
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    return call


def test_writes_metrics_predictions_and_report(run, tmp_path):
    code, out, err = run()
    assert (code, err) == (0, "")
    folder = tmp_path / "out"
    assert out.splitlines()[-1] == f"Report: {folder / 'report.html'}"
    names = {path.name for path in folder.iterdir()}
    assert names == {"evidence.json", "metrics.json", "predictions.csv", "report.html"}
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["kind"] == "evaluate"
    assert metrics["per_label"]["Mass"]["thresholds"]["prevalence"]["mean"] == 0.5
    assert "prevalence of the labels being scored" in out


def test_workbooks_are_scored_as_their_tables_are(run, tmp_path):
    assert run()[0] == 0
    tables = [pd.read_csv(tmp_path / name) for name in ("p.csv", "l.csv")]
    with pd.ExcelWriter(tmp_path / "both.xlsx") as book:
        for name, table in zip(("Scores", "Labels"), tables, strict=True):
            table.to_excel(book, sheet_name=name, index=False)
    sheets = {"predictions": "both.xlsx:scores", "labels": "both.xlsx:labels"}
    assert run(**sheets, out="again")[0] == 0
    first, again = (
        json.loads((tmp_path / out / "metrics.json").read_text()) for out in ("out", "again")
    )
    assert first["per_label"] == again["per_label"]
    code, _, err = run(predictions="both.xlsx", out="third")
    assert code == 1
    assert "2 sheets with rows: Scores, Labels. Say which: both.xlsx:Scores" in err


def test_given_prevalence_sets_the_thresholds(run, tmp_path):
    (tmp_path / "pi.json").write_text(json.dumps({"Effusion": 0.2, "Mass": 0.1}))
    code, out, _ = run("--prevalence", tmp_path / "pi.json")
    assert code == 0
    assert "the prevalence given in pi.json" in out
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["per_label"]["Mass"]["thresholds"]["corrected"]["mean"] == pytest.approx(0.1)


def test_earlier_results_are_replaced_only_where_that_is_asked_for(run, tmp_path):
    run()
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    (tmp_path / "out" / "mine.txt").write_text("mine")
    (tmp_path / "p.csv").write_text(PREDICTIONS.replace("prob_Mass", "prob_Nodule"))
    code, out, err = run()
    assert (code, out) == (1, "")
    assert "--overwrite" in err
    assert before == {name: (tmp_path / "out" / name).read_bytes() for name in before}
    assert run("--overwrite")[0] == 0
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["labels"] == ["Effusion"]
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    (tmp_path / "p.csv").write_text("image,prob_Hernia\n0.png,0.5\n")
    assert run("--overwrite")[0] == 1  # and what can't be done removes nothing
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["labels"] == ["Effusion"]


def page_of(tmp_path, out="out"):
    text = (tmp_path / out / "report.html").read_text("utf-8").split("</style>")[1]
    return html.unescape(re.sub(r"<[^>]+>", "", text))


def test_whole_patients_are_named_only_where_there_are_some(run, tmp_path):
    out = run()[1]
    assert "Intervals: from 2,000 resamples of images (patients unknown)." in out
    assert "Patients unknown: every image counts as a patient of its own" in out
    assert "whole patients" not in out
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["intervals"]["drawn"] == "images (patients unknown)"
    page = page_of(tmp_path)
    assert "images (patients unknown) were drawn with replacement" in page
    assert "Patients unknown: every image" in page
    assert "whole patients" not in page
    known = LABELS.replace("image,", "image,MRN,", 1)
    rows = [line.replace(",", f",{n // 4},", 1) for n, line in enumerate(known.splitlines()[1:])]
    (tmp_path / "l.csv").write_text("\n".join([known.splitlines()[0], *rows]) + "\n")
    out = run(out="known")[1]
    assert "Intervals: from 2,000 resamples of whole patients." in out
    assert "unknown" not in out
    assert "whole patients were drawn with replacement" in page_of(tmp_path, "known")
    told = json.loads((tmp_path / "known" / "metrics.json").read_text())
    assert told["intervals"]["patients"] == told["intervals"]["units"] == 10
    assert told["per_label"]["Mass"] != metrics["per_label"]["Mass"]  # other intervals
    written = (tmp_path / "known" / "predictions.csv").read_text()
    assert not re.search(r"png,\d,", written)  # no patient number as it was
    partly = (tmp_path / "l.csv").read_text().replace(",9,", ",,")
    (tmp_path / "l.csv").write_text(partly)
    out = run(out="partly")[1]
    assert "resamples of whole patients and images without one." in out
    assert "4 images without a patient: each counts as a patient of its own." in out


def test_any_scores_are_ranked_and_get_no_threshold(run, tmp_path):
    prob = pd.read_csv(tmp_path / "p.csv")
    odds = prob.assign(**{c: 40 * prob[c] - 23.5 for c in prob if c.startswith("prob_")})
    odds.to_csv(tmp_path / "odds.csv", index=False)
    code, _, err = run(predictions="odds.csv")
    assert code == 1
    assert "--scores" in err
    assert run("--scores", "--prevalence", tmp_path / "p.csv")[0] == 2
    code, out, err = run("--scores", predictions="odds.csv", out="ranked")
    assert (code, err) == (0, "")
    assert "only their order was judged" in out
    assert "hreshold" not in out.replace("without thresholds", "")
    run()
    kinds = {n: json.loads((tmp_path / n / "metrics.json").read_text()) for n in ("ranked", "out")}
    for label in ("Effusion", "Mass"):
        ours, theirs = (kinds[n]["per_label"][label]["pooled"] for n in ("ranked", "out"))
        for score in ("auroc", "average_precision", "auroc_interval"):
            assert ours[score] == theirs[score]
        assert not [name for name in ours if "hamming" in name]
        assert ours["mae"] is ours["binary_accuracy"] is None
    page = page_of(tmp_path, "ranked")
    assert "These are scores, not probabilities" in page
    for word in ("Prevalence rule", "Binary accuracy isn't evidence", "Rows in up to ten bins"):
        assert word not in page
        assert word in page_of(tmp_path)


def test_decisions_get_sensitivity_and_specificity(run, tmp_path):
    prob = pd.read_csv(tmp_path / "p.csv")
    truth = pd.read_csv(tmp_path / "l.csv")
    prob["prob_Mass"] = (prob["prob_Mass"] > 0.5).astype(int)
    prob.to_csv(tmp_path / "p.csv", index=False)
    code, out, _ = run()
    assert code == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    part = metrics["decisions"]["Mass"]
    (tn, fp), (fn, tp) = confusion_matrix(truth["Mass"], prob["prob_Mass"])
    assert (part["found"], part["positives"]) == (tp, tp + fn)
    assert (part["cleared"], part["negatives"]) == (tn, tn + fp)
    line = f"{tp / (tp + fn):.4f} ({tp} of {tp + fn})"
    assert line in out
    assert f"{tn / (tn + fp):.4f} ({tn} of {tn + fp})" in out
    assert part["sensitivity"]["low"] < tp / (tp + fn) < part["sensitivity"]["high"]
    assert metrics["per_label"]["Mass"]["pooled"]["auroc"] is None
    assert metrics["macro"]["pooled"]["labels"]["auroc"] == 1
    assert "0/1 decisions, no scores: Mass." in out
    assert f"{tp} of {tp + fn}" in page_of(tmp_path)
    prob["prob_Effusion"] = (prob["prob_Effusion"] > 0.4).astype(int)
    prob.to_csv(tmp_path / "p.csv", index=False)
    out = run(out="all")[1]
    assert "0/1 decisions: mean sensitivity 0." in out.splitlines()[-2]
    assert "AUROC 0." not in out
    page = page_of(tmp_path, "all")
    assert "Mean sensitivity" in page
    assert "Receiver operating characteristic" not in page
    assert "Scores per label" not in page
    assert "A label is positive if" not in page
    assert "0/1 decisions. No better than chance" in out
    assert "Corrected rule" not in out
    assert "Thresholds" not in out


def test_images_that_the_model_learnt_from_are_no_evidence(run, tmp_path):
    """`cxrkeras predict` says of each image whether it was learnt from."""
    table = pd.read_csv(tmp_path / "p.csv").rename(columns={"image": "file"})
    table.insert(1, "file_name", table["file"])
    table["warnings"] = ["", f"body part CHEST; {LEARNT}", LEARNT_BY_FOLDS, "another"] * 10
    table.to_csv(tmp_path / "p.csv", index=False)
    code, out, _ = run()
    assert code == 0
    said = "The model learnt from 20 of the 40 images: the scores are too good to be true."
    assert said in out
    assert said in page_of(tmp_path)
    table.assign(warnings="another").to_csv(tmp_path / "p.csv", index=False)
    assert "learnt" not in run(out="fresh")[1]


def test_foreign_folders_are_left_alone(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("mine")
    code, _, err = run()
    assert code == 1
    assert "holds something else" in err
    (tmp_path / "cv").mkdir()
    (tmp_path / "cv" / "metrics.json").write_text('{"kind": "cv"}')
    assert run(out="cv")[0] == 1
    assert run("--overwrite", out="cv")[0] == 1
    assert run(out="p.csv")[0] == 1
    assert (tmp_path / "p.csv").read_text() == PREDICTIONS
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["precious.txt"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.csv", PREDICTIONS.replace("0.05", "5")),
        ("p.csv", PREDICTIONS.replace("image", "picture")),
        ("p.csv", ""),
        ("l.csv", LABELS.replace("0.png,1", "0.png,perhaps")),
        ("l.csv", LABELS + "0.png,1,1\n"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(run, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    code, out, err = run()
    assert code == 1
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("Error: ")
    assert not (tmp_path / "out").exists()


def test_missing_table_and_wrong_usage(run):
    assert run(predictions="absent.csv")[0] == 1
    assert run("--uncertain", "perhaps")[0] == 2
    code, _, err = run("--operating-point", "youden")
    assert code == 2
    assert "leave it out without --run" in err


def test_report_is_written_again(run, tmp_path, capsys):
    run()
    path = tmp_path / "out" / "report.html"
    first = path.read_bytes()
    path.unlink()
    with pytest.raises(SystemExit) as stop:
        main(["report", str(tmp_path / "out")])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"Report: {path}\n"
    assert path.read_bytes() == first
