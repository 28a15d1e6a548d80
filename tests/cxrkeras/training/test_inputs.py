"""Age, sex and view beside the image: learnt from, part of every key, and told at prediction."""

import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from cxrkeras.data.dataset import load_dataset
from cxrkeras.data.inputs import KNOWN, UNKNOWN
from cxrkeras.serving.predictor.loaded import load_model
from cxrkeras.study.folds import share_folds
from cxrkeras.training.crossval import cross_validate
from cxrkeras.training.final import train_final
from cxrkeras.training.plan import resolve
from cxrkeras.training.recipes.shared.pooled.features import identity
from cxrkeras.training.session import Session
from cxrkeras.training.stages.plan import Stage, describe
from data_prep.errors import UserError
from tests.cxrkeras.networks import network_of, session_of
from tests.cxrkeras.training.tiny import SIDE, write_dataset

INPUTS = ("image", "age", "sex", "view")
AGES = (5, 80)
HOW = {"recipe": "frozen", "epochs": 20, "learning_rate": 0.1, "inputs": INPUTS, "dropout": 0.0}
HOW |= {"plateau_patience": 0, "loss": "bce", "batch_size": 18}
HOW |= {"validation_fraction": 0}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A tiny target, where whoever is old has the first finding, whatever the picture shows."""
    root = write_dataset(tmp_path_factory.mktemp("told") / "target", images=120)
    rng = np.random.default_rng(0)

    def known(table):
        old = np.arange(len(table)) // 2 % 2
        table["disc"] = old.astype(str)
        table["age"] = np.where(np.arange(len(table)) % 9, np.take(AGES, old).astype(str), "")
        table["sex"] = rng.choice(["F", "M", ""], len(table))
        table["view"] = rng.choice(["PA", "AP", "LL", ""], len(table))

    change(root, known)
    return root


def change(root, edit):
    table = pd.read_csv(root / "manifest.csv", dtype=str, keep_default_na=False)
    edit(table)
    table.to_csv(root / "manifest.csv", index=False)


def older(root):
    """One age changes, and nothing else."""
    change(root, lambda table: table.__setitem__("age", ["33", *table["age"][1:]]))


@pytest.fixture(scope="module")
def finished(experiment, told, tmp_path_factory, shared_cache):
    """A frozen run that is told age, sex and view. Don't write into it."""
    folder = tmp_path_factory.mktemp("runs") / "frozen"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXRKERAS_CACHE", str(shared_cache))
        cross_validate(experiment(data=str(told), **HOW), folder)
    return folder


def test_what_only_the_age_tells_is_learnt(finished):
    table = pd.read_csv(finished / "predictions.csv")
    known = np.arange(len(table)) % 9 > 0
    assert roc_auc_score(table["true_disc"][known], table["prob_disc"][known]) > 0.99


def test_what_is_known_varies_as_much_in_all_as_the_image_s_features(experiment, told):
    one = experiment(recipe="frozen", random_trunk=True, inputs=INPUTS)
    session = session_of(one, load_dataset(told))
    fitter, train = session.plan.recipe.fitter(session), np.arange(24)
    standard = fitter._standardised(session.learnt(train, session.target.targets))
    spread, known = standard[0, train].astype(np.float64).var(axis=0), fitter._known
    assert known.sum() == sum({"age": 2, "sex": 2, "view": 3}[name] for name in INPUTS[1:])
    assert spread[~known].sum() > 1
    assert spread[known].sum() == pytest.approx(spread[~known].sum(), rel=1e-3)


def test_a_run_asked_again_gives_its_own_predictions(finished, told):
    """The folds' models share a trunk of several inputs, and are saved with all of them."""
    dataset = load_dataset(told)
    folds = pd.read_csv(finished / "folds.csv", dtype=str)["fold"].to_numpy()
    out_of_fold = pd.read_csv(finished / "predictions.csv")
    images, each = np.stack([np.asarray(Image.open(path)) for path in dataset.paths]), []
    for fold in ("0", "1"):
        model = load_model(finished / "folds" / fold)
        assert tuple(model.card.facts["inputs"]) == INPUTS
        rows = folds == fold
        known = {name: values[rows] for name, values in dataset.known(INPUTS).items()}
        found = model.predict({"image": images[rows], **known})
        expected = out_of_fold[["prob_disc", "prob_bar"]].to_numpy()[rows]
        np.testing.assert_allclose(found, expected, atol=1e-6)
        unknown = {name: np.full((rows.sum(), 1), UNKNOWN) for name in known}
        blind = model.predict({"image": images[rows], **unknown})
        np.testing.assert_array_equal(model.predict(images[rows]), blind)
        assert np.abs(found - blind).max() > 1e-3
        each.append(model.predict(images))
    np.testing.assert_allclose(load_model(finished).predict(images), np.mean(each, 0), atol=1e-6)


def test_a_trunk_that_learns_guesses_and_mixes_with_them(experiment, told, tmp_path):
    """As a fold does."""
    root = shutil.copytree(told, tmp_path / "asked")
    change(root, lambda table: table.loc.__setitem__((slice(None, None, 5), "bar"), "-1"))
    choices = {"uncertain": "self_trained", "transform": "mixup"}
    one = experiment(data=str(root), inputs=INPUTS, **choices)
    session, rows = session_of(one, load_dataset(root)), np.arange(32)
    fitter, targets = session.plan.recipe.fitter(session), session.target.targets
    how = {"epochs": 1, "learning_rate": 1e-2, "seed": 0, "title": "t"}
    learned = fitter.fit(rows[:24], rows[:0], targets, **how)
    asked = targets.guessed[rows[:24]]
    assert asked[:, 1].sum() == 5
    guesses = learned.targets.values[asked]
    assert ((guesses > 0) & (guesses < 1)).all()
    assert np.ptp(guesses) > 0
    scores = fitter.predict(rows)
    known = {name: values[rows] for name, values in session.target.dataset.known(INPUTS).items()}
    images = np.stack([np.asarray(Image.open(session.target.dataset.paths[row])) for row in rows])
    given = {"image": np.float32(images)[..., None], **known}
    np.testing.assert_allclose(fitter.model()(given, training=False), scores, atol=1e-5)
    assert fitter.save(tmp_path)["inputs"] == list(INPUTS)


@pytest.mark.slow
@pytest.mark.parametrize(
    "choices",
    [
        {"uncertain": "self_trained", "transform": "mixup"},
        {"method": "cotrain", "source": ["a={a}", "b={b}"], "source_epochs": 1},
    ],
    ids=["self-trained", "cotrain"],
)
def test_every_way_of_training_takes_them(choices, experiment, told, data, tmp_path):
    """The sources have no such columns: all of it is unknown there."""
    for name in "ab":
        shutil.copytree(data / name, tmp_path / name)
        change(tmp_path / name, lambda table: [table.pop(column) for column in KNOWN])
    places = {name: tmp_path / name for name in "ab"}
    if "source" in choices:
        choices = choices | {"source": [text.format(**places) for text in choices["source"]]}
    made = experiment(data=str(told), inputs=INPUTS, **choices)
    cross_validate(made, tmp_path / "run")
    assert load_model(tmp_path / "run").card.extras == INPUTS[1:]


def test_a_changed_age_is_another_dataset_to_a_run_that_is_told_it(
    finished, experiment, told, tmp_path
):
    root = shutil.copytree(told, tmp_path / "changed")
    run = shutil.copytree(finished, tmp_path / "run")
    cross_validate(experiment(data=str(root), **HOW), run)  # only moved
    train_final(run, tmp_path / "model")
    assert load_model(tmp_path / "model").card.extras == INPUTS[1:]
    older(root)
    with pytest.raises(UserError, match=r"\(labels, patients, age, sex, view or pixels\)"):
        cross_validate(experiment(data=str(root), **HOW), run)
    with pytest.raises(UserError, match="have changed"):
        train_final(run, tmp_path / "model")
    blind = load_dataset(told).fingerprint
    assert blind == load_dataset(root).fingerprint


def test_a_fold_that_is_missing_is_fitted_to_the_same_bytes(finished, experiment, told, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(run / "folds" / "1")
    (run / "predictions.csv").unlink()
    cross_validate(experiment(data=str(told), **HOW), run)
    for name in ("predictions.csv", "folds/1/predictions.csv", "folds/1/model.json"):
        assert (run / name).read_bytes() == (finished / name).read_bytes()


def test_a_study_s_folds_know_the_ages_that_its_cells_are_told(experiment, told, tmp_path):
    root = shutil.copytree(told, tmp_path / "changed")
    how = {"data": str(root)}
    for name, inputs in (("alone", ("image",)), ("told", INPUTS)):
        (tmp_path / name).mkdir()
        share_folds(tmp_path / name, experiment(inputs=inputs, **how))
    older(root)
    share_folds(tmp_path / "alone", experiment(**how))
    with pytest.raises(UserError, match="data differ"):
        share_folds(tmp_path / "told", experiment(inputs=INPUTS, **how))


@pytest.mark.parametrize("inputs", [("image",), ("image", "sex"), INPUTS])
def test_caches_tell_a_changed_age_apart_where_it_is_an_input(inputs, experiment, told, tmp_path):
    root = shutil.copytree(told, tmp_path / "changed")
    older(root)
    plan = resolve(experiment(data=str(told), recipe="frozen", inputs=inputs))

    def keys(place):
        found = load_dataset(place)

        class Target:
            dataset = found

        stage = Stage("a", plan.architecture, None, {"a": found})
        return identity(Session(plan, Target, (None,), []), 0), describe(stage, plan)

    for one, other in zip(keys(told), keys(root), strict=True):
        assert (one != other) == ("age" in inputs)


def test_with_zero_weights_for_them_it_is_the_image_only_model():
    alone = network_of(("tiny",), SIDE, {"target": 2})
    told = network_of(("tiny",), SIDE, {"target": 2}, inputs=INPUTS)
    rng = np.random.default_rng(0)
    for values, (one, other) in zip(
        [w.numpy() for w in alone.trunks[0].weights],
        zip(alone.trunks[0].weights, told.trunks[0].weights, strict=True),
        strict=True,
    ):
        one.assign(values + rng.random(values.shape) / 10)
        other.assign(one.numpy())
    kernel, bias = rng.normal(size=(16, 2)), rng.normal(size=2)
    alone.logits.get_layer("target").set_weights([kernel, bias])
    layer = told.logits.get_layer("target")
    extra = layer.kernel.shape[0] - 16
    assert extra == 2 + 2 + 3
    layer.set_weights([np.concatenate([kernel, np.zeros((extra, 2))]), bias])
    images = rng.integers(0, 256, (4, SIDE, SIDE, 1)).astype(np.float32)
    known = {"age": [[7], [-1], [50], [99]], "sex": [[0], [1], [-1], [1]]}
    known["view"] = [[0], [1], [2], [-1]]
    arrays = {name: np.float32(values) for name, values in known.items()}
    expected = alone.logits.predict(images, verbose=0)["target"]
    found = told.logits.predict({"image": images, **arrays}, verbose=0)["target"]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    layer.set_weights([np.concatenate([kernel, np.ones((extra, 2))]), bias])
    moved = told.logits.predict({"image": images, **arrays}, verbose=0)["target"] - expected
    of_known = np.array([0.07 + 1 + 1 + 1, 0 + 1 + 1, 0.5 + 1 + 0 + 1, 0.99 + 1 + 1 + 0])
    np.testing.assert_allclose(moved[:, 0], of_known, atol=1e-5)
