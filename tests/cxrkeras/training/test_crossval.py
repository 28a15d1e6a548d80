"""Whole runs on tiny data: the run folder's contract, resuming, and what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrkeras.data.dataset import load_dataset
from cxrkeras.runs.description import make_experiment, read_experiment
from cxrkeras.runs.target import load_target
from cxrkeras.training import crossval
from cxrkeras.training import folds as fitting
from cxrkeras.training.crossval import cross_validate
from cxrkeras.training.final import train_final
from data_prep.errors import UserError
from tests.cxrkeras.plain_keras import plain_predictions
from tests.cxrkeras.training.fixtures import METHODS
from tests.cxrkeras.training.tiny import write_dataset

LABELS = ["disc", "bar"]
pytestmark = pytest.mark.shares_runs
each_method = pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n == "copies")) for n in METHODS]
)


@pytest.fixture(autouse=True)
def cache(shared_cache, monkeypatch):
    """The cache of the shared runs."""
    monkeypatch.setenv("CXRKERAS_CACHE", str(shared_cache))
    return shared_cache


@pytest.fixture
def copied(runs, tmp_path):
    """`copied(name)`: a copy of the run to change."""
    return lambda name: Path(shutil.copytree(runs(name), tmp_path / name))


def table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"image": str, "patient": str, "fold": str})


def drop_last_row(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def tree(run: Path) -> dict[str, bytes]:
    """All results of a run by path, without its clock and its logs."""
    paths = [p for p in run.rglob("*") if p.is_file() and p.suffix not in (".keras", ".html")]
    kept = {str(p.relative_to(run)): p.read_bytes() for p in paths}
    kept = {name: held for name, held in kept.items() if not name.startswith(("train.log", "log/"))}
    for name in kept:
        if name.endswith("fold.json"):
            facts = json.loads(kept[name])
            facts.pop("seconds")
            kept[name] = json.dumps(facts).encode()
    return kept


def saved_predictions(run: Path, fold: str, images) -> np.ndarray:
    """What the saved model of a fold says, with Pillow as the reader of the images."""
    model = keras.models.load_model(run / "folds" / fold / "model.keras")
    return keras.ops.convert_to_numpy(model(pictures(run, images), training=False))


def pictures(run: Path, images) -> np.ndarray:
    """(N, S, S, 1) float32, as Pillow reads them."""
    root = Path(read_experiment(run / "experiment.toml").data)
    return np.float32([np.asarray(Image.open(root / image)) for image in images])[..., None]


@each_method
def test_a_run_folder_keeps_the_contract(runs, data, name):
    run = runs(name)
    dataset = load_dataset(data / "target")
    folds, predictions = table(run / "folds.csv"), table(run / "predictions.csv")
    assert list(folds) == ["image", "patient", "sha256", "fold"]
    assert folds["image"].tolist() == dataset.images.tolist()
    assert folds["sha256"].tolist() == dataset.digests.tolist()
    assert (folds.groupby("patient")["fold"].nunique() == 1).all()
    tested = folds["fold"] == "test"
    assert tested.any() == ("test_fraction" in METHODS[name])

    columns = [f"prob_{label}" for label in LABELS] + [f"true_{label}" for label in LABELS]
    assert list(predictions) == ["image", "patient", "fold", *columns]
    named = ["image", "patient", "fold"]
    assert predictions[named].equals(folds.loc[~tested, named].reset_index(drop=True))
    assert predictions[columns[:2]].apply(lambda c: c.between(0, 1)).all().all()
    truth = np.where(dataset.codes == -1, np.nan, np.nan_to_num(dataset.codes))[~tested]
    np.testing.assert_array_equal(predictions[columns[2:]].to_numpy(float), truth)

    for fold in ("0", "1"):
        folder = run / "folds" / fold
        history = pd.read_csv(folder / "history.csv")
        assert {"epoch", "loss", "binary_accuracy", "mae", "learning_rate"} <= set(history)
        facts = json.loads((folder / "fold.json").read_text())
        own = {"format", "training_prevalence", "inflation", "images", "seconds"}
        frozen = {"features"} if METHODS[name].get("recipe", "").startswith("frozen") else set()
        assert set(facts) == own | frozen
        assert set(facts["training_prevalence"]) == set(facts["inflation"]) == set(LABELS)
        assert facts["images"] <= (folds["fold"] != fold).sum() - tested.sum()
        card = json.loads((folder / "model.json").read_text())
        assert card["labels"] == LABELS
        assert card["head"] == read_experiment(run / "experiment.toml").head
        assert sorted(p.name for p in folder.iterdir() if p.name.startswith(".")) == []
    for document in ("metrics.json", "environment.json", "sources.json"):
        json.loads((run / document).read_text())
    assert (run / "report.html").read_text().lower().startswith("<!doctype html>")
    assert read_experiment(run / "experiment.toml").data == str(data / "target")


def logged_losses(run: Path, fit: str) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    known = EventAccumulator(str(run / "log" / "tensorboard" / fit)).Reload()
    return [(event.step, event.value) for event in known.Scalars("loss")]


def check_logs(run: Path, starts: int) -> None:
    """Each epoch is logged once, as the history has it; all that was said stands in train.log."""
    fits = {"fold_1": "folds/0", "fold_2": "folds/1"}
    said = (run / "train.log").read_text()
    stages = {"source_stage_a": "stages/a-*", "source_stage_b": "stages/b-*"}
    trained = {fit for fit in stages if f" {fit.replace('_', ' ')}, epoch 1/" in said}
    fits |= {fit: stages[fit] for fit in trained}  # others were there from an earlier run
    assert said.count(" started: ") == said.count(" finished: macro AUROC ") == starts
    for fit, place in fits.items():
        (folder,) = run.glob(place)
        history = pd.read_csv(folder / "history.csv")
        pairs = zip(history["epoch"], history["loss"], strict=True)
        assert logged_losses(run, fit) == [(e, pytest.approx(v)) for e, v in pairs]
        words = fit.replace("_", " ").replace("fold 1", "fold 1/2").replace("fold 2", "fold 2/2")
        for epoch in history["epoch"]:
            assert f" {words}, epoch {epoch}/{len(history)}: loss " in said


def test_a_run_keeps_what_was_said_and_logged(runs):
    check_logs(runs("regular"), starts=1)


@each_method
def test_a_saved_model_says_what_predictions_csv_says(runs, name):
    run = runs(name)
    predictions = table(run / "predictions.csv")
    for fold, rows in predictions.groupby("fold"):
        said = saved_predictions(run, fold, rows["image"])
        np.testing.assert_allclose(said, rows[["prob_disc", "prob_bar"]], atol=1e-5, rtol=0)


def test_saved_models_open_in_plain_keras_and_predict_the_same(runs, tmp_path):
    """In a process that has neither this package nor `data_prep`: stock layers only."""
    models, expected = {}, []
    for name in ("regular", "mixed", "cotrain", "layers"):
        rows = table(runs(name) / "predictions.csv").query("fold == '0'")
        models[runs(name) / "folds" / "0" / "model.keras"] = pictures(runs(name), rows["image"])
        expected.append(rows[["prob_disc", "prob_bar"]])
    for found, ours in zip(plain_predictions(models, tmp_path), expected, strict=True):
        np.testing.assert_allclose(found, ours, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["scratch", "layers"])
def test_the_test_set_gets_the_mean_of_the_folds_and_no_fold_learned_it(runs, data, name):
    run = runs(name)
    folds = table(run / "folds.csv")
    together = table(run / "test_predictions.csv")
    assert set(together["image"]) == set(folds["image"][folds["fold"] == "test"])
    assert set(together["fold"]) == {"test"}
    columns = ["prob_disc", "prob_bar"]
    each = [table(run / "folds" / f / "test_predictions.csv")[columns] for f in ("0", "1")]
    np.testing.assert_allclose(together[columns], (each[0] + each[1]) / 2, rtol=1e-7)
    assert not set(together["patient"]) & set(table(run / "predictions.csv")["patient"])


def test_prevalence_is_that_of_the_training_part(runs, data):
    run = runs("scratch")
    folds = table(run / "folds.csv")["fold"]
    codes = load_dataset(data / "target").codes
    for fold in ("0", "1"):
        learned = codes[~folds.isin([fold, "test"]).to_numpy()]
        known = np.where(learned == -1, np.nan, np.nan_to_num(learned))  # -1 ignored, blank is 0
        facts = json.loads((run / "folds" / fold / "fold.json").read_text())
        expected = dict(zip(LABELS, np.nanmean(known, axis=0), strict=True))
        assert facts["training_prevalence"] == pytest.approx(expected)


@pytest.fixture
def one_fitter(monkeypatch):
    """The runs of a test share a fitter, which is traced once; all but their labels is equal."""
    made, make = [], fitting.make_fitter

    def kept(plan, target, run):
        fitting.check_start(plan, target, run)
        made.extend([] if made else [make(plan, target, run)])
        return made[0]

    monkeypatch.setattr(fitting, "make_fitter", kept)


def test_bright_shapes_are_learned_and_shuffled_labels_are_not(experiment, tmp_path, one_fitter):
    shapes = str(write_dataset(tmp_path / "shapes", images=64, seed=7))
    settings = {"data": shapes, "learning_rate": 3e-2, "epochs": 10, "validation_fraction": 0}
    settings |= {"plateau_patience": 0}
    scores = {
        shuffled: cross_validate(
            experiment(**settings, shuffle_labels=shuffled), tmp_path / f"run-{shuffled}"
        )["macro"]["pooled"]["auroc"]
        for shuffled in (False, True)
    }
    assert scores[False] > 0.9
    assert abs(scores[True] - 0.5) < 0.25


def test_a_label_without_a_positive_is_reported_not_fatal(experiment, tmp_path):
    data = write_dataset(tmp_path / "data", ("disc", "never"), images=30, seed=4)
    metrics = cross_validate(experiment(data=str(data), recipe="frozen"), tmp_path / "run")
    macro = metrics["macro"]["pooled"]
    assert macro["labels"]["auroc"] == 1  # disc alone
    assert 0 <= macro["auroc"] <= 1


@pytest.fixture
def finished(copied, monkeypatch):
    """`finished(name)`: a copy of the run, after which nothing may be fitted."""

    def make(name: str) -> Path:
        run = copied(name)
        monkeypatch.setattr(fitting, "fit_folds", lambda *args: pytest.fail("fitted again"))
        return run

    return make


def test_a_second_call_fits_nothing_and_changes_nothing(finished, experiment, choices):
    run = finished("regular")
    before = tree(run)
    cross_validate(experiment(**choices("regular")), run)
    assert tree(run) == before


def test_what_was_killed_after_its_last_fold_is_logged_to_the_end(
    finished, experiment, choices, monkeypatch
):
    run = finished("regular")
    monkeypatch.setattr("cxrkeras.training.crossval.write_report", lambda run: None)
    environment = json.loads((run / "environment.json").read_text())
    del environment["finished"]
    (run / "environment.json").write_text(json.dumps(environment))
    shutil.rmtree(run / "log" / "tensorboard" / "results")
    cross_validate(experiment(**choices("regular")), run)
    assert list((run / "log" / "tensorboard" / "results").iterdir())
    assert (run / "train.log").read_text().count(" finished: macro AUROC ") == 2
    assert "finished" in json.loads((run / "environment.json").read_text())


@pytest.mark.parametrize("name", ["regular", pytest.param("layers", marks=pytest.mark.slow)])
def test_what_a_kill_left_undone_is_done_again_to_the_same_bytes(copied, experiment, choices, name):
    run = copied(name)
    before = tree(run)
    (run / "folds" / "1" / "fold.json").unlink()
    (run / "folds" / "1" / "predictions.csv").write_text("half a li")
    for written_last in ("predictions.csv", "metrics.json", "report.html"):
        (run / written_last).unlink()
    cross_validate(experiment(**choices(name)), run)
    after = tree(run)
    noted = [json.loads(files.pop("environment.json")) for files in (before, after)]
    assert after == before
    assert noted[1].pop("starts")[:-1] == noted[0].pop("starts")  # who fitted, and when
    assert noted[1].pop("finished") >= noted[0].pop("finished")
    assert noted[1] == noted[0]
    if name == "regular":
        check_logs(run, starts=2)


def test_another_experiment_in_the_same_folder_is_refused_by_option(finished, experiment, choices):
    run = finished("scratch")
    before = tree(run)
    other = experiment(**{**choices("scratch"), "seed": 1, "batch_size": 4})
    with pytest.raises(UserError, match="different settings: --batch-size, --seed") as error:
        cross_validate(other, run)
    assert "\n" not in str(error.value)
    assert tree(run) == before


def test_a_run_goes_on_from_wherever_its_data_lie(finished, experiment, choices, data, tmp_path):
    run = finished("scratch")
    moved = shutil.copytree(data / "target", tmp_path / "moved")
    cross_validate(experiment(**{**choices("scratch"), "data": str(moved)}), run)
    assert read_experiment(run / "experiment.toml").data == str(moved)


def test_changed_data_are_refused(finished, experiment, choices, data, tmp_path):
    run = finished("scratch")
    changed = shutil.copytree(data / "target", tmp_path / "changed")
    drop_last_row(changed / "manifest.csv")
    with pytest.raises(UserError, match="prepared data have changed"):
        cross_validate(experiment(**{**choices("scratch"), "data": str(changed)}), run)


def test_changed_sources_are_refused_while_a_fold_is_missing(
    copied, experiment, choices, data, tmp_path
):
    run = copied("layers")
    (run / "folds" / "1" / "fold.json").unlink()
    changed = shutil.copytree(data / "a", tmp_path / "a")
    drop_last_row(changed / "manifest.csv")
    with pytest.raises(UserError, match="source's data or weights have changed"):
        cross_validate(experiment(**{**choices("layers"), "source": f"a={changed}"}), run)


def test_a_run_that_was_fitted_otherwise_takes_no_further_model(copied, experiment, choices):
    run = copied("layers")
    for path in run.glob("folds/*/fold.json"):
        facts = json.loads(path.read_text())
        path.write_text(json.dumps({k: v for k, v in facts.items() if k != "format"}))
    cross_validate(experiment(**choices("layers")), run)  # all folds are there
    with pytest.raises(UserError, match="fitted by an older cxrkeras"):
        train_final(run, run / "final model")
    (run / "folds" / "1" / "fold.json").unlink()
    with pytest.raises(UserError, match="fitted by an older cxrkeras"):
        cross_validate(experiment(**choices("layers")), run)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"backbone": "tinny"}, "--backbone must be a backbone"),
        ({"backbone": "xception"}, "at least 71 px"),
        ({"source": "gone.keras"}, "doesn't exist"),
        ({"source": "s=gone"}, "dataset.json"),
        ({"data": "gone"}, "dataset.json"),
        ({"folds": 19}, "19 folds for 18 patients"),
        ({"validation_fraction": 0.01}, "--validation-fraction"),
        ({"method": "cotrain"}, "cotrain"),
        ({"backbone": ["tiny", "tiny"]}, "one --backbone"),
    ],
    ids=str,
)
def test_a_mistake_does_not_block_the_folder_for_the_right_command(
    experiment, tmp_path, wrong, words
):
    run = tmp_path / "new" / "run"
    with pytest.raises(UserError, match=words) as error:
        cross_validate(experiment(**wrong), run)
    assert "\n" not in str(error.value)
    assert not list(run.glob("folds/*"))
    assert "source" not in wrong or not run.parent.exists()
    target = load_target(experiment(), load_dataset(experiment().data), None)
    assert not crossval.is_begun(run, experiment())
    crossval.begin(run, experiment(), target, begun=False)
    assert crossval.is_begun(run, experiment())
    assert not (run / "sources.json").exists()


def test_a_folder_with_other_things_is_refused_and_left_alone(experiment, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    for out in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(UserError, match="isn't a run"):
            cross_validate(experiment(), out)
    with pytest.raises(UserError, match=r"--out .*thesis\.txt/run can't be written"):
        cross_validate(experiment(), tmp_path / "thesis.txt" / "run")
    assert [p.name for p in tmp_path.iterdir() if p.name != "cache"] == ["thesis.txt"]


def test_what_a_kill_during_the_first_write_left_is_taken_over(experiment, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".experiment.toml.123.tmp").write_text("da")
    (tmp_path / "run" / "folds.csv").write_text("image,pat")
    assert not crossval.is_begun(tmp_path / "run", experiment())


def test_folds_of_an_earlier_run_are_used_as_they_are(runs, experiment, tmp_path, monkeypatch):
    given = runs("scratch") / "folds.csv"  # with a test set
    fitted = []
    monkeypatch.setattr(fitting, "fit_folds", lambda plan, t, run, folds: fitted.extend(folds))
    monkeypatch.setattr(crossval, "gather", lambda *args: None)
    scores = {"macro": {"pooled": {"auroc": 0.5}}, "per_label": {}}
    monkeypatch.setattr(crossval, "write_metrics", lambda *args: scores)
    monkeypatch.setattr(crossval, "write_operating_points", lambda *args: None)
    monkeypatch.setattr(crossval, "write_report", lambda *args: None)
    choices = experiment(seed=3).model_dump(exclude={"folds", "test_fraction"})
    one = make_experiment({**choices, "folds_file": str(given)})
    cross_validate(one, tmp_path / "run")
    assert (tmp_path / "run" / "folds.csv").read_bytes() == given.read_bytes()
    assert fitted == [0, 1]
    told = read_experiment(tmp_path / "run" / "experiment.toml")
    held = (table(given)["fold"] == "test").mean()
    assert (told.folds, told.test_fraction) == (2, pytest.approx(held, abs=1e-4))  # not 5 and 0
    cross_validate(one, tmp_path / "run")  # goes on
    other = table(given)
    other["fold"] = other["fold"].replace({"0": "1", "1": "0"})
    other.to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(UserError, match="other folds than --folds-file"):
        cross_validate(
            make_experiment({**choices, "folds_file": str(tmp_path / "other.csv")}),
            tmp_path / "run",
        )
    for damage, said in (
        (other.drop(columns="image"), "lacks image"),
        (pd.concat([other, other]), "repeats"),
    ):
        damage.to_csv(tmp_path / "other.csv", index=False)
        with pytest.raises(UserError, match=said):
            cross_validate(
                make_experiment({**choices, "folds_file": str(tmp_path / "other.csv")}),
                tmp_path / "run",
            )
    cross_validate(told, tmp_path / "run")  # what was noted is no contradiction
    for asked in ({"folds": 5}, {"test_fraction": 0.0}):
        with pytest.raises(
            UserError, match=r"2 folds, a test set of .* Leave out (folds|test-fraction)"
        ):
            cross_validate(
                make_experiment({**choices, "folds_file": str(given), **asked}), tmp_path / "new"
            )
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("known", [True, False])
def test_folds_do_not_depend_on_the_order_of_the_rows(experiment, tmp_path, known):
    dataset = load_dataset(write_dataset(tmp_path / "d", images=40, per_patient=1))
    if not known:
        dataset = replace(dataset, patients=np.full(40, ""))
    order = np.random.default_rng(0).permutation(40)
    for choices in ({"folds": 4}, {"folds": 3, "test_fraction": 0.2}):
        one = experiment(**choices)
        folds = load_target(one, dataset, None).folds
        shuffled = load_target(one, dataset.subset(order), None).folds
        np.testing.assert_array_equal(shuffled, folds[order])
