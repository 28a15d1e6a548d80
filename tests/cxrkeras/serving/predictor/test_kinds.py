"""Kinds of predictors, another package's among them, and layers that packages bring."""

import json

import keras
import numpy as np
import pytest

from cxrkeras.data.inputs import UNKNOWN, select
from cxrkeras.registry import PREDICTORS
from cxrkeras.serving.predictor.kinds import Kind
from cxrkeras.serving.predictor.loaded import load_model
from cxrkeras.serving.predictor.make import make_ensemble
from cxrkeras.serving.predictor.predictor import Predictor
from data_prep.errors import UserError
from tests.cxrkeras.serving.served_runs import LABELS, SIDE, write_model


class Part(Kind):
    """What another package may bring: answers from a file of numbers."""

    def files(self, card):
        """The one file."""
        return {"numbers.json": card.home / "numbers.json"}

    def load(self, card, trunks):
        """Read it."""
        return _Constant(card)


class _Constant(Predictor):
    def scores(self, inputs, *, traced):
        numbers = json.loads((self.card.home / "numbers.json").read_text())
        return np.tile(numbers, (len(inputs["image"]), 1))


@pytest.fixture
def constant(tmp_path, monkeypatch):
    """A model folder of a kind that isn't ours."""
    monkeypatch.setitem(PREDICTORS._places, "constant", __name__)
    folder = write_model(tmp_path / "constant", kind="constant")
    (folder / "model.keras").unlink()
    (folder / "numbers.json").write_text("[0.25, 0.5, 0.75]")
    return folder


def test_every_kind_is_one():
    assert {"keras", "ensemble"} <= set(PREDICTORS.names())
    for name in PREDICTORS.names():
        assert isinstance(PREDICTORS.make(name), Kind)
        assert PREDICTORS.about(name).line


def test_another_package_s_kind_predicts_alone_and_in_an_ensemble(constant, tmp_path):
    images = np.zeros((2, SIDE, SIDE))
    np.testing.assert_array_equal(load_model(constant).predict(images), [[0.25, 0.5, 0.75]] * 2)
    keras_model = write_model(tmp_path / "keras")
    make_ensemble([constant, keras_model], tmp_path / "both")
    expected = (load_model(constant).predict(images) + load_model(keras_model).predict(images)) / 2
    both = load_model(tmp_path / "both")
    np.testing.assert_allclose(both.predict(images), expected, atol=1e-6)
    for ask, lacking in ((both.keras_model, "export"), (both.members, "heat maps")):
        with pytest.raises(UserError, match=lacking):
            ask()


def test_an_unknown_kind_is_refused(tmp_path):
    folder = write_model(tmp_path / "m", kind="strange")
    with pytest.raises(UserError, match=r"kind in model.json must be one of .*'strange'"):
        load_model(folder)


def test_exactly_the_model_s_inputs_are_taken():
    found = select({"age": np.zeros(3), "image": np.zeros((3, 4, 4, 1)), "x": 1}, ["image", "age"])
    assert {name: values.shape for name, values in found.items()} == {
        "image": (3, 4, 4, 1),
        "age": (3, 1),
    }
    images = {"image": np.zeros((3, 4, 4, 1))}
    assert select(images, ["image", "age"])["age"].tolist() == [[UNKNOWN]] * 3
    with pytest.raises(UserError, match="Missing: image_512"):
        select(images, ["image", "image_512"])


@keras.saving.register_keras_serializable("elsewhere")
class Doubled(keras.layers.Layer):
    """A layer of another package."""

    def call(self, x):
        """Twice x."""
        return 2 * x


def test_a_layer_that_nobody_brings_is_named_before_keras_fails(tmp_path, monkeypatch):
    folder = write_model(tmp_path / "m")
    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = keras.layers.GlobalAveragePooling2D()(Doubled()(image))
    keras.Model(image, keras.layers.Dense(len(LABELS), "sigmoid")(x)).save(folder / "model.keras")
    load_model(folder)
    monkeypatch.delitem(keras.saving.get_custom_objects(), "elsewhere>Doubled")
    with pytest.raises(UserError, match=r"layer 'elsewhere>Doubled'.*names none"):
        load_model(folder)
    facts = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(facts | {"package": ["antigravity"]}))
    with pytest.raises(UserError, match=r"'antigravity'.*isn't installed, or brings no parts"):
        load_model(folder)
