"""Maps that are chosen by stride or layer: the same tensors, side by side, and exact heat maps."""

import keras
import numpy as np
import pytest

from cxrkeras.models.chosen import chosen_maps
from cxrkeras.models.network import TARGET, build_network
from cxrkeras.registry import BACKBONES, HEADS
from cxrkeras.runs.description import make_experiment
from cxrkeras.serving.explain.mapping.structure import take_apart
from cxrkeras.training.plan import resolve
from data_prep.errors import UserError
from tests.cxrkeras.networks import network_of

CHOSEN = ("conv_1", "4")
SIDE = 48


@pytest.fixture(scope="module")
def plain():
    return network_of(("tiny",), SIDE, {TARGET: 2})


@pytest.fixture(scope="module")
def network():
    choices = {"backbone": "tiny", "image_size": SIDE, "features": "conv_1,04"}
    architecture = resolve(make_experiment(choices)).architecture
    assert architecture.features == CHOSEN
    return build_network(architecture, {TARGET: 2})


def test_each_map_is_pooled_and_they_stand_side_by_side(network, plain):
    pixels = np.random.default_rng(0).uniform(0, 255, (3, SIDE, SIDE, 1)).astype(np.float32)
    trunk = plain.trunks[0]
    first = keras.Model(trunk.input, trunk.get_layer("conv_1").output)
    scaled = BACKBONES.make("tiny").scaled(pixels)
    found = keras.ops.convert_to_numpy(network.features(pixels))
    assert found.shape == (3, 8 + 16)
    means = [keras.ops.mean(model(scaled), axis=(1, 2)) for model in (first, trunk)]
    np.testing.assert_allclose(found, np.concatenate(means, axis=1), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found[:, 8:], plain.features(pixels), rtol=1e-4, atol=1e-6)


def test_the_class_activation_map_stays_exact(network):
    rng, dense = np.random.default_rng(1), network.logits.get_layer(TARGET)
    dense.set_weights([rng.normal(size=w.shape) for w in dense.get_weights()])
    parts = take_apart(network.probability)
    assert parts.why_not == ""
    pixels = rng.uniform(0, 255, (2, SIDE, SIDE, 1)).astype(np.float32)
    maps = [keras.ops.convert_to_numpy(one) for one in parts.trunk(pixels)]
    logits = parts.bias + sum(
        one.mean(axis=(1, 2), dtype=np.float64) @ w
        for one, w in zip(maps, parts.weights, strict=True)
    )
    np.testing.assert_allclose(logits, network.logits(pixels)[TARGET], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("conv_3", r"tiny has no such layer 'conv_3'\. Near it: .*conv_1.*strides: 4\."),
        ("re_lu", "has no such layer 're_lu'"),
        ("8", "tiny has maps of the strides 4. Received: 8"),
    ],
)
def test_what_a_trunk_lacks_is_refused_with_what_it_has(plain, name, message):
    with pytest.raises(UserError, match=message):
        chosen_maps(plain.trunks[0], BACKBONES.make("tiny"), [name])


def test_a_layer_that_keras_numbers_is_none():
    image = keras.Input((8, 8, 3))
    named = keras.layers.Conv2D(2, 1, name="own")(image)
    numbered = keras.layers.BatchNormalization()(keras.layers.Conv2D(2, 1)(named))
    trunk = keras.Model(image, keras.layers.AveragePooling2D(4, name="last")(numbered))
    tiny = BACKBONES.make("tiny")
    assert list(chosen_maps(trunk, tiny, ["own", "last"])) == ["own", "last"]
    for layer in trunk.layers[2:4]:
        with pytest.raises(UserError, match="no such layer"):
            chosen_maps(trunk, tiny, [layer.name])


@pytest.mark.parametrize("head", HEADS.names())
def test_heads_that_choose_maps_themselves_refuse_by_name(head):
    choices = {"backbone": "tiny", "image_size": SIDE, "head": head, "features": [4]}
    if HEADS.make(head).strides:
        with pytest.raises(UserError, match=f"--head {head} chooses the trunk's maps itself"):
            resolve(make_experiment(choices))
    else:
        assert resolve(make_experiment(choices)).architecture.features == ("4",)


@pytest.mark.parametrize("word", ["", "a b", "conv_1,,"])
def test_features_are_words(word):
    with pytest.raises(UserError, match="--features takes strides"):
        make_experiment({"features": word})


def test_no_choice_changes_no_digest():
    usual = make_experiment({})
    assert make_experiment({"features": ()}).digest == usual.digest
    assert make_experiment({"features": 16}).digest != usual.digest
    assert make_experiment({"features": [16, "16", "016"]}).features == ("16",)
