"""A small network that has learnt something: its maps point at it, and go when its weights go."""

import keras
import numpy as np
import pytest
from keras import layers

from cxrkeras.evaluation.boxes.heat import peak
from cxrkeras.evaluation.boxes.localisation import Case
from cxrkeras.evaluation.boxes.pointing import play
from cxrkeras.serving.explain.maps import Ensemble, Explainer
from cxrkeras.serving.explain.randomise import compare, randomisation_check, randomised, top_layers

SIDE, SPOT = 40, 9


def films(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grey noise with a bright spot, a dark one, both or none: images, labels, (N, 2, 4) boxes."""
    rng = np.random.default_rng(seed)
    images = rng.uniform(90, 160, (count, SIDE, SIDE))
    truth = rng.integers(0, 2, (count, 2))
    boxes = np.zeros((count, 2, 4))
    for n in range(count):
        halves = rng.permutation(2)  # so that they never lie on each other
        for label in np.flatnonzero(truth[n]):
            left, top = rng.integers(0, SIDE // 2 - SPOT), rng.integers(0, SIDE - SPOT)
            left += halves[label] * SIDE // 2
            images[n, top : top + SPOT, left : left + SPOT] += (80, -80)[label]
            boxes[n, label] = left, top, SPOT, SPOT
    return images.astype(np.float32), truth.astype(np.float32), boxes


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    image = keras.Input((SIDE, SIDE, 1))
    x = layers.Rescaling(1 / 255)(image)
    for width, strides in ((8, 2), (16, 1), (16, 2)):
        x = layers.Conv2D(width, 5, strides=strides, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(x))
    x = layers.Dense(2, activation="sigmoid")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, x)


@pytest.fixture(scope="module")
def trained():
    model = network()
    model.compile(keras.optimizers.Adam(5e-3), "binary_crossentropy", jit_compile=False)
    images, truth, _ = films(256, seed=1)
    model.fit(images[..., None], truth, batch_size=32, epochs=8, verbose=0)
    return model


@pytest.fixture(scope="module", params=["drawn", pytest.param("learnt", marks=pytest.mark.slow)])
def some(request):
    """Its weights are drawn or learnt."""
    return request.getfixturevalue("trained") if request.param == "learnt" else network()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["cam", "gradcam"])
def test_its_maps_point_at_what_it_learnt(trained, method):
    images, truth, boxes = films(80, seed=2)
    told = Explainer(trained, method).explain(images)
    assert ((told.probability > 0.5) == truth).mean() > 0.9
    cases = [
        Case(
            str(n),
            ("bright", "dark")[label],
            "",
            boxes[n, label][None],
            np.empty((0, 4)),
            peak(told.maps[n, label], SIDE),
            SIDE,
        )
        for n, label in np.argwhere(truth == 1)
    ]
    played = play(cases, tolerance=SIDE / told.maps.shape[2])  # a cell: a spot is known by its edge
    assert played.low > 0.6
    assert played.chance < 0.2
    assert played.swapped < 0.3
    assert play(cases).low > 3 * play(cases).chance


def test_the_maps_go_with_the_weights(some):
    images, truth, _ = films(12, seed=3)
    images = images[truth.any(axis=1)]
    before = [value.copy() for value in some.get_weights()]
    head, block = randomisation_check(Explainer(some), images, seed=5)
    assert (head.stage, block.stage) == ("head", "block")
    assert head.spearman.shape == (len(images), 2)
    assert np.median(np.abs(block.spearman)) < 0.7
    assert np.median(block.ssim) < 0.7
    for one, other in zip(before, some.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)  # put back
    again = randomisation_check(Explainer(some), images, seed=5)
    np.testing.assert_array_equal(again[1].spearman, block.spearman)
    other = randomisation_check(Ensemble([Explainer(some)] * 2), images, seed=6)
    assert not np.array_equal(other[1].spearman, block.spearman)


def test_the_same_maps_are_the_same(some):
    images, _, _ = films(4, seed=4)
    told = Explainer(some).explain(images).maps
    rho, ssim = compare(told, told * 3 + 1)  # neither looks at the scale
    np.testing.assert_allclose(rho, 1)
    np.testing.assert_allclose(ssim, 1)
    rho, _ = compare(told, -told)
    np.testing.assert_allclose(rho, -1)
    rho, _ = compare(told, np.zeros_like(told))
    assert np.isnan(rho).all()


def test_the_head_and_the_last_block_are_found_by_structure(some):
    stages = top_layers(Explainer(some))
    assert [type(layer).__name__ for layer in stages["head"]] == ["Dense"]
    kinds = [type(layer).__name__ for layer in stages["block"]]
    assert kinds == ["Dense", "Conv2D", "BatchNormalization"]  # before it the map is larger


def test_weights_come_back_even_after_an_error(some):
    layer = next(layer for layer in some.layers if layer.weights)
    before = layer.get_weights()[0]
    context = randomised([layer], seed=0)
    context.__enter__()
    assert not np.array_equal(layer.get_weights()[0], before)
    assert not context.__exit__(RuntimeError, RuntimeError("stop"), None)
    np.testing.assert_array_equal(layer.get_weights()[0], before)
