"""Gradient-weighted relevance on two blocks of attention, against the same by hand in NumPy."""

import keras
import numpy as np
import pytest
from keras import layers
from scipy.special import softmax

from cxrkeras.serving.explain.mapping import relevance as module
from cxrkeras.serving.explain.mapping.relevance import relevance
from cxrkeras.serving.explain.maps import Explainer
from data_prep.errors import UserError

pytestmark = pytest.mark.jax
SIDE, TOKENS, WIDTH, HEADS, KEY, LABELS = 12, 9, 4, 2, 3, 2
IMAGES = np.random.default_rng(0).uniform(0, 1, (2, SIDE, SIDE, 1)).astype(np.float32)


def attending(mask: bool = False) -> keras.Model:
    """A nested trunk of two blocks without normalisation, then pooling and two layers."""
    keras.utils.set_random_seed(3)
    image = keras.Input((SIDE, SIDE, 1))
    x = layers.Conv2D(WIDTH, 4, strides=4)(image)
    x = layers.Reshape((TOKENS, WIDTH))(x)
    for number in (1, 2):
        attention = layers.MultiHeadAttention(HEADS, KEY, name=f"block{number}_attention")
        how = {"use_causal_mask": True} if mask else {}
        told, _ = attention(x, x, return_attention_scores=True, **how)
        x = layers.Add()([x, told])
    trunk = keras.Model(image, layers.Reshape((3, 3, WIDTH))(x), name="trunk")
    image = keras.Input((SIDE, SIDE, 1))
    x = layers.GlobalAveragePooling2D()(trunk(layers.Rescaling(2.0)(image)))
    x = layers.Dense(5, activation="tanh", name="between")(x)
    model = keras.Model(image, layers.Dense(LABELS, activation="sigmoid", name="target")(x))
    rng = np.random.default_rng(3)
    model.set_weights([rng.normal(0, 0.4, w.shape) for w in model.get_weights()])
    return model


class ByHand:
    """The same network in NumPy; `moves` are added to the attention of its blocks."""

    def __init__(self, model: keras.Model):
        trunk = model.get_layer("trunk")
        self.start = [w.astype(float) for w in trunk.layers[1].get_weights()]
        self.blocks = [
            [w.astype(float) for w in trunk.get_layer(f"block{n}_attention").get_weights()]
            for n in (1, 2)
        ]
        self.dense = [w.astype(float) for name in ("between", "target") for w in _of(model, name)]

    def __call__(self, image, moves=(0.0, 0.0), last=0.0):
        """Of one image: scores (K,), [(H, T, T) of each block], tokens (T, C)."""
        patches = (2.0 * image[..., 0]).reshape(3, 4, 3, 4).transpose(0, 2, 1, 3).reshape(9, 4, 4)
        x = np.einsum("tij,ijoc->tc", patches, self.start[0]) + self.start[1]
        found = []
        for (wq, bq, wk, bk, wv, bv, wo, bo), move in zip(self.blocks, moves, strict=True):
            q, k, v = (
                np.einsum("tc,chd->htd", x, w) + b[:, None]
                for w, b in ((wq, bq), (wk, bk), (wv, bv))
            )
            scores = softmax(q @ k.transpose(0, 2, 1) / np.sqrt(KEY), axis=-1)
            found.append(scores)
            x = x + np.einsum("htd,hdc->tc", (scores + move) @ v, wo) + bo
        x = x + last
        first, bias, second, end = self.dense
        return np.tanh(x.mean(axis=0) @ first + bias) @ second + end, found, x


def _of(model, name):
    return model.get_layer(name).get_weights()


def slopes(score, shape, step=1e-5):
    """The derivatives of a function of an array at zero, by differences."""
    found = np.zeros(shape)
    for place in np.ndindex(*shape):
        move = np.zeros(shape)
        move[place] = step
        found[place] = (score(move) - score(-move)) / (2 * step)
    return found


def expected_map(hand: ByHand, image, label: int) -> np.ndarray:
    _, attention, tokens = hand(image)
    whole = np.eye(TOKENS)
    for block, scores in enumerate(attention):

        def moved(move, block=block):
            return hand(image, [move if n == block else 0.0 for n in (0, 1)])[0][label]

        weighed = np.maximum(scores * slopes(moved, scores.shape), 0).mean(axis=0)
        whole = whole + weighed @ whole
    beside = whole - np.eye(TOKENS)
    total = beside.sum(axis=1, keepdims=True)
    beside = np.divide(beside, total, out=np.zeros_like(beside), where=total > 0)
    slope = slopes(lambda move: hand(image, last=move)[0][label], tokens.shape)
    read = np.maximum((slope * tokens).sum(axis=1), 0)
    return (read @ (beside + np.eye(TOKENS))).reshape(3, 3)


def test_maps_are_those_by_hand(monkeypatch):
    monkeypatch.setattr(module, "_AT_ONCE", 1)
    model = attending()
    explainer = Explainer(model)
    assert explainer.method == "relevance"  # two layers on the pooled tokens: nothing is exact
    assert explainer.grid == (3, 3)
    told = explainer.explain(IMAGES)
    output = keras.ops.convert_to_numpy(model(IMAGES))
    np.testing.assert_allclose(told.probability, output, atol=1e-5)
    hand = ByHand(model)
    for n in range(len(IMAGES)):
        np.testing.assert_allclose(told.scores[n], hand(IMAGES[n])[0], atol=1e-4)
        for label in range(LABELS):
            expected = expected_map(hand, IMAGES[n], label)
            assert expected.max() > 0.01
            np.testing.assert_allclose(told.maps[n, label], expected, rtol=2e-3, atol=1e-4)
    assert not np.allclose(told.maps[:, 0], told.maps[:, 1], atol=1e-3)  # of each label its own


def test_without_a_slope_a_token_speaks_for_itself():
    scores = np.full((1, 1, 4, 4), 0.25)
    read = np.array([[[1.0, 0.0], [-2.0, 3.0]]])
    np.testing.assert_array_equal(relevance([scores], [scores * 0], read), [[1, 0, 0, 3]])
    np.testing.assert_array_equal(relevance([scores], [scores], read), [[2, 1, 1, 4]])


def test_masked_attention_is_refused_in_one_line():
    with pytest.raises(UserError, match=r"block1_attention masks tokens.* Leave --map out"):
        Explainer(attending(mask=True), "relevance")
