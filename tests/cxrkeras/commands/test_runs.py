"""`cxrkeras runs` over made folders: what it shows, in which order, and how narrow it may be."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import cxrkeras
from cxrkeras.cli import main
from cxrkeras.commands.shared.printing.tables import table_lines
from cxrkeras.runs.description import make_experiment, write_experiment
from cxrkeras.runs.listing import COLUMNS, ago, list_runs
from data_prep.errors import UserError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def make_run(folder: Path, number: int, *, folds=5, finished=True, starts=1, **choices) -> Path:
    """What a run leaves, without its predictions."""
    done = folds if finished else 2
    folder.mkdir(parents=True)
    data = folder.parent / "data" / f"set{number % 3}"
    experiment = make_experiment({"data": str(data), "folds": folds, "seed": number, **choices})
    write_experiment(folder / "experiment.toml", experiment)
    begun = {"at": f"2026-11-{number % 28 + 1:02}T08:00:00+00:00", "commit": COMMIT}
    begun |= {"command": "cxrkeras cv", "devices": ["NVIDIA H200"] * 2}
    environment = {"starts": [begun] * starts}
    if finished:
        environment["finished"] = f"2026-11-{number % 28 + 1:02}T09:30:00+00:00"
    (folder / "environment.json").write_text(json.dumps(environment))
    (folder / "folds.csv").write_text("image,patient,sha256,fold\na.png,p,0,1\n")
    for fold in range(done):
        (folder / "folds" / str(fold)).mkdir(parents=True)
        (folder / "folds" / str(fold) / "fold.json").write_text('{"seconds": 10}')
    if finished:
        pooled = {"auroc": 0.5 + number / 200, "positives": 7}
        pooled["auroc_interval"] = {"low": 0.5, "high": 0.9}
        scores = {"macro": {"pooled": pooled}, "per_label": {"Mass": {"pooled": pooled}}}
        (folder / "metrics.json").write_text(json.dumps(scores))
    return folder


@pytest.fixture(scope="module")
def fifty(tmp_path_factory) -> Path:
    """Fifty runs, of a study and by themselves, one of them not finished."""
    root = tmp_path_factory.mktemp("runs")
    for number in range(49):
        place = root / "study" / "runs" if number % 2 else root
        make_run(place / f"run{number}", number, starts=1 + (number == 4))
    begun = make_run(root / "begun", 49, finished=False)
    log = "2026-11-22T08:30:01+00:00 fold 3/5, epoch 7/30: loss 0.5 (3 s)\n"
    log += "2026-11-22T08:30:02+00:00 a line\n"
    (begun / "train.log").write_text(log)
    os.utime(begun / "train.log", (time.time() - 240,) * 2)
    (root / "run0" / "seeds" / "7").mkdir(parents=True)
    make_run(root / "run0" / "seeds" / "7" / "inner", 1)
    (root / "prepared").mkdir()
    (root / "prepared" / "dataset.json").write_text("{}")
    return root


def said(capsys, *words) -> str:
    with pytest.raises(SystemExit) as end:
        main(list(map(str, words)))
    captured = capsys.readouterr()
    assert end.value.code == 0, captured.err
    return captured.out


@pytest.fixture(autouse=True)
def to_a_pipe(monkeypatch):
    """As wide as it gets, whatever the surroundings say."""
    monkeypatch.delenv("COLUMNS", raising=False)


def test_all_runs_are_listed_the_best_first(fifty, capsys):
    lines = said(capsys, "runs", fifty, "--sort", "auroc").splitlines()
    assert len(lines) == 51
    assert " ".join(lines[1].split()) == (
        "run48 0.740 (0.500 to 0.900) finished 2026-11-21 08:00 regular densenet121 finetune set0 "
        "1 h 30 min 2 x NVIDIA H200 012345678"
    )
    assert lines[2].startswith("study/runs/run47 ")
    assert lines[-1].startswith("begun  ")
    assert "2 of 5 folds; fold 3/5, epoch 7/30, 4 min ago" in lines[-1]


def test_json_has_all_that_is_known(fifty, capsys):
    found = json.loads(said(capsys, "runs", fifty, "--json"))
    assert all(tuple(one) == COLUMNS for one in found)
    dates = [one["date"] for one in found]
    assert dates == sorted(dates, reverse=True)
    by_name = {one["run"]: one for one in found}
    assert by_name["run2"]["duration"] == 5400
    assert by_name["run4"]["duration"] == 50  # it was resumed: what its folds took
    assert by_name["begun"]["auroc"] is None
    assert (by_name["begun"]["folds_done"], by_name["begun"]["folds"]) == (2, 5)
    table = cxrkeras.runs(fifty)
    assert table["run"].tolist() == [one["run"] for one in found]
    assert table["date"].dt.tz is not None
    assert table["auroc"].max() == 0.74
    assert isinstance(cxrkeras.runs(fifty / "run2"), pd.DataFrame)


def test_a_listing_imports_neither_keras_nor_pandas(fifty):
    code = (
        "import sys; from cxrkeras.cli import main\n"
        f"try:\n    main(['runs', {str(fifty)!r}])\nexcept SystemExit:\n"
        "    print(sorted({'tensorflow', 'keras', 'jax', 'pandas', 'numpy'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


def test_a_narrow_terminal_gets_fewer_columns(fifty, capsys, monkeypatch):
    for width in (120, 80, 30):
        monkeypatch.setenv("COLUMNS", str(width))
        *lines, last = said(capsys, "runs", fifty).splitlines()
        assert last.startswith("Too narrow for commit, device")
        assert max(map(len, lines)) <= max(width, 60)
        assert any("0.740" in line for line in lines)


def test_one_run_is_shown_with_what_was_chosen(fifty, capsys):
    shown = said(capsys, "runs", "show", fifty / "run2")
    assert "seed: 2" in shown
    assert "learning-rate" not in shown  # a default
    assert "2026-11-03T08:00:00+00:00  cxrkeras cv" in shown
    assert "Mass   0.510 (0.500 to 0.900)  7" in shown
    begun = said(capsys, "runs", "show", fifty / "begun")
    assert "End of train.log:" in begun
    assert (
        json.loads(said(capsys, "runs", "show", fifty / "run2", "--json"))["settings"]["seed"] == 2
    )


def test_runs_are_compared_by_the_settings_that_differ(tmp_path, capsys):
    one = make_run(tmp_path / "one", 0)
    two = make_run(tmp_path / "two", 3, backbone="resnet50", log="tensorboard")
    (two / "experiment.toml").write_text(
        "".join(
            line
            for line in (two / "experiment.toml").read_text().splitlines(keepends=True)
            if not line.startswith("optimizer")  # of an earlier version
        )
    )
    lines = said(capsys, "runs", "compare", one, two).splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines[1:-1]}
    assert rows["backbone"] == ["densenet121", "resnet50"]
    assert rows["seed"] == ["0", "3"]
    assert rows["log"] == ["none", "tensorboard"]
    assert not {"data", "optimizer", "epochs"} & set(rows)
    assert rows["auroc"][0] == "0.500"
    assert lines[-1] == (
        "The folds are the same. Do the scores differ by more than chance? "
        f"cxrkeras compare {one} {two}"
    )
    begun = make_run(tmp_path / "begun", 4, finished=False)
    assert said(capsys, "runs", "compare", one, begun, two).endswith(f"compare {one} {two}\n")
    assert "once two of them are finished" in said(capsys, "runs", "compare", one, begun)


@pytest.mark.parametrize(
    "words", [("runs", "missing"), ("runs", "show", "."), ("runs", "compare", "a")]
)
def test_what_holds_no_run_is_named(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(list(words))
    assert end.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert "cxrkeras cv --out" in said(capsys, "runs", ".")
    with pytest.raises(UserError, match="Received: missing"):
        cxrkeras.runs("missing")


def test_a_damaged_run_hides_no_other(tmp_path, capsys):
    make_run(tmp_path / "whole", 1)
    for name in ("experiment.toml", "environment.json", "metrics.json"):
        broken = make_run(tmp_path / f"no {name}", 2)
        (broken / name).write_text("{ no")
    assert len(said(capsys, "runs", tmp_path).splitlines()) == 5


def test_a_table_says_what_it_leaves_out():
    columns = {"a": ["x" * 5], "b": ["y" * 5], "c": ["z" * 5]}
    assert list(table_lines(columns, None, ("c",))) == ["a      b      c", "xxxxx  yyyyy  zzzzz"]
    assert list(table_lines(columns, 12, ("c", "b"))) == [
        "a      b",
        "xxxxx  yyyyy",
        "Too narrow for c: widen the terminal, or give --json.",
    ]
    assert list(table_lines(columns, 3, ())) == ["xxxxx", "  b: yyyyy", "  c: zzzzz"]


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (240, "4 min"), (7200, "2 h"), (864000, "10 days")]
)
def test_how_long_ago(seconds, said):
    assert ago(seconds) == f"{said} ago"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("environment.json", '{"starts": 5}'),
        ("environment.json", '{"starts": [{"at": "x", "devices": 1}], "finished": "y"}'),
        ("environment.json", '{"starts": [{"at": 1, "commit": 2}], "finished": 3}'),
        ("metrics.json", '{"macro": {"pooled": {"auroc": "x", "auroc_interval": 1}}}'),
        ("metrics.json", '{"macro": 1}'),
        ("experiment.toml", "data = 1\nbackbone = 2\nrecipe = 3"),
    ],
)
def test_a_run_that_somebody_has_damaged_hides_no_other(tmp_path, capsys, name, content):
    for run in ("whole", "damaged"):
        (tmp_path / run / "folds" / "0").mkdir(parents=True)
        (tmp_path / run / "folds" / "0" / "fold.json").write_text("{}")
        (tmp_path / run / "experiment.toml").write_text("folds = 1")
        (tmp_path / run / "metrics.json").write_text("{}")
        (tmp_path / run / "environment.json").write_text("{}")
    (tmp_path / "damaged" / name).write_text(content)
    assert {found["run"] for found in list_runs(tmp_path)} == {"whole", "damaged"}
    for by in ("auroc", "duration", "data"):
        with pytest.raises(SystemExit) as end:
            main(["runs", str(tmp_path), "--sort", by])
        assert end.value.code == 0
        assert "damaged" in capsys.readouterr().out
