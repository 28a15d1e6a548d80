"""`.keras` files whose description asks for more than their weights, or whose numbers are none."""

import json
import resource
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from cxrkeras.serving.predictor.keras_file import load_keras
from cxrkeras.serving.predictor.loaded import load_model
from data_prep.errors import UserError
from tests.cxrkeras.serving.served_runs import SIDE, build, write_model


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_keras(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def described_anew(path: Path, change) -> None:
    """Change the layers' configurations, {name: configuration}; the weights stay."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    change({layer["name"]: layer["config"] for layer in config["config"]["layers"]})
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (parts | {"config.json": json.dumps(config)}).items():
            archive.writestr(name, content)


@pytest.fixture
def saved(tmp_path) -> Path:
    build(0).save(tmp_path / "x.keras")
    return tmp_path / "x.keras"


def test_a_model_may_ask_for_as_many_weights_as_it_holds(saved):
    model = load_keras(saved)
    described_anew(saved, lambda layers: None)
    for ours, theirs in zip(load_keras(saved).get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    add_weight = keras.Layer.add_weight
    assert add_weight.__qualname__ == "Layer.add_weight"  # it was put back


def test_no_weights_are_drawn_that_are_read_next(saved, monkeypatch):
    wanted = build(0).get_weights()
    monkeypatch.setattr(keras.initializers.VarianceScaling, "__call__", None)
    with pytest.raises(TypeError):
        build(0)
    for ours, theirs in zip(load_keras(saved).get_weights(), wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_description_that_asks_for_40_gb_of_weights_is_refused(saved):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    described_anew(saved, lambda layers: layers["target"].update(units=1_700_000_000))
    assert "more than the" in refusal(saved)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB
    assert keras.Layer.add_weight.__qualname__ == "Layer.add_weight"


def test_maps_of_gigabytes_are_refused(tmp_path):
    image = keras.Input((SIDE, SIDE, 1))
    maps = keras.layers.UpSampling2D(1000)(image)
    inner = keras.Model(image, keras.layers.GlobalAveragePooling2D()(maps))
    for number, model in enumerate([inner, keras.Sequential([image, inner])]):
        path = tmp_path / f"{number}.keras"
        model.save(path)
        assert "numbers at once of an image" in refusal(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_finite_numbers_are_refused(tmp_path, value):
    model = build(0)
    values = model.get_weights()
    values[0].flat[3] = value
    model.set_weights(values)
    model.save(tmp_path / "x.keras")
    assert "aren't finite numbers" in refusal(tmp_path / "x.keras")


def test_a_deeply_nested_description_is_refused(saved):
    with zipfile.ZipFile(saved) as archive:
        weights = archive.read("model.weights.h5")
    with zipfile.ZipFile(saved, "w") as archive:
        archive.writestr("model.weights.h5", weights)
        archive.writestr("config.json", "[" * 100_000)
    assert "can't be loaded as a Keras 3 model" in refusal(saved)


def _with_scaling(saved, **changes):
    """The file with another class where the layer that scales was."""
    with zipfile.ZipFile(saved) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    (scaling,) = (one for one in config["config"]["layers"] if one["class_name"] == "Rescaling")
    scaling |= changes
    with zipfile.ZipFile(saved, "w") as archive:
        for name, content in (parts | {"config.json": json.dumps(config)}).items():
            archive.writestr(name, content)


def test_a_layer_of_another_version_is_named(saved):
    """Earlier versions saved the scaling as a layer of their own."""
    name = "cxrkeras>GreyToBackbone"
    place = {"module": "cxrkeras.models.trunks", "class_name": "GreyToBackbone"}
    _with_scaling(saved, registered_name=name, **place)
    assert "another version of cxrkeras: this one has no layer GreyToBackbone" in refusal(saved)


def test_a_layer_of_keras_hub_names_the_extra(saved, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)  # as where it isn't installed
    place = {"module": "keras_hub.src.models.absent", "class_name": "Absent"}
    _with_scaling(saved, registered_name="keras_hub>Absent", **place)
    assert "pip install 'cxrkeras[hub]'" in refusal(saved)


def test_outputs_that_are_no_probabilities_are_refused(tmp_path):
    folder = write_model(tmp_path / "m")
    change = {"activation": "linear"}
    described_anew(folder / "model.keras", lambda layers: layers["probability"].update(change))
    images = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE)).astype(np.uint8)
    with pytest.raises(UserError, match="outputs aren't probabilities"):
        load_model(folder).predict(images)


def test_finite_weights_that_overflow_are_refused(tmp_path):
    folder = write_model(tmp_path / "m")
    model = keras.models.load_model(folder / "model.keras")
    model.set_weights([np.full_like(w, 3e38) for w in model.get_weights()])
    model.save(folder / "model.keras")
    images = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE)).astype(np.uint8)
    with pytest.raises(UserError, match="outputs aren't probabilities"):
        load_model(folder).predict(images)
