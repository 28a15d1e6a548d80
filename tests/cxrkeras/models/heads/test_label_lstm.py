"""The chain of labels against the product of its conditional probabilities, enumerated here."""

import itertools
from functools import cache

import keras
import numpy as np
import pytest
from scipy.special import expit, logsumexp

from cxrkeras.models.heads.shared.chain import every_prefix, marginal_logit, thresholds
from cxrkeras.models.network import TARGET, truth_name
from cxrkeras.registry import HEADS
from tests.cxrkeras.backbones import known
from tests.cxrkeras.networks import network_of

IMAGES, FEATURES, LABELS = 3, 5, 3


def numbers(tensor):
    return keras.ops.convert_to_numpy(tensor)


@cache
def chain(labels=LABELS, samples=128):
    """Features -> the marginal logits, and features and truth -> the conditional ones."""
    head = HEADS.make(f"label_lstm:units=6,samples={samples}")
    inputs, truth = keras.Input((FEATURES,)), keras.Input((labels,))
    logits, taught = head.teach(inputs, {TARGET: labels}, truth, dropout=0.5, seed=0)
    predicts = keras.Model(inputs, logits[TARGET])
    rng = np.random.default_rng(1)
    for weight in predicts.weights:
        weight.assign(rng.normal(size=weight.shape))
    return predicts, keras.Model([inputs, truth], taught[TARGET])


def images():
    return np.random.default_rng(0).normal(size=(IMAGES, FEATURES)).astype(np.float32)


def conditional(*truths):
    """(truths, N, K) P(y_t = 1 | x, true y before t)."""
    told = np.repeat(np.float32(truths), IMAGES, axis=0)
    scores = numbers(chain()[1]([np.tile(images(), (len(truths), 1)), told]))
    return expit(scores.astype(float)).reshape(len(truths), IMAGES, LABELS)


def test_the_masses_of_all_values_sum_to_one_and_their_margins_are_what_is_predicted():
    values = np.array(list(itertools.product((0, 1), repeat=LABELS)))
    each = conditional(*values)
    mass = np.where(values[:, None] == 1, each, 1 - each).prod(axis=2)
    np.testing.assert_allclose(mass.sum(axis=0), 1, atol=1e-6)
    margins = np.einsum("vn,vk->nk", mass, values)
    found = expit(numbers(chain()[0](images())))
    np.testing.assert_allclose(found, margins, atol=1e-6)
    assert np.ptp(each, axis=0).max() > 0.1


def test_a_label_knows_those_before_it_and_no_later_one():
    truth = np.array([1, 0, 1])
    others = [np.where(np.arange(LABELS) == place, 1 - truth, truth) for place in range(LABELS)]
    known, *changed = conditional(truth, *others)
    moved = np.abs(np.stack(changed) - known).min(axis=1) > 1e-6
    np.testing.assert_array_equal(moved, np.triu(np.ones((LABELS, LABELS)), 1))


def test_what_is_not_known_is_neither():
    # A soft target half way says as much as a masked one.
    unknown, *same, no = conditional(*([1, value, 1] for value in (-1, np.nan, 2, 0.5, 0)))
    for each in same:
        np.testing.assert_array_equal(each, unknown)
    assert (np.abs(no - unknown)[:, 2] > 1e-6).all()


def test_drawn_chains_come_near_all_of_them():
    """Of five labels 16 chains are all there are."""
    exact = numbers(chain(5, 16)[0](images()))
    errors = []
    for samples in (15, 3):
        found = numbers(chain(5, samples)[0](images()))
        np.testing.assert_allclose(found[:, 0], exact[:, 0], atol=1e-6)
        errors.append(np.abs(expit(found) - expit(exact)).mean())
    assert errors[0] < 0.02
    assert errors[0] < errors[1] / 2


def test_drawn_chains_are_the_same_for_each_image_and_in_a_file(tmp_path):
    predicts, _ = chain(5, 3)
    together = numbers(predicts(images()))
    alone = np.concatenate([numbers(predicts(image[None])) for image in images()])
    np.testing.assert_allclose(alone, together, atol=1e-5)
    predicts.save(tmp_path / "x.keras")
    again = keras.saving.load_model(tmp_path / "x.keras")
    np.testing.assert_array_equal(numbers(again(images())), together)


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() == "jax", reason="exports need TensorFlow")
def test_drawn_chains_go_to_onnx(tmp_path, monkeypatch):
    from cxrkeras.data.preparation import Preparation
    from cxrkeras.serving.export.portable import run_onnx, write_onnx
    from cxrkeras.serving.export.saved_model import Described

    known.add("steps", monkeypatch)
    model = network_of(("steps",), 64, {TARGET: 3}, head="label_lstm:samples=3").probability
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.uniform(-0.3, 0.3, weight.shape))
    nothing = np.full(3, np.nan)
    about = Described(model, ("a", "b", "c"), nothing, Preparation(image_size=64), {})
    write_onnx(about, tmp_path)
    films = rng.uniform(0, 255, (4, 64, 64, 1)).astype(np.float32)
    np.testing.assert_allclose(run_onnx(tmp_path, films), model(films), atol=1e-5)


def test_the_draws_of_a_label_are_evenly_spread():
    drawn = expit(thresholds(50, 3, seed=0).astype(float))
    np.testing.assert_allclose(np.sort(drawn, axis=0)[:, 2], (np.arange(50) + 0.5) / 50, atol=1e-6)
    assert np.abs(np.corrcoef(drawn.T) - np.eye(3)).max() < 0.5
    np.testing.assert_array_equal(every_prefix(3)[:, :2], [[-1, -1], [1, -1], [-1, 1], [1, 1]])


@pytest.mark.parametrize("scale", [0.0, 1.0, 300.0])
def test_the_mean_probability_has_its_logit_however_small(scale):
    rng = np.random.default_rng(0)
    scores, weights = rng.normal(size=(4, 7)) * scale - scale, rng.normal(size=(4, 7)) * 10
    log = lambda sign: logsumexp(weights - np.logaddexp(0, -sign * scores), axis=1)  # noqa: E731
    found = numbers(marginal_logit(np.float32(scores), np.float32(weights)))[:, 0]
    np.testing.assert_allclose(found, log(1) - log(-1), rtol=1e-4, atol=1e-4)
    level = np.full((2, 7), 1.1, np.float32)
    np.testing.assert_array_equal(numbers(marginal_logit(level, level))[:, 0], level[:, 0])


def test_only_what_learns_is_told_what_is_true(monkeypatch):
    known.add("steps", monkeypatch)
    asked = {"a": np.array([True, False])}
    network = network_of(("steps",), 64, {"a": 2}, head="label_lstm", three_way=asked)
    assert {tensor.name for tensor in network.teaching.inputs} == {"image", truth_name("a")}
    assert [tensor.name for tensor in network.probability.inputs] == ["image"]
    names = {layer.name for layer in network.probability.layers}
    assert "head_a-uncertain" not in names
    assert network.teaching.outputs[0].shape == network.logits.outputs[0].shape == (None, 4)
    one, other = ({id(w) for w in view.weights} for view in (network.teaching, network.logits))
    assert one == other
