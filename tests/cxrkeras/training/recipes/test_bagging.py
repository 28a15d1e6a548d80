"""PHOW from a prepared dataset to a run, what the run answers, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy.ndimage import gaussian_filter1d

from cxrkeras.commands.explain import command as explain
from cxrkeras.commands.export import command as export
from cxrkeras.commands.summary import command as summary
from cxrkeras.data.dataset import load_dataset
from cxrkeras.data.labels.entries import UNCERTAIN_CLASS
from cxrkeras.data.labels.targets import Targets
from cxrkeras.serving.predictor.loaded import load_model
from cxrkeras.serving.predictor.make import make_ensemble
from cxrkeras.training.crossval import cross_validate
from cxrkeras.training.final import train_final
from cxrkeras.training.plan import resolve
from cxrkeras.training.recipes.shared import bagging
from data_prep.errors import UserError
from tests.cxrkeras.networks import session_of
from tests.cxrkeras.training.tiny import SIDE, write_dataset

RECIPE = "phow:words=12,folds=2"


def woven(lying: bool, seed: int) -> np.ndarray:
    """(S, S) uint8: threads that lie or stand, of the same pixels' statistics."""
    noise = np.random.default_rng(seed).normal(size=(SIDE, SIDE))
    image = gaussian_filter1d(gaussian_filter1d(noise, 4, axis=int(lying)), 1, axis=int(not lying))
    return np.uint8(np.clip(128 + 40 * image / image.std(), 0, 255))


@pytest.fixture(scope="module")
def textures(tmp_path_factory):
    """A prepared dataset of which only the texture tells the label `lying`; `luck` nothing does."""
    root = write_dataset(tmp_path_factory.mktemp("textures") / "d", ("lying", "luck"), images=40)
    table = pd.read_csv(root / "manifest.csv", dtype=str, keep_default_na=False)
    for number, name in enumerate(table["image"]):
        Image.fromarray(woven(number // 2 % 2 == 0, number)).save(root / name)
        table.loc[number, "lying"] = str(int(number // 2 % 2 == 0))
    table["luck"] = np.random.default_rng(3).integers(0, 2, len(table)).astype(str)
    table.drop(columns=["prepared", "signature"]).to_csv(root / "manifest.csv", index=False)
    return root


@pytest.fixture(scope="module")
def described(experiment, textures):
    return experiment(data=str(textures), recipe=RECIPE, test_fraction=0.2)


@pytest.fixture(scope="module")
def run(described, tmp_path_factory):
    """A finished run on the textures."""
    folder = tmp_path_factory.mktemp("phow") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXRKERAS_CACHE", str(folder.parent / "cache"))
        cross_validate(described, folder)
    return folder


def test_textures_are_told_apart_and_the_page_names_no_backbone(run):
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["per_label"]["lying"]["pooled"]["auroc"] > 0.9
    page = (run / "report.html").read_text()
    assert "Cross-validation of phow" in page
    assert "tiny" not in page
    assert "Learning rate" not in page


def test_a_run_predicts_and_says_what_it_has_not(run, textures, tmp_path):
    said = pd.read_csv(run / "test_predictions.csv")
    dataset = load_dataset(textures)
    rows = [dataset.images.tolist().index(name) for name in said["image"]]
    images = np.stack([np.asarray(Image.open(dataset.paths[row])) for row in rows])
    answers = load_model(run).predict(images)
    np.testing.assert_allclose(answers[:, 0], said["prob_lying"], atol=1e-6)
    for command, words in (
        (explain, [run, dataset.paths[0], "--out", tmp_path / "maps"]),
        (export, [run, "--out", tmp_path / "served"]),
    ):
        with pytest.raises(UserError, match=r"counts visual words \(kind 'phow'\)"):
            CliRunner().invoke(command, [*map(str, words)], catch_exceptions=False)
    both = make_ensemble([run, run / "folds" / "0"], tmp_path / "both")
    assert both.count == 3
    one = load_model(run / "folds" / "0").predict(images)
    whole = load_model(tmp_path / "both").predict(images)
    np.testing.assert_allclose(whole, (answers + one) / 2, atol=1e-6)


@pytest.mark.slow
def test_the_final_model_answers_too(run, tmp_path):
    card = train_final(run, tmp_path / "final")
    assert card["kind"] == "phow"
    noise = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE))
    assert load_model(tmp_path / "final").predict(noise).shape == (2, 2)


def fitted(session, train):
    fitter = session.plan.recipe.fitter(session)
    how = {"epochs": 1, "learning_rate": 1.0, "title": "t"}
    fitter.fit(train, train[:0], session.target.targets, seed=0, **how)
    return fitter


def test_nothing_of_held_out_images_is_learnt(described, textures, monkeypatch):
    """Neither their pixels nor their labels."""
    session, train = session_of(described, load_dataset(textures)), np.arange(0, 30)
    bag = fitted(session, train)._bag
    taken = []
    take = bagging.image_batches
    monkeypatch.setattr(
        bagging, "image_batches", lambda i, rows, n: taken.extend(rows) or take(i, rows, n)
    )
    values = session.target.targets.values.copy()
    values[30:] = 1 - values[30:]
    other = replace(session, target=replace(session.target, targets=Targets(values)))
    again = fitted(other, train)._bag
    assert set(taken) == set(train.tolist())
    for name in ("weights", "bias", "slope", "offset"):
        np.testing.assert_array_equal(getattr(again, name), getattr(bag, name))
    np.testing.assert_array_equal(again.vocabulary.words, bag.vocabulary.words)


def test_what_networks_alone_have_is_refused_by_name(experiment, tmp_path):
    for choice, words in (
        ({"source": "imagenet"}, "--source imagenet"),
        ({"loss": "bce"}, "--loss bce"),
        ({"augment": "light"}, "--augment light"),
        ({"validation_fraction": 0.2}, "--validation-fraction 0.2"),
        ({"image_size": 40, "recipe": "phow:bins=14"}, "at least 43 px"),
    ):
        with pytest.raises(UserError, match=words):
            resolve(experiment(**{"recipe": RECIPE, **choice}))
    for option in ("bins=1+4", "levels=2+x", "levels="):
        with pytest.raises(UserError, match="joined by"):
            resolve(experiment(recipe=f"phow:{option}"))
    with pytest.raises(UserError, match="has no network"):
        CliRunner().invoke(summary, ["--recipe", "phow"], catch_exceptions=False)


def test_too_few_descriptors_and_a_third_class_are_refused(experiment, textures):
    session = session_of(
        experiment(data=str(textures), recipe="phow:words=10000"), load_dataset(textures)
    )
    with pytest.raises(UserError, match="Give fewer words"):
        fitted(session, np.arange(3))
    values = session.target.targets.values.copy()
    values[0, 0] = UNCERTAIN_CLASS
    session = replace(session, target=replace(session.target, targets=Targets(values)))
    with pytest.raises(UserError, match="two classes"):
        fitted(session, np.arange(10))
