"""Maps by stride: names known from the papers' figures, a count of all ways by hand, and shapes."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrkeras.models.backbones.shared.strides import maps_by_stride
from cxrkeras.models.graph import steps
from cxrkeras.registry import BACKBONES
from tests.cxrkeras.backbones import known


def makers(trunk: keras.Model, maps: dict) -> dict[str, str]:
    """{stride: the layer that gives the map}."""
    layers = {id(tensor): layer.name for _, tensors, layer in steps(trunk) for tensor in tensors}
    return {key: layers[id(tensor)] for key, tensor in maps.items()}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param(
            "resnet50",
            {
                "s04": "conv2_block3_out",
                "s08": "conv3_block4_out",
                "s16": "conv4_block6_out",
                "s32": "conv5_block3_out",
            },
            marks=pytest.mark.slow,
        ),
        (
            "densenet121",
            {"s04": "pool2_conv", "s08": "pool3_conv", "s16": "pool4_conv", "s32": "relu"},
        ),
        (  # without its normalisation, so it begins in the middle of Keras's graph
            "efficientnet_b0",
            {
                "s04": "block3a_expand_activation",
                "s08": "block4a_expand_activation",
                "s16": "block6a_expand_activation",
                "s32": "top_activation",
            },
        ),
        pytest.param(
            "inception_v3",
            {"s08": "mixed2", "s16": "mixed7", "s32": "mixed10"},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "nasnet_mobile",
            {
                "s04": "reduction_concat_stem_1",
                "s08": "normal_concat_3",
                "s16": "normal_concat_8",
            },
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_maps_are_those_that_are_known(name, expected):
    part = BACKBONES.make(name)
    trunk = part.trunk(max(96, part.smallest()))
    found = makers(trunk, part.maps(trunk))
    assert {key: found[key] for key in expected} == expected


def test_a_model_of_the_maps_survives_saving(tmp_path, monkeypatch):
    known.add("steps", monkeypatch)
    part = BACKBONES.make("steps")
    trunk = part.trunk(64)
    model = keras.Model(trunk.inputs[0], part.maps(trunk))
    model.save(tmp_path / "x.keras")
    again = keras.saving.load_model(tmp_path / "x.keras")
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)
    found, expected = again(image), model(image)
    assert list(found) == list(expected)
    for key in expected:
        np.testing.assert_array_equal(found[key], expected[key])
    np.testing.assert_array_equal([*found.values()][-1], trunk(image))


@settings(max_examples=20)
@given(
    blocks=st.lists(
        st.tuples(st.sampled_from(["plain", "residual", "squeezed", "padded", "nested"])),
        min_size=1,
        max_size=4,
    )
)
def test_branches_squeezes_and_padding_are_no_maps(blocks):
    """Blocks of stride 2 whose join is known because it's built here."""
    layers = keras.layers
    x = image = keras.Input((64, 64, 3))
    joins = {}
    for number, (kind,) in enumerate(blocks, start=1):
        x = layers.Conv2D(4, 3, strides=2, padding="same")(x)
        if kind == "residual":
            x = layers.Add()([x, layers.Conv2D(4, 3, padding="same")(x)])
        elif kind == "squeezed":
            squeezed = layers.GlobalAveragePooling2D(keepdims=True)(x)
            x = layers.Multiply()([x, layers.Conv2D(4, 1)(squeezed)])
        elif kind == "nested":
            x = keras.Sequential([layers.Conv2D(4, 1), layers.ReLU()])(x)
        joins[2**number] = x
        if kind == "padded" and number < len(blocks):
            x = layers.ZeroPadding2D(1)(x)
    found = maps_by_stride(keras.Model(image, x))
    wanted = {f"s{stride:02d}": x for stride, x in joins.items() if stride >= 4} or {"s02": x}
    assert {key: id(tensor) for key, tensor in found.items()} == {
        key: id(tensor) for key, tensor in wanted.items()
    }


def test_the_ways_are_counted_by_an_independent_walk():
    """All ways of a small net, listed one by one: a map lies on each."""
    part = BACKBONES.make("mobilenet_v3_small")
    trunk = part.trunk(64)
    maps = {id(tensor): key for key, tensor in part.maps(trunk).items()}
    feeds = {
        id(layer.output): [id(x) for x in keras.tree.flatten(layer.input)]
        for layer in trunk.operations
        if not isinstance(layer, keras.layers.InputLayer)
    }
    rng = np.random.default_rng(0)
    for _ in range(200):  # of far more ways, each end to end
        place, seen = id(trunk.outputs[0]), set()
        while place in feeds:
            seen.add(place)
            place = feeds[place][rng.integers(len(feeds[place]))]
        assert set(maps) <= seen
