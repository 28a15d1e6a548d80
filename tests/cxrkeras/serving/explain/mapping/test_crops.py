"""Maps of a part that a model cut out by itself: they lie where it was, and add up to the logit."""

import keras
import numpy as np
import pytest

from cxrkeras.models.architecture import Architecture
from cxrkeras.models.branches import build_branches
from cxrkeras.models.network import TARGET
from cxrkeras.models.regions import BOX
from cxrkeras.registry import BACKBONES, HEADS
from cxrkeras.serving.explain.mapping.crops import laid_in
from cxrkeras.serving.explain.maps import Explainer
from tests.cxrkeras.backbones import known

IMAGES = np.random.default_rng(0).random((3, 48, 48, 1), np.float32) * 255


@pytest.fixture(scope="module")
def branches():
    with pytest.MonkeyPatch.context() as patch:
        known.add("tiny", patch)
        parts = (BACKBONES.make("tiny"),)
        made = build_branches(Architecture(parts, HEADS.make("gap"), 48), 2, 0.7)
    random = np.random.default_rng(1)
    weights = [w + 0.1 * random.random(w.shape, np.float32) for w in made.logits.get_weights()]
    made.logits.set_weights(weights)
    return made


def numbers(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def test_a_map_keeps_its_mean_and_is_zero_around_its_box():
    maps = np.random.default_rng(0).normal(size=(2, 3, 4, 4))
    boxes = np.array([[0.25, 0.5, 0.5, 1], [0, 0, 1, 1]])
    laid = laid_in(maps, boxes, 8, 8)
    np.testing.assert_allclose(laid.mean(axis=(2, 3)), maps.mean(axis=(2, 3)))
    inside = np.zeros((8, 8), bool)
    inside[4:, 2:4] = True
    assert not laid[0][:, ~inside].any()
    assert laid[0][:, inside].all()
    pairs = maps[0].reshape(3, 4, 2, 2).mean(axis=3)
    np.testing.assert_allclose(laid[0][:, inside].reshape(3, 4, 2), pairs * 8)
    np.testing.assert_allclose(laid[1], maps[1].repeat(2, axis=1).repeat(2, axis=2))


@pytest.mark.jax
def test_both_branches_maps_add_up_to_the_logit(branches):
    explainer = Explainer(branches.probability)
    assert explainer.way.method == "cam"
    told = explainer.explain(IMAGES)
    assert told.maps.shape == (3, 2, 44, 44)
    logits = numbers(branches.logits(IMAGES)[TARGET])
    np.testing.assert_allclose(told.maps.mean(axis=(2, 3)) + told.bias, logits, atol=1e-4)
    np.testing.assert_allclose(told.scores, logits, atol=1e-4)
    np.testing.assert_allclose(Explainer(branches.probability).explain(IMAGES).maps, told.maps)

    model = branches.probability
    boxes = numbers(keras.Model(model.input, model.get_layer(BOX).output)(IMAGES))
    kernel = model.get_layer(TARGET).get_weights()
    blind = [kernel[0].copy(), kernel[1]]
    blind[0][:16] = 0  # only what the local branch says
    model.get_layer(TARGET).set_weights(blind)
    local = Explainer(model).explain(IMAGES).maps
    model.get_layer(TARGET).set_weights(kernel)
    places = (np.arange(44) + 0.5) / 44
    for one, (left, top, right, bottom) in zip(local, boxes, strict=True):
        inside = np.outer((places > top) & (places < bottom), (places > left) & (places < right))
        # The box is float32, so an edge may reach a little into the next cell.
        assert np.abs(one[:, ~inside]).max() < 1e-5 * np.abs(one).max()


def test_grad_cam_lies_there_too(branches):
    cam = Explainer(branches.probability).explain(IMAGES).maps
    grad = Explainer(branches.probability, "gradcam").explain(IMAGES).maps
    # Of a dense layer on pooled maps the gradient is the weight: the same but for the ReLU.
    np.testing.assert_allclose(grad, np.maximum(cam, 0), atol=1e-3 * np.abs(cam).max())
