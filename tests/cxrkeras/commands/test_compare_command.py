import html
import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from cxrkeras.cli import main


def table(seed, n=60, noise=0.5):
    """A predictions.csv of two labels; the truth is the same for every seed."""
    truth = np.random.default_rng(0).random((n, 2)) < 0.4
    random = np.random.default_rng(seed)
    prob = 1 / (1 + np.exp(-(2 * truth - 1) - noise * random.normal(size=truth.shape)))
    columns = {
        "image": [f"images/{i}.png" for i in range(n)],
        "patient": [f"p{i}" for i in range(n)],
    }
    columns["fold"] = [i % 3 for i in range(n)]
    for k, name in enumerate(("Effusion", "Mass")):
        columns[f"prob_{name}"] = prob[:, k]
        columns[f"true_{name}"] = truth[:, k].astype(int)
    return pd.DataFrame(columns)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """`run(...)` calls `cxrkeras compare` where the runs good, bad and other/good lie."""
    monkeypatch.chdir(tmp_path)
    for name, seed, noise in (("good", 1, 0.5), ("bad", 2, 6), ("other/good", 3, 0.6)):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        table(seed, noise=noise).to_csv(folder / "predictions.csv", index=False)
        table(seed + 9, 40, noise).to_csv(folder / "test_predictions.csv", index=False)

    def call(*words):
        with pytest.raises(SystemExit) as stop:
            main(["compare", *map(str, words)])
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    return call


def test_prints_runs_labels_and_the_sentence_last(run):
    code, out, err = run("good", "bad", "--resamples", 200)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("run "))
    assert all("told from chance" in line for line in lines[:first])
    assert lines[first + 1].startswith("good ")
    assert any(line.startswith("Effusion") for line in lines)
    said = next(line for line in lines if line.startswith("good and bad: 0."))
    assert said.endswith(" by label)")
    assert lines[-1].startswith("bad is worse than good on 60 images: macro AUROC -0.")
    assert run("good", "bad", "--resamples", 200)[1] == out


def test_writes_files_where_it_may(run, tmp_path):
    code, out, _ = run("good", "bad", "good", "--all-pairs", "--out", "cmp", "--resamples", 100)
    assert code == 0
    assert out.splitlines()[-1] == "Page: cmp/comparison.html"
    names = {path.name for path in (tmp_path / "cmp").iterdir()}
    assert names == {"comparison.html", "comparison.json", "comparison.csv"}
    result = json.loads((tmp_path / "cmp" / "comparison.json").read_text())
    assert list(result["runs"]) == ["good", "bad", "good (2)"]
    assert len(result["differences"]) == 3
    assert "good and good (2) are not distinguishable on 60 images" in out
    before = (tmp_path / "cmp" / "comparison.json").read_bytes()
    code, _, err = run("good", "bad", "--out", "cmp")
    assert (code, "--overwrite" in err) == (1, True)
    assert (tmp_path / "cmp" / "comparison.json").read_bytes() == before
    assert run("good", "bad", "--out", "cmp", "--overwrite", "--resamples", 100)[0] == 0
    assert (tmp_path / "cmp" / "comparison.json").read_bytes() != before
    code, _, err = run("good", "bad", "--out", "good", "--overwrite")
    assert code == 1
    assert "holds something else" in err


def test_terminal_page_json_and_csv_tell_one_direction(run, tmp_path):
    out = run("good", "bad", "--out", "cmp", "--resamples", 100)[1]
    page = html.unescape((tmp_path / "cmp" / "comparison.html").read_text("utf-8"))
    result = json.loads((tmp_path / "cmp" / "comparison.json").read_text())
    table = pd.read_csv(tmp_path / "cmp" / "comparison.csv")
    (difference,) = result["differences"]
    assert (difference["run"], difference["reference"]) == ("bad", "good")
    assert set(table["run"] + " minus " + table["reference"]) == {"bad minus good"}
    assert "AUROC, bad minus good:" in out
    assert "bad minus good" in page
    for words in ("good minus bad", "second minus first", "first minus second", "−</th>"):
        assert words not in out
        assert words not in page
    scores = {name: result["runs"][name]["auroc"]["value"] for name in ("good", "bad")}
    assert difference["auroc"]["value"] == pytest.approx(scores["bad"] - scores["good"])
    assert scores["bad"] < scores["good"]
    for label, part in difference["per_label"].items():
        own = {n: result["runs"][n]["per_label"][label]["auroc"]["value"] for n in scores}
        assert part["difference"] == pytest.approx(own["bad"] - own["good"])
        shown = f"{part['difference']:+.3f}"
        (line,) = (line for line in out.splitlines() if line.startswith(f"{label} "))
        assert shown in line.split()
        (row,) = re.findall(rf'<th scope="row">{label}</th>.*', page)
        assert f">{shown.replace('-', '−')}<" in row
        assert table.set_index("label").loc[label, "difference"] == part["difference"]


def test_patients_are_taken_over_and_told(run, tmp_path):
    grouped = {name: table(seed, noise=1) for name, seed in (("good", 1), ("bad", 2))}
    for name, rows in grouped.items():
        rows["patient"] = [f"p{i // 3}" for i in range(60)]
        rows.to_csv(tmp_path / name / "predictions.csv", index=False)
    out = run("good", "bad", "--resamples", 100, "--out", "known")[1]
    assert "unknown" not in out
    assert "Intervals: from 100 resamples of whole patients." in out
    known = json.loads((tmp_path / "known" / "comparison.json").read_text())
    assert (known["patients"], known["units"], known["drawn"]) == (20, 20, "whole patients")
    assert "of whole patients" in (tmp_path / "known" / "comparison.html").read_text()
    # one run without patients takes over the other's
    grouped["bad"].assign(patient="").to_csv(tmp_path / "bad" / "predictions.csv", index=False)
    run("good", "bad", "--resamples", 100, "--out", "half")
    half = json.loads((tmp_path / "half" / "comparison.json").read_text())
    assert half["differences"] == known["differences"]
    grouped["good"].assign(patient="").to_csv(tmp_path / "good" / "predictions.csv", index=False)
    out = run("good", "bad", "--resamples", 100, "--out", "none")[1]
    assert "Patients unknown: every image counts as a patient of its own" in out
    none = json.loads((tmp_path / "none" / "comparison.json").read_text())
    assert (none["patients"], none["drawn"]) == (0, "images (patients unknown)")
    page = (tmp_path / "none" / "comparison.html").read_text()
    assert "whole patients" not in page
    assert "patients unknown" in page


def test_decisions_are_told(run, tmp_path):
    rows = table(2).assign(prob_Mass=lambda t: (t["prob_Mass"] > 0.5).astype(int))
    rows.to_csv(tmp_path / "bad" / "predictions.csv", index=False)
    out = run("good", "bad", "--resamples", 100)[1]
    assert "bad holds 0/1 decisions of Mass: their AUROC is the mean of sensitivity" in out


def test_patients_that_differ_between_runs_are_told(run, tmp_path):
    table(2).assign(patient=[f"q{i // 2}" for i in range(60)]).to_csv(
        tmp_path / "bad" / "predictions.csv", index=False
    )
    assert "Patients are those of good; bad has others." in run("good", "bad")[1]
    table(2).assign(patient=[f"q{i}" for i in range(60)]).to_csv(
        tmp_path / "bad" / "predictions.csv", index=False
    )
    assert "has others" not in run("good", "bad")[1]  # other names, the same patients


def test_runs_of_one_name_are_told_apart_by_their_path(run):
    out = run("good", "other/good", "--resamples", 100)[1]
    assert "other/good and good are" in out or "good and other/good are" in out


def test_files_and_test_sets(run, tmp_path):
    out = run("good/predictions.csv", "bad", "--resamples", 100)[1]
    assert "bad is worse than good on 60 images" in out
    out = run("good", "bad", "--test", "--resamples", 100)[1]
    assert "on 40 images" in out
    (tmp_path / "bad" / "test_predictions.csv").unlink()
    code, _, err = run("good", "bad", "--test")
    assert code == 1
    assert "test_predictions.csv" in err


def test_common_images(run, tmp_path):
    table(2).iloc[:50].to_csv(tmp_path / "bad" / "predictions.csv", index=False)
    code, out, err = run("good", "bad")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "--common" in err
    out = run("good", "bad", "--common", "--resamples", 100)[1]
    assert out.startswith("Only the 50 images common to all; left out: good 10.\n")


@pytest.mark.parametrize(
    "words", [[], ["good", "bad", "--level", "1"], ["good", "--resamples", "x"]]
)
def test_wrong_usage(run, words):
    assert run(*words)[0] == 2


def test_one_run_is_not_enough(run):
    code, _, err = run("good")
    assert code == 1
    assert "at least two runs" in err


NOTHING_HEAVY = """
import sys
from cxrkeras.cli import main
files = ["--predictions", "good/predictions.csv", "--labels", "labels.csv"]
for words, heavy in (
    (["evaluate", *files, "--out", "e"], {"tensorflow", "keras", "jax", "matplotlib"}),
    (["compare", "good", "bad", "--resamples", "100", "--out", "c"], {"tensorflow", "keras"}),
):
    try:
        main(words)
    except SystemExit as stop:
        assert not stop.code, words
    assert not heavy & set(sys.modules), words
"""


def test_neither_evaluate_nor_compare_imports_tensorflow_or_keras(run, tmp_path):
    labels = table(1).filter(regex="image|true_")
    labels.columns = labels.columns.str.removeprefix("true_")
    labels.to_csv(tmp_path / "labels.csv", index=False)
    done = subprocess.run(
        [sys.executable, "-c", NOTHING_HEAVY], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
