"""The graph of two branches and their fusion."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import ops

from cxrkeras.models.architecture import Architecture
from cxrkeras.models.branches import GLOBAL, LOCAL, build_branches
from cxrkeras.models.network import TARGET, build_network
from cxrkeras.models.regions import BOX, CROP, cropped
from cxrkeras.registry import BACKBONES, HEADS, VIEWS
from cxrkeras.serving.explain.mapping.gradients import score_gradient
from tests.cxrkeras.backbones import known

IMAGES = np.random.default_rng(0).random((3, 48, 48, 1), np.float32) * 255


@pytest.fixture(scope="module")
def architecture():
    with pytest.MonkeyPatch.context() as patch:
        known.add("tiny", patch)
        yield Architecture((BACKBONES.make("tiny"),), HEADS.make("gap"), 48)


@pytest.fixture(scope="module")
def branches(architecture):
    made = build_branches(architecture, 2, 0.7)
    random = np.random.default_rng(1)
    made.logits.set_weights(
        [w + 0.1 * random.random(w.shape, np.float32) for w in made.logits.get_weights()]
    )
    return made


def numbers(found):
    return keras.tree.map_structure(ops.convert_to_numpy, found)


@pytest.mark.jax
def test_each_step_says_what_the_whole_says(branches):
    whole = numbers(branches.logits(IMAGES, training=False))
    for name in (GLOBAL, LOCAL, TARGET):
        (alone,) = numbers(branches.steps[name](IMAGES, training=False)).values()
        np.testing.assert_allclose(alone, whole[name], atol=1e-5)
    scores = numbers(branches.probability(IMAGES, training=False))
    np.testing.assert_allclose(scores, numbers(ops.sigmoid(whole[TARGET])), atol=1e-6)
    assert len({tuple(one[0]) for one in whole.values()}) == 3


def test_a_branch_tells_the_logits_of_a_head_of_several_layers(architecture):
    made = build_branches(replace(architecture, head=HEADS.make("cosine")), 2, 0.7)
    whole = numbers(made.logits(IMAGES, training=False))
    for name in (GLOBAL, LOCAL):
        (alone,) = numbers(made.steps[name](IMAGES, training=False)).values()
        np.testing.assert_allclose(alone, whole[name], atol=1e-5)
        assert alone.shape == (3, 2)


@pytest.mark.jax
def test_the_local_branch_sees_what_the_global_one_looked_at(branches, architecture):
    model = branches.probability
    looked = [model.get_layer(name).output for name in (BOX, CROP)]
    box, crop = numbers(keras.Model(model.input, looked)(IMAGES))
    assert ((box[:, :2] < box[:, 2:]) & (box[:, :2] >= 0) & (box[:, 2:] <= 1)).all()
    assert (box != [0, 0, 1, 1]).any()
    alone = build_network(architecture, {LOCAL: 2})
    part = model.get_layer("part").get_weights()
    head = branches.steps[LOCAL].get_layer("head_local").get_weights()
    alone.logits.set_weights([*part, *head])
    (expected,) = numbers(alone.logits(crop)).values()
    found = numbers(branches.logits(IMAGES))[LOCAL]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.jax
def test_a_step_trains_its_own_part_alone(branches):
    learnt = {}
    for name in (GLOBAL, LOCAL, TARGET):
        for look in branches.held[TARGET]:
            look.trainable = look not in branches.held[name]
        learnt[name] = {id(weight) for weight in branches.steps[name].trainable_weights}
    assert [len(learnt[name]) for name in (GLOBAL, LOCAL, TARGET)] == [8, 8, 2]
    assert len(set.union(*learnt.values())) == 18


@pytest.mark.jax
def test_no_gradient_comes_back_through_the_crop():
    image, maps = keras.Input((16, 16, 1)), keras.Input((4, 4, 3))
    score = ops.mean(cropped(image, [maps], 0.5), axis=(1, 2))
    head = keras.Model([image, maps], [score, score])
    values = [
        np.random.default_rng(0).random((2, *one.shape[1:]), np.float32) for one in (image, maps)
    ]
    to_image, to_maps = score_gradient(head, values, 0)
    assert not to_maps.any()
    np.testing.assert_allclose(to_image.sum(axis=(1, 2, 3)), 1, atol=1e-5)


def test_further_inputs_and_several_trunks_pass(architecture):
    parts = tuple(map(BACKBONES.make, ("tiny", "tiny")))
    made = Architecture(parts, architecture.head, 48, ("image", "age"))
    branches = build_branches(made, 2, 0.7)
    given = {"image": IMAGES, "age": np.full((3, 1), 50, np.float32)}
    assert numbers(branches.probability(given)).shape == (3, 2)
    ten = replace(made, views=VIEWS.make("tencrop:side=40"))
    assert numbers(build_branches(ten, 2, 0.7).probability(given)).shape == (3, 2)
    assert len(branches.trunks) == len({trunk.name for trunk in branches.trunks}) == 4


def test_views_pass(architecture):
    """The branches see ten parts of a larger image as they see each by itself."""
    inner = build_branches(architecture, 2, 0.7)
    weights = [w + 0.1 for w in inner.logits.get_weights()]
    inner.logits.set_weights(weights)
    image = np.random.default_rng(2).random((2, 60, 60, 1), np.float32) * 255
    views = VIEWS.make("tencrop:side=48")
    outer = build_branches(replace(architecture, image_size=60, views=views), 2, 0.7)
    outer.logits.set_weights(weights)
    cut = [
        part[:, :, ::-1] if crop.mirrored else part
        for crop in views.crops(60)
        for part in (image[:, crop.top : crop.top + 48, crop.left : crop.left + 48],)
    ]
    expected = np.mean([numbers(inner.probability(part)) for part in cut], axis=0)
    np.testing.assert_allclose(numbers(outer.probability(image)), expected, atol=1e-5)
    told = numbers(outer.logits(image))
    np.testing.assert_allclose(told[TARGET], numbers(inner.logits(cut[0]))[TARGET], atol=1e-4)
