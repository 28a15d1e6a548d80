"""The final model: made of all folds' images, with what the run knows; resumed; refused."""

import json
import shutil

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from cxrkeras.cli import main
from cxrkeras.data.dataset import load_dataset
from cxrkeras.data.folds.folds import TEST
from cxrkeras.evaluation.evidence.out_of_fold import fit_on_run, read_operating_points
from cxrkeras.evaluation.rules import PrevalenceRule, parse_rule
from cxrkeras.evaluation.scores.operating import thresholds_of
from cxrkeras.evaluation.scores.predictions import TEST_FOLD, read_predictions
from cxrkeras.runs.description import write_experiment
from cxrkeras.serving.predictor.loaded import load_model
from cxrkeras.serving.predictor.read import read_card
from cxrkeras.training import folds
from cxrkeras.training.crossval import cross_validate
from cxrkeras.training.final import train_final
from data_prep.errors import UserError
from tests.cxrkeras.training.tiny import SIDE

LABELS = ("disc", "bar")


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def cache(shared_cache, monkeypatch):
    monkeypatch.setenv("CXRKERAS_CACHE", str(shared_cache))


KINDS = {
    "layers": {"recipe": "frozen", "epochs": 3},
    "tested": {"recipe": "frozen", "epochs": 3, "test_fraction": 0.2, "validation_fraction": 0},
    "finetune": {"epochs": 3, "test_fraction": 0.2},
}


@pytest.fixture(scope="module")
def finished(experiment, tmp_path_factory, shared_cache):
    """`finished(name)`: the run of a name in KINDS; made once. Don't write into it."""
    runs = {}

    def run(name):
        if name not in runs:
            runs[name] = tmp_path_factory.mktemp("runs") / name
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("CXRKERAS_CACHE", str(shared_cache))
                cross_validate(experiment(**KINDS[name]), runs[name])
        return runs[name]

    return run


@pytest.fixture
def copied(finished, tmp_path):
    return lambda name: shutil.copytree(finished(name), tmp_path / name)


def test_cv_leaves_operating_points_and_says_how_images_were_prepared(finished, data):
    run = finished("layers")
    assert (run / "operating_points.json").is_file()
    card = json.loads((run / "folds/0/model.json").read_text())
    assert card["preparation"] == {"image_size": SIDE, "pad": False, "stretch": None}


class HalfOfThePrevalence(PrevalenceRule):
    def threshold(self, prevalence, distort):
        return prevalence / 2

    def origin(self):
        return "half of the prevalence"


@pytest.fixture(scope="module")
def made(finished, tmp_path_factory, shared_cache):
    """`made(name)`: a copy of a run in KINDS, the final model of it with two rules more, and its
    card; made once. Don't write into them.
    """
    models = {}

    def model(name):
        if name not in models:
            folder = tmp_path_factory.mktemp("final")
            run = shutil.copytree(finished(name), folder / "run")
            rules = [parse_rule("sensitivity=0.7"), HalfOfThePrevalence()]
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("CXRKERAS_CACHE", str(shared_cache))
                models[name] = run, folder / "m", train_final(run, folder / "m", rules=rules)
        return models[name]

    return model


def test_it_learns_from_all_folds_and_carries_the_run_s_points(made, data):
    run, out, card = made("layers")
    half = HalfOfThePrevalence()
    codes = load_dataset(data / "target").codes
    codes = np.where(codes == -1, 1.0, np.nan_to_num(codes))  # the default policies
    means = dict(zip(LABELS, codes.mean(axis=0), strict=True))
    assert card["training_prevalence"] == pytest.approx(means)
    assert (card["images"], card["trained_on"]) == (36, "target")
    known = read_operating_points(run)
    assert card["calibration"] == known["calibration"]
    assert card["operating_points"]["youden"] == known["operating_points"]["youden"]
    wanted = parse_rule("sensitivity=0.7")
    assert card["operating_points"][str(wanted)] == fit_on_run(run, wanted)
    point, of_run = card["operating_points"][str(half)][LABELS[0]], fit_on_run(run, half)[LABELS[0]]
    assert point["threshold"] == pytest.approx(means[LABELS[0]] / 2)
    assert point["cross_fitted"] == of_run["cross_fitted"]
    read = read_card(out)
    assert read.facts == json.loads((out / "model.json").read_text()) == card
    # All images were learnt from, so its card says what the run's models reached, and that.
    told, pooled = read.performance(), json.loads((run / "metrics.json").read_text())["macro"]
    assert told["how"].endswith("this model learnt from all of these images")
    assert told["macro"]["auroc"]["value"] == pytest.approx(pooled["pooled"]["auroc"], abs=1e-12)
    corrected = thresholds_of(read.operating_points(parse_rule("corrected")), LABELS)
    prevalence = np.array([means[label] for label in LABELS])
    odds = read.distortion.w * prevalence / (1 - prevalence)
    np.testing.assert_allclose(corrected, odds / (1 + odds))
    model = load_model(out)
    assert model.predict(np.zeros((2, SIDE, SIDE))).shape == (2, 2)
    assert not (run / "final").exists()


@pytest.mark.parametrize("name", ["tested", pytest.param("finetune", marks=pytest.mark.slow)])
def test_it_is_scored_on_the_test_set_that_it_has_not_seen(copied, data, tmp_path, name):
    run = copied(name)
    told = train_final(run, tmp_path / "m")["performance"]
    assert told["how"] == "On the held-out test set, which this model hasn't seen"
    folds = pd.read_csv(run / "folds.csv", dtype=str).set_index("image")["fold"]
    dataset = load_dataset(data / "target")
    rows = [row for row, image in enumerate(dataset.images) if folds[image] == TEST_FOLD]
    films = [np.asarray(Image.open(dataset.paths[row])) for row in rows]
    prob = load_model(tmp_path / "m").predict(np.stack(films))
    truth = np.where(dataset.codes[rows] == 1, 1, 0)  # the table has no uncertain entry here
    assert (told["images"], told["patients"]) == (len(rows), len(set(dataset.patients[rows])))
    for k, label in enumerate(LABELS):
        known = dataset.codes[rows, k] != -1
        expected = roc_auc_score(truth[known, k], prob[known, k])
        assert told["per_label"][label]["auroc"]["value"] == pytest.approx(expected, abs=1e-12)
    point = read_card(tmp_path / "m").operating_points(parse_rule("corrected"))[LABELS[0]]
    known = dataset.codes[rows, 0] != -1
    called = prob[known, 0] > point["threshold"]
    assert point["held_out"]["sensitivity"] == pytest.approx(called[truth[known, 0] == 1].mean())
    assert point["held_out"]["specificity"] == pytest.approx((~called)[truth[known, 0] == 0].mean())
    again = train_final(run, tmp_path / "m", rules=[parse_rule("sensitivity=0.85")])
    assert again["operating_points"]["corrected"][LABELS[0]] == point


def test_a_fold_s_model_is_known_by_its_own_fold(finished):
    folder = finished("layers") / "folds/1"
    told, own = read_card(folder).performance(), read_predictions(folder / "predictions.csv")
    assert told["images"] == len(own.images)
    expected = roc_auc_score(own.truth[:, 0], own.prob[:, 0])
    assert told["per_label"][LABELS[0]]["auroc"]["value"] == pytest.approx(expected, abs=1e-12)
    assert read_card(finished("layers")).performance()["images"] > told["images"]


class Stopped(Exception):
    pass


@pytest.mark.parametrize("with_test", [False, True])
def test_the_test_set_stays_out_unless_asked_for(finished, tmp_path, monkeypatch, with_test):
    learned = []

    def fit_rows(fitter, experiment, target, learn, **how):
        learned.append((target, learn))
        raise Stopped

    monkeypatch.setattr(folds, "make_fitter", lambda *args: None)
    monkeypatch.setattr(folds, "fit_rows", fit_rows)
    with pytest.raises(Stopped):
        train_final(finished("tested"), tmp_path / "m", with_test=with_test)
    ((target, rows),) = learned
    assert 0 < (target.folds == TEST).sum() < 36
    expected = np.arange(36) if with_test else np.flatnonzero(target.folds != TEST)
    assert np.array_equal(rows, expected)


@pytest.mark.parametrize("name", ["layers", pytest.param("finetune", marks=pytest.mark.slow)])
def test_killed_it_goes_on_to_the_same_weights(made, copied, tmp_path, name, monkeypatch):
    run, whole = copied(name), made(name)[1]
    original = keras.callbacks.CallbackList.on_epoch_end

    def stop(self, epoch, logs=None):
        original(self, epoch, logs)
        if epoch == 1:
            raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(keras.callbacks.CallbackList, "on_epoch_end", stop)
        with pytest.raises(Stopped):
            train_final(run, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    assert (run / "final" / "checkpoint.npz").is_file()
    train_final(run, tmp_path / "again")
    again = tmp_path / "again"
    one, other = (load_model(place).keras_model() for place in (whole, again))
    for weight, same in zip(one.get_weights(), other.get_weights(), strict=True):
        assert np.array_equal(weight, same)
    histories = [(place / "history.csv").read_text() for place in (whole, again)]
    assert histories[0] == histories[1]
    assert not (run / "final").exists()


def test_the_verb_says_what_comes_next_and_a_model_made_before_gets_the_points_asked_for(
    copied, tmp_path, monkeypatch, capsys
):
    run, out = copied("layers"), tmp_path / "m"
    with pytest.raises(SystemExit) as end:
        main(["train", "--run", str(run), "--out", str(out)])
    assert end.value.code == 0
    assert f"Next: cxrkeras predict {out} FILES..." in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main(["train", "--run", str(run), "--out", str(out), "--operating-point", "top"])
    assert end.value.code == 2

    before = (tmp_path / "m/model.keras").stat().st_mtime_ns
    monkeypatch.setattr(folds, "make_fitter", lambda *args: pytest.fail("fitted again"))
    card = train_final(run, tmp_path / "m", rules=[parse_rule("specificity=0.6")])
    assert "specificity=0.6" in card["operating_points"]
    assert json.loads((tmp_path / "m/model.json").read_text()) == card
    assert (tmp_path / "m/model.keras").stat().st_mtime_ns == before


@pytest.mark.parametrize("name", ["fold.json", "metrics.json"])
def test_an_unfinished_run_is_refused_with_the_command_that_finishes_it(copied, tmp_path, name):
    run = copied("layers")
    next(run.rglob(name)).unlink()
    with pytest.raises(UserError, match=r"isn't finished.*cxrkeras cv --config .* --out"):
        train_final(run, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_what_no_model_can_be_made_of_is_refused(copied, experiment, tmp_path):
    with pytest.raises(UserError, match="--run must be a run folder"):
        train_final(tmp_path, tmp_path / "m")
    run = copied("layers")
    shuffled = experiment(**KINDS["layers"], shuffle_labels=True)
    write_experiment(run / "experiment.toml", shuffled)
    with pytest.raises(UserError, match="leak test"):
        train_final(run, tmp_path / "m")


def test_a_folder_of_something_else_is_refused(copied, finished, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m/thesis.tex").write_text("mine")
    with pytest.raises(UserError, match="holds something else"):
        train_final(copied("layers"), tmp_path / "m")
    assert (tmp_path / "m/thesis.tex").read_text() == "mine"
    shutil.copytree(finished("tested") / "folds/0", tmp_path / "other")
    with pytest.raises(UserError, match="holds something else"):
        train_final(tmp_path / "layers", tmp_path / "other")
