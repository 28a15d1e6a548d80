"""Heads' own maps, against the logits and the papers' formulas, in networks as they are built."""

import keras
import numpy as np
import pytest
from scipy.special import expit, logit, logsumexp

from cxrkeras.models.network import TARGET
from cxrkeras.registry import HEADS
from cxrkeras.serving.explain.maps import Explainer
from cxrkeras.serving.explain.randomise import randomisation_check, top_layers
from cxrkeras.serving.predictor.loaded import load_model
from data_prep.errors import UserError
from tests.cxrkeras.backbones import known
from tests.cxrkeras.networks import network_of
from tests.cxrkeras.serving.served_runs import LABELS, write_model

SIDE = 96
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, SIDE, SIDE)).astype(np.float32)
OWN = sorted(name for name in HEADS.names() if HEADS.load(name).map)
R = 4.0


def learnt(head: str, *backbones: str) -> keras.Model:
    """A network whose last layers aren't at their start of zeros."""
    with pytest.MonkeyPatch.context() as patch:
        for name in backbones:
            known.add(name, patch)
        model = network_of(backbones, SIDE, {TARGET: len(LABELS)}, head=head).probability
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if layer.weights and not isinstance(layer, keras.Model):
            layer.set_weights([rng.normal(size=w.shape) * 0.3 for w in layer.get_weights()])
    return model


def explained(model: keras.Model, head: str, method: str | None = None, **how):
    return Explainer(model, method, head=HEADS.make(head), **how).explain(IMAGES)


def between(model: keras.Model, layer: str) -> np.ndarray:
    part = keras.Model(model.inputs[0], model.get_layer(layer).output)
    return keras.ops.convert_to_numpy(part(IMAGES[..., None])).astype(float)


@pytest.mark.parametrize("name", OWN)
def test_every_own_map_tiles_the_image_and_comes_from_a_saved_model_too(name, tmp_path):
    model = learnt(name, "steps")
    told = explained(model, name)
    assert told.maps.shape[:2] == (2, len(LABELS))
    assert np.isfinite(told.maps).all()
    assert np.ptp(told.maps, axis=(2, 3)).all()
    assert HEADS.load(name).unit
    output = keras.ops.convert_to_numpy(model(IMAGES[..., None]))
    np.testing.assert_allclose(told.probability, output, atol=1e-5)
    folder = write_model(tmp_path / "model", image_size=SIDE, head=name)
    model.save(folder / "model.keras")
    (member,) = load_model(folder).members()
    assert member.head == name
    again = explained(member.model, member.head)
    np.testing.assert_allclose(again.maps, told.maps, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("backbones", [("steps",), ("steps", "steps")])
def test_the_mean_of_the_map_of_log_sum_exp_is_the_logit(backbones):
    head = f"lse:r={R},channels=6"
    model = learnt(head, *backbones)
    told = explained(model, head)
    np.testing.assert_allclose(told.maps.mean(axis=(2, 3)), told.scores, atol=1e-4)
    kernel, bias = model.get_layer(TARGET).get_weights()
    pooled = [between(model, f"transition_{n}") for n in range(1, len(backbones) + 1)]
    pooled = [logsumexp(R * x, axis=(1, 2)) - np.log(x[0, ..., 0].size) for x in pooled]
    np.testing.assert_allclose(told.scores, np.hstack(pooled) / R @ kernel + bias, atol=1e-4)


def test_grad_cam_of_log_sum_exp_is_the_positive_part_of_chestx_ray8_s_map():
    """Activations of the transition layer times weights, without that layer's bias."""
    head = f"lse:r={R},channels=6"
    model = learnt(head, "steps")
    kernel, _ = model.get_layer(TARGET).get_weights()
    transition = model.get_layer("transition_1")
    theirs = (between(model, "transition_1") - transition.get_weights()[1]) @ kernel
    expected = np.maximum(np.moveaxis(theirs, -1, 1), 0)
    np.testing.assert_allclose(explained(model, head, "gradcam").maps, expected, atol=1e-4)


def test_the_logit_of_pcam_is_the_mean_of_its_maps_logits_weighted_by_the_map():
    told = explained(learnt("pcam", "steps"), "pcam")
    maps = told.maps.astype(float)
    assert maps.min() > 0
    assert maps.max() < 1
    mean = np.average(logit(maps).reshape(2, 3, -1), axis=-1, weights=maps.reshape(2, 3, -1))
    np.testing.assert_allclose(mean, told.scores, atol=1e-3)
    np.testing.assert_allclose(expit(mean), told.probability, atol=1e-3)


@pytest.mark.parametrize("name", ["gap", "fpn:channels=4", "psp:channels=4"])
def test_heads_that_average_maps_keep_the_class_activation_map(name):
    model = learnt(name, "steps")
    explainer = Explainer(model, head=HEADS.make(name))
    assert explainer.method == "cam"
    assert "averaged maps" in explainer.way.why
    told = explainer.explain(IMAGES)
    mean = told.maps.mean(axis=(2, 3), dtype=np.float64) + told.bias
    np.testing.assert_allclose(mean, told.scores, rtol=1e-4, atol=1e-4)


def test_own_maps_go_with_the_weights():
    head = "lse:channels=6"
    explainer = Explainer(learnt(head, "steps"), head=HEADS.make(head))
    names = [layer.name for layer in top_layers(explainer)["head"]]
    assert sorted(names) == ["target", "transition_1"]
    head, block = randomisation_check(explainer, IMAGES, seed=1)
    assert head.spearman.max() < 0.9
    assert head.spearman.shape == block.spearman.shape


def test_maps_that_a_model_lacks_are_refused_in_one_line():
    gap, lse = learnt("gap", "steps"), learnt("lse:channels=6", "steps")
    for model, head, method, reason in (
        (gap, HEADS.make("gap"), "own", r"which gap hasn't"),
        (gap, None, "own", r"model\.json doesn't say"),
        (gap, HEADS.make("lse"), None, r"aren't that head's"),
        (lse, HEADS.make("lse:channels=6"), "cam", r"Take --map own"),
        (gap, HEADS.make("gap"), "relevance", r"its trunk has no attention layer"),
    ):
        with pytest.raises(UserError, match=reason) as refusal:
            Explainer(model, method, head=head)
        assert "\n" not in str(refusal.value)


def test_maps_of_a_part_lie_where_that_part_is():
    model, box = learnt("pcam", "steps"), (0.25, 0.0, 0.75, 0.5)
    plain, told = explained(model, "pcam").maps, explained(model, "pcam", box=box).maps
    rows, columns = told.shape[2:]
    assert (rows, columns) == (6, 12)  # of 6 columns the box would cut two
    assert not told[..., rows // 2 :, :].any()
    assert not told[..., :, : columns // 4].any()
    assert told[..., : rows // 2, columns // 4 : columns * 3 // 4].min() > 0
    np.testing.assert_allclose(told.mean(axis=(2, 3)), plain.mean(axis=(2, 3)) / 4, rtol=1e-4)
