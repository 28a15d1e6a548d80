import json
import subprocess
import sys

import pytest

from cxrkeras.cli import main

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
    assert names == {"metrics.json", "predictions.csv", "report.html"}
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["kind"] == "evaluate"
    assert metrics["per_label"]["Mass"]["thresholds"]["prevalence"]["mean"] == 0.5
    assert "prevalence of the labels being scored" in out


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


def test_neither_verb_imports_tensorflow_or_keras(tmp_path):
    (tmp_path / "p.csv").write_text(PREDICTIONS)
    (tmp_path / "l.csv").write_text(LABELS)
    code = (
        "import sys; from cxrkeras.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: assert not {'tensorflow', 'keras', 'jax', 'matplotlib'} & set(sys.modules)"
    )
    files = ["--predictions", "p.csv", "--labels", "l.csv", "--out", "o"]
    done = subprocess.run(
        [sys.executable, "-c", code, "evaluate", *files],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
