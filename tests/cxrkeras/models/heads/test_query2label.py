"""Queries over a map: what the decoder computes, written out here in NumPy."""

import keras
import numpy as np
import pytest
from scipy.special import expit, softmax

from cxrkeras.models.heads.query2label import places
from cxrkeras.models.network import TARGET
from cxrkeras.registry import HEADS
from data_prep.errors import UserError
from tests.cxrkeras.backbones import known
from tests.cxrkeras.networks import network_of

SIDE, LABELS, WIDTH = 96, 3, 8
TEXT = "query2label:heads=2,size=4,layers=1,widening=2"


@pytest.fixture
def model(monkeypatch):
    """The network's probability, every weight at random."""
    known.add("steps", monkeypatch)
    built = network_of(("steps",), SIDE, {TARGET: LABELS}, head=TEXT).probability
    rng = np.random.default_rng(1)
    for weight in built.weights:
        weight.assign(rng.normal(scale=0.4, size=weight.shape))
    return built


def image():
    return np.random.default_rng(0).uniform(0, 255, (1, SIDE, SIDE, 1)).astype(np.float32)


def weights(model, name):
    return [np.float64(each) for each in model.get_layer(name).get_weights()]


def added(model, name, before, found):
    """Layer normalisation of the sum."""
    both = before + found
    gamma, beta = weights(model, f"norm_{name}")
    spread = np.sqrt(both.var(axis=-1, keepdims=True) + 1e-5)
    return gamma * (both - both.mean(axis=-1, keepdims=True)) / spread + beta


def test_it_is_its_equations_and_its_map_their_attention(model):
    tokens = keras.Model(model.input, model.get_layer("tokens").output)(image())
    tokens = np.float64(keras.ops.convert_to_numpy(tokens))[0]
    side = tokens.shape[0]
    assert side == 3
    along = places(side, WIDTH // 2)
    placed = tokens.copy()
    placed[:, :, : WIDTH // 2] += along[:, None]
    placed[:, :, WIDTH // 2 :] += along[None]

    (asked,) = weights(model, "queries_target")
    q, qb, k, kb, v, vb, o, ob = weights(model, "look_1_target")
    query = np.einsum("kd,dhs->khs", asked, q) + qb
    key = np.einsum("xyd,dhs->xyhs", placed, k) + kb
    value = np.einsum("xyd,dhs->xyhs", tokens, v) + vb
    scores = np.einsum("khs,xyhs->hkxy", query, key) / np.sqrt(4)
    attention = softmax(scores.reshape(2, LABELS, -1), axis=-1).reshape(scores.shape)
    found = np.einsum("hkxy,xyhs->khs", attention, value)
    asked = added(model, "look_1_target", asked, np.einsum("khs,hsd->kd", found, o) + ob)
    (wide, wide_b), (narrow, narrow_b) = (
        weights(model, f"{n}_1_target") for n in ("wide", "narrow")
    )
    inner = np.maximum(asked @ wide + wide_b, 0)
    asked = added(model, "narrow_1_target", asked, inner @ narrow + narrow_b)
    kernel, bias = weights(model, TARGET)
    expected = expit((asked * kernel).sum(axis=1) + bias)
    np.testing.assert_allclose(model(image())[0], expected, rtol=1e-4)

    heat = keras.Model(model.input, HEADS.make(TEXT).heat(model, LABELS))(image())
    np.testing.assert_allclose(heat[0], attention.mean(axis=0).transpose(1, 2, 0), atol=1e-5)


def test_its_map_comes_back_from_its_file(model, tmp_path):
    model.save(tmp_path / "x.keras")
    again = keras.saving.load_model(tmp_path / "x.keras")
    heats = [
        keras.Model(each.input, HEADS.make(TEXT).heat(each, LABELS))(image())
        for each in (model, again)
    ]
    assert heats[0].shape == (1, 3, 3, LABELS)
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, heats))


@pytest.mark.parametrize("together", [False, True])
def test_queries_look_at_each_other_only_if_told(together):
    head = HEADS.make(f"{TEXT},together={str(together).lower()}")
    tokens = keras.Input((2, 2, WIDTH))
    found = head.classify(tokens, {TARGET: LABELS}, dropout=0, seed=0)[TARGET]
    model = keras.Model(tokens, found)
    rng = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape))
    given = rng.normal(size=(1, 2, 2, WIDTH)).astype(np.float32)
    before = keras.ops.convert_to_numpy(model(given))
    queries = model.get_layer("queries_target")
    (values,) = queries.get_weights()
    queries.set_weights([values * [[1], [1], [-1]]])
    moved = keras.ops.convert_to_numpy(model(given)) != before
    np.testing.assert_array_equal(moved[0], [together, together, True])


def test_places_differ_and_near_ones_are_alike():
    along = places(7, 16)
    assert along.shape == (7, 16)
    alike = along @ along.T
    assert (np.diff(alike[0, :4]) < 0).all()
    assert len(np.unique(along.round(3), axis=0)) == 7


def test_a_map_of_one_place_is_refused():
    with pytest.raises(UserError, match="--head query2label looks over the places"):
        network_of(("vgg11_bn",), 48, {TARGET: 2}, head="query2label")
