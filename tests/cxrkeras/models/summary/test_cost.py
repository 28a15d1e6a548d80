"""What a model costs and sees, against published figures and against its own gradients."""

import keras
import numpy as np
import pytest

from cxrkeras.models.summary.cost import multiply_adds, sight, training_memory
from cxrkeras.models.summary.diagram import diagram
from cxrkeras.registry import BACKBONES
from tests.cxrkeras.backbones import known
from tests.cxrkeras.networks import network_of

# Receptive fields: Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural
# Networks", Distill 2019 (their ResNet50 strides elsewhere, with the same field), and for
# DenseNet121 the closed form 2071. Multiply-adds without the top, 10^9 at 224 px: VGG16 15.35
# (He et al. 2016: 15.3), ResNet50 3.86 (3.8), DenseNet121 2.83 (Huang et al. 2017: 2.88 with it).
PUBLISHED = {
    "vgg16": (212, 15.35, 14_714_688),
    "resnet50": (483, 3.86, 23_587_712),
    "densenet121": (2071, 2.83, 7_037_504),
}


@pytest.mark.parametrize(
    "backbone", ["vgg16", "resnet50", pytest.param("densenet121", marks=pytest.mark.slow)]
)
def test_published_figures(backbone):
    trunk = BACKBONES.make(backbone).trunk(224)
    field, billions, parameters = PUBLISHED[backbone]
    seen = sight(trunk)
    assert seen.field == field
    assert seen.stride == 32
    assert seen.map == trunk.output_shape[1:]
    assert multiply_adds(trunk) / 1e9 == pytest.approx(billions, abs=0.01)
    assert trunk.count_params() == parameters


@pytest.mark.parametrize(
    "backbone", ["mobilenet_v3_small", pytest.param("efficientnet_b0", marks=pytest.mark.slow)]
)
def test_squeeze_and_excitation_sees_the_whole_image(backbone):
    assert sight(BACKBONES.make(backbone).trunk(64)).field == np.inf


def branched() -> keras.Model:
    """Strides, dilation, pooling, a nested model, and two paths of unequal reach."""
    image = keras.Input((61, 61, 3))
    inner = keras.Sequential([keras.Input((61, 61, 4)), keras.layers.Conv2D(4, 3, padding="same")])
    x = inner(keras.layers.Conv2D(4, 3, padding="same")(image))
    long = keras.layers.DepthwiseConv2D(3, padding="same", dilation_rate=2)(x)
    long = keras.layers.SeparableConv2D(4, 3, strides=2, padding="same")(long)
    short = keras.layers.AveragePooling2D(2, strides=2, padding="same")(x)
    x = keras.layers.Add()([long, short])
    return keras.Model(image, keras.layers.AveragePooling2D(3, strides=1)(x))


def test_the_field_is_what_reaches_a_place_by_the_gradient():
    import tensorflow as tf

    model = branched()
    for weight in model.weights:
        weight.assign(keras.ops.ones_like(weight))  # nothing cancels out
    image = tf.ones((1, 61, 61, 3))
    with tf.GradientTape() as tape:
        tape.watch(image)
        middle = model(image)[:, 14, 14]
    reach = np.flatnonzero(tape.gradient(middle, image)[0].numpy().any(axis=(1, 2)))
    seen = sight(model)
    assert seen.field == reach.max() - reach.min() + 1 == 3 + 2 + 4 + 2 + 2 * 2
    assert seen.stride == 2


def test_operations_and_memory_by_hand():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", groups=1, use_bias=False)(image)
    x = keras.layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(x)
    x = keras.layers.Flatten()(x)
    model = keras.Model(image, keras.layers.Dense(5)(x))
    assert multiply_adds(model) == 64 * 27 * 4 + 16 * 9 * 4 + 64 * 5
    inputs = 192 + 256 + 64  # of the three layers that learn
    weights = 108 + 36 + 64 * 5 + 5
    assert training_memory(model, 7) == 4 * (7 * inputs + 4 * weights)
    assert training_memory(model, 7, "bfloat16") == 2 * 7 * inputs + 4 * 4 * weights
    model.layers[1].trainable = False
    assert training_memory(model, 7) == 4 * (7 * (inputs - 192) + 4 * weights - 3 * 108)


def test_a_step_keeps_what_its_gradients_need():
    image = keras.Input((8, 8, 3))
    inner = keras.Input((8, 8, 3))
    y = keras.layers.Conv2D(4, 3, padding="same")(inner)
    y = keras.layers.BatchNormalization()(y)
    y = keras.layers.Activation("relu")(y)
    y = keras.layers.Concatenate()([y, y])
    trunk = keras.Model(inner, keras.layers.MaxPooling2D()(y))
    x = keras.layers.GlobalAveragePooling2D()(trunk(image))
    model = keras.Model(image, keras.layers.Dense(2)(x))
    kept = 192 + 256 + 256 + 640 + 8  # into conv, norm; out of relu; pool's both; into dense
    weights = 3 * model.count_params() - 3 * 8 + model.count_params()  # norm's moments don't learn
    assert training_memory(model, 1) == 4 * (kept + weights)
    trunk.trainable = False
    assert training_memory(model, 1) == 4 * (8 + 3 * 18 + model.count_params())


def test_attention_costs_by_what_asks_and_what_is_asked():
    asking, asked = keras.Input((3, 8)), keras.Input((5, 8))
    found = keras.layers.MultiHeadAttention(2, 4)(asking, asked)
    of_tokens = 2 * (3 + 5) * 8 * 8
    compared_and_weighed = 2 * 3 * 5 * 8
    model = keras.Model([asking, asked], found)
    assert multiply_adds(model) == of_tokens + compared_and_weighed


def test_any_graph_can_be_drawn():
    from xml.etree import ElementTree

    image = keras.Input((8, 8, 3))
    with_ops = keras.Model(image, keras.layers.Dense(2)(keras.ops.mean(image * 2, axis=(1, 2))))
    chain = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)])
    first, again = keras.layers.Dense(4), keras.layers.Dense(4)
    turns = keras.Model(start := keras.Input((4,)), first(again(first(start) * 2)))
    for model in (with_ops, chain, turns):
        svg = ElementTree.fromstring(diagram(model))
        names = [text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")]
        assert all(names.count(layer.name) == 1 for layer in model.layers)


def test_the_drawing_is_xml_with_every_part_once(monkeypatch):
    from xml.etree import ElementTree

    known.add("steps", monkeypatch)
    network = network_of(("steps",) * 2, 32, {"target": 3})
    svg = ElementTree.fromstring(diagram(network.probability))
    names = [text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")]
    for layer in network.probability.layers:
        assert names.count(layer.name) == 1
    lines = list(svg.iter("{http://www.w3.org/2000/svg}line"))
    # 2 x (slope, offset, trunk, pool, features), dropout, dense, sigmoid
    assert len(lines) == 13
