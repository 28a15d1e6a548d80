"""Losses of one entry at a time, and of pairs, against closed forms and fitted optima."""

from contextlib import nullcontext

import keras
import numpy as np
import pytest

from cxrkeras.data.labels.entries import MASKED
from cxrkeras.models.losses.shared.entrywise import Entrywise
from cxrkeras.registry import LOSSES
from tests.cxrkeras.models.losses.losses_by_hand import in_float64, value_and_gradient

ENTRYWISE = [n for n in LOSSES.names() if issubclass(LOSSES.load(n), Entrywise)]
PLAIN = [
    "focal:gamma=0",
    "asl:positive=0,negative=0,clip=0",
    "smoothed_bce:epsilon=0",
    "class_balanced:beta=0",
    "ldam:margin=0,defer=1",
    "large_margin:margin=0",
]
SOFT = [MASKED, 0, 1, 0.3]


def layer_of(text, targets):
    layer = LOSSES.make(text).layer()
    layer(targets[:1], targets[:1])
    if hasattr(layer, "counts"):
        known = targets >= 0
        sides = np.where(known, targets, 0), np.where(known, 1 - targets, 0)
        layer.counts.assign(np.stack([side.sum(axis=0) for side in sides], axis=1))
    return layer


def batch(seed=0, shape=(6, 3)):
    rng = np.random.default_rng(seed)
    return np.float32(rng.choice(SOFT, shape)), np.float32(rng.normal(0, 2, shape))


def test_every_loss_of_this_kind_is_met_at_its_neutral_setting():
    assert {text.partition(":")[0] for text in PLAIN} == set(ENTRYWISE)


@pytest.mark.jax
@pytest.mark.parametrize("text", PLAIN)
def test_at_its_neutral_setting_it_is_plain_cross_entropy(text):
    targets, logits = batch()
    value, gradient = value_and_gradient(layer_of(text, targets), targets, logits)
    plain = value_and_gradient(LOSSES.make("bce").layer(), targets, logits)
    assert value == pytest.approx(plain[0], rel=1e-6)
    np.testing.assert_allclose(gradient, plain[1], rtol=1e-6, atol=1e-8)


BY_HAND = {
    "focal:gamma=1.5,alpha=0.3": lambda q, y, n: (
        -0.6 * y * (1 - q) ** 1.5 * np.log(q) - 1.4 * (1 - y) * q**1.5 * np.log(1 - q)
    ),
    "asl:positive=1,negative=3,clip=0.1": lambda q, y, n: (
        -y * (1 - q) * np.log(q)
        - (1 - y) * np.maximum(q - 0.1, 0) ** 3 * np.log(1 - np.maximum(q - 0.1, 0))
    ),
    "smoothed_bce:epsilon=0.2": lambda q, y, n: (
        -(0.8 * y + 0.1) * np.log(q) - (0.9 - 0.8 * y) * np.log(1 - q)
    ),
    "class_balanced:beta=0.9": lambda q, y, n: (
        -2 * (1 - 0.9 ** n[:, 1]) / (2 - 0.9 ** n[:, 0] - 0.9 ** n[:, 1]) * y * np.log(q)
        - 2 * (1 - 0.9 ** n[:, 0]) / (2 - 0.9 ** n[:, 0] - 0.9 ** n[:, 1]) * (1 - y) * np.log(1 - q)
    ),
    "ldam:margin=0.5,defer=1": lambda q, y, n: (
        y * np.log1p((1 - q) / q * np.exp(0.5 * (n[:, 0] / n.min()) ** -0.25))
        + (1 - y) * np.log1p(q / (1 - q) * np.exp(0.5 * (n[:, 1] / n.min()) ** -0.25))
    ),
    "large_margin:margin=2": lambda q, y, n: (
        y * np.log1p((1 - q) / q * np.e**2) + (1 - y) * np.log1p(q / (1 - q) * np.e**2)
    ),
}


@pytest.mark.jax
@pytest.mark.parametrize("text", BY_HAND)
def test_it_costs_what_its_equation_says(text):
    targets, logits = batch(2, (20, 3))
    layer = layer_of(text, targets)
    q, known = 1 / (1 + np.exp(-logits.astype(float))), targets >= 0
    counts = [np.where(known, side, 0).sum(axis=0) for side in (targets, 1 - targets)]
    costs = BY_HAND[text](q, targets.astype(float), np.maximum(np.stack(counts, 1), 1))
    value, _ = value_and_gradient(layer, targets, logits)
    assert value == pytest.approx(costs[known].mean(), rel=1e-6)


@pytest.mark.jax
def test_what_costs_too_much_is_heeded_less():
    targets, logits = batch()
    plain = LOSSES.make("bce").layer()
    value, gradient = value_and_gradient(plain, targets, logits)
    same = LOSSES.make("reweighted_bce:omega=1").layer()
    found = value_and_gradient(same, targets, logits)
    np.testing.assert_array_equal(np.float32(found[0]), np.float32(value))
    np.testing.assert_allclose(found[1], gradient, rtol=1e-6)
    hard = np.float32([[0, 1, 0, 1]])
    logits = np.float32([[-3, 3, 3, -3]])
    less = value_and_gradient(LOSSES.make("reweighted_bce:tau=1,omega=0.3").layer(), hard, logits)
    plain = value_and_gradient(plain, hard, logits)
    np.testing.assert_allclose(less[1], plain[1] * [[1, 1, 0.3, 0.3]], rtol=1e-6)
    dropped = value_and_gradient(LOSSES.make("reweighted_bce:tau=1,omega=0").layer(), hard, logits)
    assert not dropped[1][0, 2:].any()


@pytest.mark.parametrize("name", ["lsep", "bp_mll"])
@pytest.mark.parametrize("row", [[0, 0, 0], [1, 1, 1], [1, 0, MASKED]])
def test_images_without_pairs_teach_too(name, row):
    targets, logits = np.float32([row]), np.zeros((1, 3), np.float32)
    value, gradient = value_and_gradient(LOSSES.make(name).layer(), targets, logits)
    known = targets >= 0
    assert value > 0
    assert (np.sign(gradient[known]) == np.where(targets[known] == 1, -1, 1)).all()
    assert not gradient[~known].any()


@pytest.mark.jax
def test_pairs_add_up_as_defined():
    """Over every pair of a positive and a negative, the label of score 0 among both."""
    rng = np.random.default_rng(0)
    targets, logits = np.float32(rng.choice([MASKED, 0, 1], (5, 4))), rng.normal(0, 2, (5, 4))
    logits = np.float32(logits)
    lsep, bp = [], []
    for y, f in zip(targets, logits.astype(float), strict=True):
        if (y < 0).all():
            continue
        highs, lows = [*f[y == 1], 0.0], [*f[y == 0], 0.0]
        lsep.append(np.log(sum(np.exp(low - high) for high in highs for low in lows)))
        score = [np.tanh(np.array(side) / 2) for side in (highs, lows)]
        pairs = np.exp(score[1][:, None] - score[0][None])[: len(lows), : len(highs)]
        bp.append((pairs.sum() - 1) / (pairs.size - 1))
    for name, wanted in (("lsep", lsep), ("bp_mll", bp)):
        value, _ = value_and_gradient(LOSSES.make(name).layer(), targets, logits)
        assert value == pytest.approx(np.mean(wanted), rel=1e-6)


def test_the_rarest_class_has_the_widest_margin():
    loss = LOSSES.make("ldam:margin=0.5,defer=1")
    wide, narrow = loss._margins(np.array([[16.0, 256.0], [81.0, 10000.0]]), np)
    np.testing.assert_allclose(wide, [0.5, 0.5 * 2 / 3])
    np.testing.assert_allclose(narrow, [0.25, 0.1])


def test_late_weights_begin_when_their_time_has_come():
    targets, logits = batch()
    late, never = (layer_of(f"ldam:defer={at}", targets) for at in (0.5, 1))
    late.progress.assign(0.5)
    early = value_and_gradient(late, targets, logits)[0]
    assert early == pytest.approx(value_and_gradient(never, targets, logits)[0], rel=1e-6)
    late.progress.assign(0.75)
    assert value_and_gradient(late, targets, logits)[0] != pytest.approx(early, rel=1e-3)


@pytest.mark.jax
@pytest.mark.parametrize("precise", [False, True])
def test_auc_margin_ends_at_its_closed_form(precise):
    """For fixed scores, the best a, b and alpha: p(1-p)(Var + Var + the margin's shortfall^2)."""
    if precise and keras.backend.backend() == "jax":
        pytest.skip("JAX computes in float32 here")
    rng = np.random.default_rng(0)
    targets = np.float32(rng.random((200, 2)) < [0.1, 0.4])
    logits = np.float32(rng.normal(0, 1, targets.shape) + targets)
    h, wanted, best = 1 / (1 + np.exp(-logits.astype(float))), [], []
    for y, score in zip(targets.T == 1, h.T, strict=True):
        p, highs, lows = y.mean(), score[y], score[~y]
        short = max(0.8 - (highs.mean() - lows.mean()), 0)
        wanted.append(p * (1 - p) * (highs.var() + lows.var() + short**2))
        best.append((highs.mean(), lows.mean(), short))
    dtype = np.float64 if precise else np.float32
    with in_float64() if precise else nullcontext():
        layer = layer_of("auc_margin:margin=0.8", dtype(targets))
        for weight, values in zip((layer.a, layer.b, layer.alpha), np.transpose(best), strict=True):
            weight.assign(values)
        value, _ = value_and_gradient(layer, targets, logits, dtype)
    # At alpha the largest: with 2 alpha short p (1 - p) - p (1 - p) alpha^2 = p (1 - p) short^2.
    assert value == pytest.approx(np.mean(wanted), rel=1e-12 if precise else 1e-6)


@pytest.mark.slow
@pytest.mark.jax
def test_auc_margins_weights_find_it_by_themselves():
    rng = np.random.default_rng(0)
    targets = np.float32(rng.random((100, 1)) < 0.3)
    logits = np.float32(rng.normal(0, 1, (100, 1)) + targets)
    layer = layer_of("auc_margin", targets)
    h = 1 / (1 + np.exp(-logits.astype(float)))

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.loss_layer = layer

        def call(self, x, training=None):
            return x

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return self.loss_layer(y, y_pred)

    model = Model()
    model.compile(keras.optimizers.SGD(0.5), jit_compile=False)
    model.fit(logits, targets, batch_size=100, epochs=150, verbose=0, shuffle=False)
    y = targets[:, 0] == 1
    found = [float(np.asarray(keras.ops.convert_to_numpy(w))[0]) for w in (layer.a, layer.b)]
    assert found == pytest.approx([h[y].mean(), h[~y].mean()], abs=2e-3)
    gap = 1 - (h[y].mean() - h[~y].mean())
    assert float(keras.ops.convert_to_numpy(layer.alpha)[0]) == pytest.approx(gap, abs=5e-3)
