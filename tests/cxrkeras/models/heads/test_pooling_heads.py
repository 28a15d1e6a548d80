"""Heads of published systems against their equations, written out here in NumPy."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logsumexp, softmax

from cxrkeras.models.heads.lse import log_sum_exp, parts_of_pooling
from cxrkeras.models.heads.pcam import weighted_mean
from cxrkeras.models.heads.shared.fields import enlarged, field_means
from cxrkeras.models.network import TARGET
from tests.cxrkeras.backbones import known
from tests.cxrkeras.networks import network_of

SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(autouse=True)
def _steps(monkeypatch):
    known.add("steps", monkeypatch)


def maps(seed=0, side=7, channels=3, scale=1.0):
    drawn = np.random.default_rng(seed).normal(size=(2, side, side, channels))
    return np.float32(scale * drawn)


def numbers(tensor):
    return keras.ops.convert_to_numpy(tensor)


@settings(max_examples=20)
@given(SEEDS, st.floats(0.1, 100), st.sampled_from([0.1, 1.0, 50.0]), st.floats(-80, 80))
def test_log_sum_exp_is_scipy_s_of_the_places(seed, r, scale, offset):
    values = maps(seed, scale=scale) + np.float32(offset)
    expected = logsumexp(r * values.astype(float), axis=(1, 2)) - np.log(49)
    np.testing.assert_allclose(numbers(log_sum_exp(values, r)), expected / r, rtol=1e-4, atol=1e-4)


def test_log_sum_exp_lies_between_mean_and_maximum():
    values = maps()
    np.testing.assert_allclose(numbers(log_sum_exp(values, 1e-3)), values.mean((1, 2)), atol=1e-3)
    np.testing.assert_allclose(numbers(log_sum_exp(values, 1e4)), values.max((1, 2)), atol=1e-3)
    dark = maps(scale=1e4) - 1e6  # where max |x| isn't max x, and exp would overflow or vanish
    assert np.isfinite(numbers(log_sum_exp(dark, 100.0))).all()


@settings(max_examples=20)
@given(SEEDS, st.floats(0.1, 100), st.floats(-80, 80))
def test_the_parts_of_log_sum_exp_are_its_derivatives_times_the_excess(seed, r, offset):
    values = maps(seed).astype(float)
    derivatives = softmax(r * values, axis=(1, 2))
    divergence = (derivatives * np.log(49 * derivatives + 1e-300)).sum(axis=(1, 2), keepdims=True)
    middle = values.mean(axis=(1, 2), keepdims=True)
    expected = offset + middle + 49 * derivatives * (values - middle) - divergence / r
    found = numbers(parts_of_pooling(np.float32(values + offset), r))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    pooled = numbers(log_sum_exp(np.float32(values + offset), r))
    np.testing.assert_allclose(found.mean(axis=(1, 2)), pooled, rtol=1e-4, atol=1e-4)


def test_the_parts_of_log_sum_exp_lie_between_the_map_and_its_largest_place():
    values = maps()
    np.testing.assert_allclose(numbers(parts_of_pooling(values, 1e-4)), values, atol=1e-2)
    middle, top = values.mean(axis=(1, 2), keepdims=True), values.max((1, 2), keepdims=True)
    alone = np.where(values == top, middle + 49 * (top - middle), middle)
    np.testing.assert_allclose(numbers(parts_of_pooling(values, 1e5)), alone, atol=1e-2)


@pytest.mark.parametrize("bins", [1, 2, 3, 6, 7, 9])
def test_fields_are_those_of_adaptive_pooling(bins):
    """Those of 6 on a map of 7 overlap: 0-1, 1-2, … 5-6; 9 on 7 repeat places."""
    values = maps()
    edges = [(b * 7 // bins, -(-(b + 1) * 7 // bins)) for b in range(bins)]
    expected = [[values[:, a:b, c:d].mean((1, 2)) for c, d in edges] for a, b in edges]
    found = numbers(field_means(values, bins))
    np.testing.assert_allclose(found, np.moveaxis(expected, 2, 0), atol=1e-6)


@pytest.mark.parametrize(("side", "wanted"), [(1, 7), (2, 7), (6, 7), (3, 12), (7, 7)])
def test_enlarging_is_bilinear(side, wanted):
    values = maps(side=side)
    theirs = numbers(keras.layers.Resizing(wanted, wanted, "bilinear")(values))
    np.testing.assert_allclose(numbers(enlarged(values, wanted)), theirs, atol=1e-5)


@settings(max_examples=20)
@given(SEEDS, st.sampled_from([0.1, 3.0, 60.0]))
def test_pcam_is_the_classifier_on_features_weighted_by_probability(seed, scale):
    """Equations 3 and 4, where the labels' own linear layer classifies the weighted features."""
    rng = np.random.default_rng(seed)
    features, kernel, bias = maps(seed), rng.normal(size=(3, 2)) * scale, rng.normal(size=2)
    scores = features @ kernel + bias
    probable = expit(scores.astype(float))
    weights = probable / probable.sum(axis=(1, 2), keepdims=True)
    pooled = np.einsum("nijk,nijc->nkc", weights, features)
    expected = np.einsum("nkc,ck->nk", pooled, kernel) + bias
    found = numbers(weighted_mean(np.float32(scores)))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def between(network, name):
    """What a layer of the network gives for an image."""
    image = np.random.default_rng(0).uniform(0, 255, (1, 96, 96, 1)).astype(np.float32)
    layer = network.features.get_layer(name)
    return numbers(keras.Model(network.features.input, layer.output)(image))


def test_a_pyramid_has_the_strides_and_weights_of_its_levels():
    network = network_of(("steps",), 96, {TARGET: 2}, head="fpn:channels=5")
    sides = {stride: between(network, f"level_1_{stride}").shape[1] for stride in ("s04", "s08")}
    assert sides == {"s04": 24, "s08": 12}
    laterals = sum(channels * 5 + 5 for channels in (4, 8, 12, 16))
    levels = 4 * (9 * 5 * 5 + 5)
    own = network.features.count_params() - network.trunks[0].count_params()
    assert own == laterals + levels


def test_without_laterals_a_pyramid_is_its_top_enlarged():
    network = network_of(("steps",), 96, {TARGET: 2}, head="fpn:channels=5")
    for stride in ("s04", "s08", "s16"):
        layer = network.features.get_layer(f"lateral_1_{stride}")
        layer.set_weights([np.zeros(weight.shape) for weight in layer.weights])
    top = between(network, "lateral_1_s32")
    assert top.shape[1] == 3
    for stride, factor in (("s16", 2), ("s08", 4), ("s04", 8)):
        expected = top.repeat(factor, axis=1).repeat(factor, axis=2)
        np.testing.assert_allclose(between(network, f"add_1_{stride}"), expected, atol=1e-6)
