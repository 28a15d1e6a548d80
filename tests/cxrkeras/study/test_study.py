"""`cxrkeras study`: its file, its cells and their order, running, resuming, failing."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from cxrkeras.cli import main
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.runs.description import write_experiment
from cxrkeras.runtime.threads import THREADS
from cxrkeras.study.cell import run_cell
from cxrkeras.study.clock import Clock
from cxrkeras.study.file import read_study
from cxrkeras.study.plan import in_order, plan_cells
from cxrkeras.study.run import run_study
from cxrkeras.study.state import open_study
from data_prep.errors import UserError
from data_prep.executors import Outcome
from data_prep.executors.local import Part as Local
from tests.conftest import ROOT

SMALL = """
[run]
data = "{data}/target"
image-size = 48
folds = 2
epochs = 2
batch-size = 8
learning-rate = 3e-3
source-learning-rate = 3e-3
test-fraction = 0.25
random-trunk = true
augment = "none"
[source]
a = "{data}/a"
b = "{data}/b"
[grid]
backbone = ["tiny"]
recipe = ["finetune", "frozen"]
[[setting]]
name = "A"
source = "a"
[[setting]]
name = "random"
[[setting]]
name = "A + B"
method = "cotrain"
source = ["a", "b"]
"""
RANDOM = '[[setting]]\nname = "random"\n'
BOTH = '[[setting]]\nname = "A + B"\nmethod = "cotrain"\nsource = ["a", "b"]\n'


@pytest.fixture
def file(tmp_path, data):
    """`file(old, new, ...)` is a study's file with parts of it replaced."""

    def write(*changes: str) -> Path:
        text = SMALL
        for old, new in zip(changes[::2], changes[1::2], strict=True):
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "small.toml"
        path.write_text(text.replace("{data}", str(data)))
        return path

    return write


def in_process(out: Path, name: str) -> str:
    """Runs a cell here, where the tiny backbone is known; why it failed, or ""."""
    try:
        run_cell(out, name)
    except UserError as error:
        return str(error)
    return ""


def ran_by(runner) -> SimpleNamespace:
    """An executor of cells in this process."""

    def run(tasks):
        for task in tasks:
            folder, name = task.arguments
            yield Outcome(task, reason=runner(folder.path, name), seconds=1.0)

    return SimpleNamespace(spreads=False, run=run)


def open_at(path: Path, out: Path):
    study = read_study(path)
    return study, open_study(path.stem, out, plan_cells(study, (out / "folds.csv").absolute()))


def run(path: Path, out: Path, runner=in_process):
    description, study = open_at(path, out)
    cells = in_order(study.cells)
    return study, run_study(study, description, cells, executor=ran_by(runner))


def code_of(*words) -> int:
    with pytest.raises(SystemExit) as end:
        main(["study", *map(str, words)])
    return end.value.code


def test_the_studys_own_file_is_its_grid():
    cells = plan_cells(read_study(ROOT / "experiments" / "study.toml"), Path("folds.csv"))
    assert len(cells) == 32
    assert len({cell.name for cell in cells}) == 32
    grid = {(c.backbone, c.experiment.method, c.links) for c in cells}
    assert len(grid) == 16
    assert {method for _, method, _ in grid} == {"regular", "mixed", "cotrain"}
    for cell in cells:
        assert cell.experiment.folds_file == str(Path("folds.csv").absolute())
        sets = cell.experiment.label_set
        assert sets == (("chexpert=chexpert5",) if "chexpert" in sum(cell.links, ()) else ())
    mixed = [cell for cell in cells if cell.experiment.method == "mixed"]
    assert all(len(cell.plan) == 2 for cell in mixed)


def test_stages_are_trained_before_the_cells_that_share_them():
    cells = in_order(plan_cells(read_study(ROOT / "experiments" / "study.toml"), Path("f.csv")))
    done, trained = set(), []
    for cell in cells:
        trained.append(len(set(cell.stages) - done))
        done |= set(cell.stages)
    # 5 stages for each backbone: CheXpert, NIH, both after ImageNet, both together
    assert len(done) == sum(trained) == 10
    assert max(trained) == 1
    assert trained[:4] == [0, 0, 0, 0]
    owners = [cell.setting for cell, new in zip(cells, trained, strict=True) if new]
    assert not any(name.startswith("mixed") for name in owners)


def test_a_source_may_lie_elsewhere_for_each_backbone(file):
    path = file(
        'backbone = ["tiny"]',
        'backbone = ["tiny", "mobilenet_v3_small"]',
        "[grid]",
        'pre = { tiny = "t.keras", mobilenet_v3_small = "m.weights.h5" }\n[grid]',
        'name = "random"',
        'name = "pre"\nsource = "pre,b"',
    )
    cells = plan_cells(read_study(path), Path("folds.csv"))
    starts = {c.backbone: Path(c.plan[0].start.where).name for c in cells if c.setting == "pre"}
    assert starts == {"tiny": "t.keras", "mobilenet_v3_small": "m.weights.h5"}


def test_overrides_touch_their_cells_only_and_stages_stay_shared(file):
    more = "[override.frozen]\nepochs = 9\n[override.A]\nbatch_size = 4\n[grid]"
    for cell in plan_cells(read_study(file("[grid]", more)), Path("f.csv")):
        assert cell.experiment.epochs == (9 if cell.recipe == "frozen" else 2)
        assert cell.experiment.batch_size == (4 if cell.setting == "A" else 8)
        assert cell.experiment.source_epochs == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("[source]", "[sources]"), "unknown key 'sources'. Did you mean 'source'?"),
        (("batch-size", "batch-sise"), "Did you mean 'batch_size'?"),
        (("[grid]", "[grid]\nepochs = 3"), "unknown key 'grid.epochs'"),
        (("[grid]", '[grid]\nmethods = ["mixed"]'), "unknown key 'grid.methods'"),
        (('method = "cotrain"', 'methot = "cotrain"'), "Did you mean 'method'?"),
        (('method = "cotrain"', 'method = "joint"'), "'cotrain'"),
        (('data = "{data}/target"', "seed = 1"), "must name the prepared target as `data`"),
        (("folds = 2", 'backbone = "tiny"'), "[run] backbone: this belongs to the grid"),
        (("folds = 2", "folds = 1"), "--folds"),
        (("[grid]", "[override.tiny]\nfolds = 3\n[grid]"), "only [run] may say it"),
        (("[grid]", "[override.frosen]\nepochs = 3\n[grid]"), "Did you mean 'frozen'?"),
        (("[grid]", "[override.frozen]\nepoch = 3\n[grid]"), "Did you mean 'epochs'?"),
        (
            ('name = "random"', 'name = "a"'),
            "needs a name of its own. Given twice: 'a'",
        ),
        (('"finetune", "frozen"]', '"frozen", "frozen"]'), "twice: 'frozen'"),
        (
            ('["a", "b"]', '["a", "c"]'),
            "Cell finetune-tiny-a-b: a setting's source must be a name in",
        ),
        (('["a", "b"]', '["a"]'), "Cell finetune-tiny-a-b: cotrain trains on two or more"),
        (('backbone = ["tiny"]', 'backbone = ["resnet5"]'), "Cell finetune-resnet5-a: --backbone"),
        (
            ('a = "{data}/a"', 'a = { other = "x" }'),
            "has a place for each backbone, but none for 'tiny'",
        ),
        (("folds = 2", 'label-set = ["c=chexpert5"]\nfolds = 2'), "--label-set c=… names no"),
        (('name = "random"', ""), "'setting.1.name' is missing"),
        (('backbone = ["tiny"]', ""), "'grid.backbone' is missing"),
        (("random-trunk = true", ""), "Cell frozen-tiny-random: --recipe frozen freezes the trunk"),
        (("[run]", "[run"), "isn't valid TOML"),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_a_mistake_is_named_before_anything_is_made(file, tmp_path, capsys, changes, said):
    assert code_of(file(*changes), "--out", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_wrong_calls(file, tmp_path, capsys):
    assert code_of(tmp_path / "gone.toml") == 1
    assert code_of(file(), "--only", "nothing", "--list") == 1
    assert "--only fits none of the 6 cells" in capsys.readouterr().err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    assert code_of(file(), "--out", tmp_path / "full") == 1
    assert "holds something that isn't a study" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.txt"]


def test_list_shows_what_is_missing_and_makes_nothing(file, tmp_path, capsys):
    path = file('b = "{data}/b"', 'b = "{data}/gone"')
    assert code_of(path, "--out", tmp_path / "out", "--list", "--only", "finetune-*") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["1", "finetune-tiny-random", "waiting", "2", "of", "2", "folds"]
    assert "waiting  2 of 2 folds, up to 1 source stages" in lines[1]
    assert "lacking  No prepared dataset in" in lines[2]
    assert lines[3] == "0 of 3 cells are done."
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data):
    """A study of two cells that share a stage, run once for all tests that only look at it."""
    root = tmp_path_factory.mktemp("study")
    # What is trained in less time.
    text = SMALL.replace('"finetune"', '"frozen:copies=1"').replace(RANDOM, "").replace(BOTH, "")
    (root / "small.toml").write_text(text.replace("{data}", str(data)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXRKERAS_CACHE", str(root / "cache"))
        _, failed = run(root / "small.toml", root / "out")
    assert not failed
    return root


def test_all_cells_are_scored_on_the_same_folds_and_test_set(finished):
    out = finished / "out"
    shared = pd.read_csv(out / "folds.csv", dtype=str)
    assert set(shared["fold"]) == {"0", "1", "test"}
    runs = sorted((out / "runs").iterdir())
    assert len(runs) == 2
    for folder in runs:
        pd.testing.assert_frame_equal(pd.read_csv(folder / "folds.csv", dtype=str), shared)
        for name, wanted in (("predictions", ["0", "1"]), ("test_predictions", ["test"])):
            found = pd.read_csv(folder / f"{name}.csv", dtype=str).set_index("image")["fold"]
            expected = shared.set_index("image")["fold"]
            assert sorted(found.index) == sorted(expected[expected.isin(wanted)].index)


def test_stages_are_trained_once_for_all_cells(finished):
    out = finished / "out"
    assert len(list((finished / "cache" / "stages").iterdir())) == 1
    used = [path.name for path in out.glob("runs/*/stages/*")]
    assert list(map(used.count, set(used))) == [2]


def test_the_tables_equal_a_recomputation(finished):
    """From predictions.csv with scikit-learn, and from history.csv."""
    out = finished / "out"
    table = pd.read_csv(out / "study.csv").set_index("cell")
    assert (table["state"] == "done").all()
    for name, row in table.iterrows():
        folder = out / "runs" / name
        for kind, prefix in (("predictions", "out_of_fold"), ("test_predictions", "test")):
            scores = [
                score_of(pd.read_csv(folder / f"{kind}.csv"), label) for label in ("disc", "bar")
            ]
            aucs, aps = zip(*scores, strict=True)
            assert row[f"{prefix}_auroc"] == pytest.approx(np.mean(aucs), abs=1e-8)
            assert row[f"{prefix}_average_precision"] == pytest.approx(np.mean(aps), abs=1e-8)
            if row[f"{prefix}_auroc"] < 1:  # resampling shows no spread at 1
                assert row[f"{prefix}_auroc_low"] < row[f"{prefix}_auroc"]
                assert row[f"{prefix}_auroc"] < row[f"{prefix}_auroc_high"]
        histories = [pd.read_csv(p) for p in sorted(folder.glob("folds/*/history.csv"))]
        kept = [kept_row(h) for h in histories]
        accuracy = [float(h["binary_accuracy"][k]) for h, k in zip(histories, kept, strict=True)]
        errors = [float(h["mae"][k]) for h, k in zip(histories, kept, strict=True)]
        assert row["training_binary_accuracy_mean"] == pytest.approx(np.mean(accuracy), abs=1e-8)
        assert row["training_binary_accuracy_sd"] == pytest.approx(np.std(accuracy, ddof=1))
        assert row["training_mae_mean"] == pytest.approx(np.mean(errors), abs=1e-8)
        assert f"{100 * np.mean(accuracy):.2f} ± " in (out / "study.md").read_text()


def score_of(table: pd.DataFrame, label: str) -> tuple[float, float]:
    known = table[table[f"true_{label}"].notna()]
    truth, score = known[f"true_{label}"], known[f"prob_{label}"]
    return roc_auc_score(truth, score), average_precision_score(truth, score)


def kept_row(history: pd.DataFrame) -> int:
    """The first epoch with the smallest validation loss; the last where there is none."""
    losses = history.get("val_loss")
    return len(history) - 1 if losses is None else losses.tolist().index(losses.min())


def test_a_second_start_does_nothing_twice(finished, monkeypatch):
    monkeypatch.setenv("CXRKERAS_CACHE", str(finished / "cache"))
    out = finished / "out"
    before = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/folds/*/*")}
    tables = {name: (out / name).read_bytes() for name in ("study.csv", "study.md", "study.html")}
    run(finished / "small.toml", out, runner=lambda *args: pytest.fail("nothing is left to run"))
    assert {path: path.stat().st_mtime_ns for path in out.glob("runs/*/folds/*/*")} == before
    assert {name: (out / name).read_bytes() for name in tables} == tables


@pytest.mark.parametrize("change", ["folds = 3", "seed = 1\nfolds = 2", "test_fraction"])
def test_other_folds_are_refused_in_a_begun_study(finished, tmp_path, change):
    text = (finished / "small.toml").read_text()
    changed = (
        text.replace("test-fraction = 0.25", "test-fraction = 0.2")
        if change == "test_fraction"
        else text.replace("folds = 2", change)
    )
    (tmp_path / "changed.toml").write_text(changed)
    with pytest.raises(UserError, match="was begun with other folds or data"):
        run(tmp_path / "changed.toml", finished / "out")


def test_a_cell_that_was_run_otherwise_is_refused_and_the_others_stay(finished, tmp_path):
    text = (finished / "small.toml").read_text()
    (tmp_path / "small.toml").write_text(text.replace("epochs = 2", "epochs = 3"))
    _, study = open_at(tmp_path / "small.toml", finished / "out")
    assert {state.word for state in study.states.values()} == {"failed"}
    assert all("--epochs" in state.reason for state in study.states.values())


def test_changed_data_are_refused(finished, tmp_path, data):
    text = (finished / "small.toml").read_text()
    (tmp_path / "small.toml").write_text(text.replace("/target", "/a"))
    with pytest.raises(UserError, match="data differ"):
        run(tmp_path / "small.toml", finished / "out")


def test_a_failing_cell_is_noted_and_the_others_go_on(file, tmp_path, capsys, monkeypatch):
    path, out = file('b = "{data}/b"', 'b = "{data}/gone"'), tmp_path / "out"

    def runner(folder: Path, name: str) -> str:
        return "The loss became NaN." if "-a" in name else in_process(folder, name)

    monkeypatch.setattr(Local, "run", lambda self, tasks: ran_by(runner).run(tasks))
    assert code_of(path, "--out", out, "--only", "frozen") == 1
    said = capsys.readouterr()
    assert "1 of 6 cells are done." in said.out
    assert "2 of the cells failed or lack a source: frozen-tiny-a, frozen-tiny-a-b" in said.err
    states = {cell["name"]: cell for cell in json.loads((out / "cells.json").read_text())["cells"]}
    assert states["frozen-tiny-a"]["reason"] == "The loss became NaN."
    assert states["frozen-tiny-a-b"]["word"] == "lacking"
    assert states["frozen-tiny-random"]["word"] == "done"
    assert "The loss became NaN." in (out / "study.md").read_text()
    assert "The loss became NaN." in (out / "study.html").read_text()
    tried = []
    run(path, out, runner=lambda _, name: tried.append(name) or "")
    assert "frozen-tiny-a" in tried  # what failed is tried again
    assert "frozen-tiny-random" not in tried  # what is done is not


def test_a_begun_cell_goes_on_with_its_threads(file, tmp_path, monkeypatch):
    monkeypatch.setenv(THREADS, "5")
    description, study = open_at(file(), tmp_path / "out")
    told = {}

    def note(tasks):
        for task in tasks:
            told[task.name] = task.environment[THREADS]
            yield Outcome(task, reason="not done")

    executor = SimpleNamespace(spreads=False, run=note)
    first, second = study.cells[:2]
    run_study(study, description, [first], executor=executor)
    folder = study.run_folder(first)
    write_experiment(RunFolder(folder).experiment, first.experiment)
    RunFolder(folder).environment.write_text('{"threads": 3}')
    run_study(study, description, [first, second], executor=executor)
    assert told == {first.name: "3", second.name: "5"}


def test_the_time_left_is_reckoned_from_cells_alike(file, tmp_path):
    _, study = open_at(file(), tmp_path / "out")
    cells = {cell.name: cell for cell in study.cells}
    todo = [cells["finetune-tiny-a"], cells["frozen-tiny-a"]]
    moments = iter([0.0, 30.0, 60.0, 90.0])
    clock = Clock(study, todo, lambda: next(moments))
    assert clock.where(0) == "30 s elapsed"
    study.states["finetune-tiny-random"].word = "done"
    study.states["finetune-tiny-random"].seconds = 100
    assert clock.where(0) == "60 s elapsed, about 3 min left"
    study.states["frozen-tiny-random"].word = "done"
    study.states["frozen-tiny-random"].seconds = 20
    assert clock.where(1) == "2 min elapsed, about 20 s left"


def test_the_old_name_of_the_label_set_is_read_with_a_warning(file, tmp_path, capsys):
    description = file("folds = 2", 'labels = ["c=chexpert5"]\nfolds = 2')
    assert code_of(description, "--out", tmp_path / "out") == 1
    warning, error = capsys.readouterr().err.splitlines()
    assert warning == "Warning: --labels is now --label-set."
    assert "--label-set c=… names no source" in error
