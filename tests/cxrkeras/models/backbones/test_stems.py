"""Stems for large images: what they compute, by hand, and what stays as it was without them."""

import keras
import numpy as np
import pytest

from cxrkeras.models.network import TARGET
from cxrkeras.models.summary.cost import sight
from cxrkeras.models.weights.trunk import load_trunk, save_trunk
from cxrkeras.registry import BACKBONES
from cxrkeras.runs.sources import Weights
from data_prep.errors import UserError
from tests.cxrkeras.backbones import known
from tests.cxrkeras.networks import network_of
from tests.cxrkeras.plain_keras import foreign_classes

SIDE = 128
STRIDES = {
    "none": ["s04", "s08", "s16", "s32"],
    "conv4": ["s16", "s32", "s64", "s128"],
    "pool2": ["s04", "s08", "s16", "s32", "s64"],
}
STEMS = [stem for stem in STRIDES if stem != "none"]


@pytest.fixture(autouse=True)
def _steps(monkeypatch):
    known.add("steps", monkeypatch)


def drawn(model: keras.Model, seed: int) -> keras.Model:
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(0.1, 0.5, w.shape) for w in model.weights])
    return model


def array(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def colour(side: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, side, side, 3)).astype(np.float32)


@pytest.mark.parametrize("stem", STRIDES)
def test_maps_are_known_by_their_strides_in_the_image(stem):
    part = BACKBONES.make(f"steps:stem={stem}")
    trunk = part.trunk(SIDE)
    maps = part.maps(trunk)
    assert list(maps) == STRIDES[stem]
    assert {key: tensor.shape[1] * int(key[1:]) for key, tensor in maps.items()} == dict.fromkeys(
        maps, SIDE
    )
    assert [*maps.values()][-1] is trunk.outputs[0]
    assert sight(trunk).stride == int(STRIDES[stem][-1][1:])


@pytest.mark.jax
def test_behind_convolutions_a_trunk_first_sees_the_image_shrunk():
    plain = drawn(BACKBONES.make("steps").trunk(SIDE // 4), 1)
    trunk = BACKBONES.make("steps:stem=conv4").trunk(SIDE)
    trunk.get_layer("steps").set_weights(plain.get_weights())
    image = colour(SIDE)
    shrunk = image.reshape(2, SIDE // 4, 4, SIDE // 4, 4, 3).mean((2, 4))
    np.testing.assert_allclose(array(trunk(image)), array(plain(shrunk)), rtol=1e-4, atol=1e-6)
    drawn(trunk, 2)
    assert np.abs(array(trunk(image)) - array(plain(shrunk))).max() > 1e-2


@pytest.mark.jax
def test_a_pooling_stands_behind_the_finest_map():
    plain = drawn(BACKBONES.make("steps").trunk(SIDE), 1)
    trunk = BACKBONES.make("steps:stem=pool2").trunk(SIDE)
    trunk.set_weights(plain.get_weights())
    first, *others = (x for x in plain.layers if isinstance(x, keras.layers.Conv2D))
    finest = array(first(colour(SIDE)))
    rows = np.pad(finest, ((0, 0), (0, 1), (0, 1), (0, 0)))  # nothing is below 0 here
    x = np.max(
        [rows[:, i : i + 32 : 2, j : j + 32 : 2] for i in range(3) for j in range(3)], axis=0
    )
    assert x.shape == (2, 16, 16, 4)
    for layer in others:
        x = layer(x)
    np.testing.assert_allclose(array(trunk(colour(SIDE))), array(x), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("stem", STEMS)
def test_weights_of_the_trunk_alone_fit_behind_a_stem_and_the_other_way_round(stem, tmp_path):
    plain = drawn(BACKBONES.make("steps").trunk(64), 1)
    save_trunk(plain, tmp_path / "plain.weights.h5")
    text = f"steps:stem={stem}"
    trunk = BACKBONES.make(text).trunk(128)
    load_trunk(trunk, text, Weights(str(tmp_path / "plain.weights.h5")))
    body = trunk.get_layer("steps") if stem == "conv4" else trunk
    for found, expected in zip(body.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    drawn(trunk, 2)
    network = network_of((text,), 128, {TARGET: 2})
    network.trunks[0].set_weights(trunk.get_weights())
    network.probability.save(tmp_path / "model.keras")
    for kind, target in ((text, BACKBONES.make(text).trunk(160)), ("steps", plain)):
        load_trunk(target, kind, Weights(str(tmp_path / "model.keras")))
    own = BACKBONES.make(text).trunk(128)
    load_trunk(own, text, Weights(str(tmp_path / "model.keras")))
    for found, expected in zip(own.get_weights(), trunk.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    for found, expected in zip(plain.get_weights(), body.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("stem", STEMS)
def test_a_model_with_a_stem_comes_back_from_its_file(stem, tmp_path):
    """With a head that takes several maps, from fine to coarse."""
    network = network_of((f"steps:stem={stem}",), SIDE, {TARGET: 2}, head="fpn:channels=3")
    model = drawn(network.probability, 1)
    levels = [layer.name for layer in model.layers if layer.name.startswith("pool_1_")]
    wanted = [key for key in STRIDES[stem][:-1] if key in ("s04", "s08", "s16")]
    assert sorted(levels) == sorted(f"pool_1_{key}" for key in (*wanted, STRIDES[stem][-1]))
    model.save(tmp_path / "x.keras")
    again = keras.saving.load_model(tmp_path / "x.keras")
    images = np.random.default_rng(0).uniform(0, 255, (2, SIDE, SIDE, 1)).astype(np.float32)
    np.testing.assert_array_equal(array(again(images)), array(model(images)))
    assert not foreign_classes(model)


@pytest.mark.parametrize(("stem", "factor"), [("conv4", 4), ("pool2", 2)])
def test_a_stem_needs_larger_images(stem, factor):
    part = BACKBONES.make(f"inception_v3:stem={stem}")
    assert part.smallest() == 75 * factor
    with pytest.raises(UserError, match=f"stem={stem} needs images of at least {75 * factor} px"):
        part.check(75 * factor - 1)


def test_where_nothing_can_be_pooled_is_said(monkeypatch):
    known.add("tiny", monkeypatch)
    with pytest.raises(UserError, match=r"stem=pool2: there is no place .* stem=conv4"):
        BACKBONES.make("tiny:stem=pool2").trunk(64)


@pytest.mark.slow
@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize(
    "name", [name for name in BACKBONES.names() if not BACKBONES.about(name).package]
)
def test_a_stem_stands_before_any_backbone(name, stem):
    """Some refuse a pooling, and say so."""
    if name == "hub":
        pytest.skip("it needs a preset")
    if getattr(BACKBONES.load(name), "normalises", False):
        pytest.skip("its maps aren't found, without a stem either")
    part = BACKBONES.make(f"{name}:stem={stem}")
    side = part.smallest()
    if stem == "pool2" and name.startswith(("nasnet", "hybrid", "convnext")):
        with pytest.raises(UserError, match="no place for a pooling"):
            part.trunk(side)
        return
    trunk, plain = part.trunk(side), BACKBONES.make(name).trunk(side)
    image = np.zeros((1, side, side, 3), np.float32)
    found = array(trunk.predict_on_batch(image))
    assert found.shape == (1, *trunk.output_shape[1:])
    assert np.isfinite(found).all()
    own = len(trunk.weights) - len(plain.weights)
    assert own == (7 if stem == "conv4" else 0)
    keras.backend.clear_session()
