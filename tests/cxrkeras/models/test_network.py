"""The assembled graph: what mixing, freezing and co-training must and must not do."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax

from cxrkeras.models.losses.shared.entries import NEVER
from cxrkeras.models.network import TARGET, layer_name
from cxrkeras.registry import HEADS, LOSSES
from data_prep.errors import UserError
from tests.cxrkeras.networks import network_of

REAL = "mobilenet_v3_small"
POCKET, WIDTH = "pocket", 16  # of conftest.py
SIZE = 40

pytestmark = pytest.mark.usefixtures("pocket")


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(0, 255, (4, SIZE, SIZE, 1)).astype(np.float32)


def enliven(trunk: keras.Model, seed: int) -> None:
    """Batch-norm parameters and statistics away from 0 and 1, so that they count."""
    rng = np.random.default_rng(seed)
    for weight in trunk.weights:
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 2, weight.shape))
        elif weight.name in ("beta", "moving_mean"):
            weight.assign(rng.normal(0, 0.1, weight.shape))


def set_head(network, kernel, bias, head: str = TARGET) -> None:
    network.logits.get_layer(layer_name(head)).set_weights([kernel, bias])


def test_mixed_with_a_zeroed_second_half_of_the_head_is_the_single_model(images):
    rng = np.random.default_rng(1)
    single = network_of((POCKET,), SIZE, {TARGET: 3})
    mixed = network_of((POCKET, POCKET), SIZE, {TARGET: 3}, seed=5)
    enliven(single.trunks[0], 1)
    enliven(mixed.trunks[1], 2)
    mixed.trunks[0].set_weights(single.trunks[0].get_weights())
    kernel, bias = rng.normal(size=(WIDTH, 3)), rng.normal(size=3)
    set_head(single, kernel, bias)
    set_head(mixed, np.concatenate([kernel, np.zeros((WIDTH, 3))]), bias)
    expected = single.logits(images)[TARGET].numpy()
    assert expected.std() > 0.01
    np.testing.assert_allclose(mixed.logits(images)[TARGET], expected, rtol=1e-5, atol=1e-5)
    set_head(mixed, np.concatenate([kernel, kernel]), bias)
    assert np.abs(mixed.logits(images)[TARGET] - expected).max() > 1e-3


def test_mixed_features_stand_side_by_side(images):
    mixed = network_of((POCKET, "vgg16"), SIZE, {TARGET: 2})
    features = mixed.features(images).numpy()
    assert features.shape == (4, WIDTH + 512)
    own = [network_of((name,), SIZE, {TARGET: 2}) for name in (POCKET, "vgg16")]
    for one, trunk in zip(own, mixed.trunks, strict=True):
        one.trunks[0].set_weights(trunk.get_weights())
    expected = np.concatenate([one.features(images) for one in own], axis=1)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)


def test_layer_names_are_unique_with_the_same_backbone_twice():
    network = network_of((POCKET, POCKET), SIZE, {TARGET: 2})
    assert [trunk.name for trunk in network.trunks] == [POCKET, f"{POCKET}_2"]
    assert network.probability.name == f"{POCKET}-{POCKET}_2"
    names = [layer.name for layer in network.probability.layers]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "heads", [("image", POCKET), ("features", "pool_1"), ("a", "dropout_a"), ("target", "head_a")]
)
def test_a_head_may_be_called_as_a_layer_is(heads):
    network = network_of((POCKET,), SIZE, {head: n for n, head in enumerate(heads, start=1)})
    shapes = {head: tuple(out.shape) for head, out in network.logits.output.items()}
    assert shapes == {heads[0]: (None, 1), heads[1]: (None, 2)}


def test_the_views_share_every_weight(images):
    network = network_of((POCKET,), SIZE, {TARGET: 3})
    set_head(network, np.random.default_rng(0).normal(size=(WIDTH, 3)), np.ones(3))
    logits = network.logits(images)[TARGET].numpy()
    np.testing.assert_allclose(network.probability(images), 1 / (1 + np.exp(-logits)), rtol=1e-5)
    kernel, bias = network.logits.get_layer(TARGET).get_weights()
    by_hand = network.features(images).numpy() @ kernel + bias
    np.testing.assert_allclose(logits, by_hand, rtol=1e-4, atol=1e-5)


def test_several_heads_have_no_one_probability():
    assert network_of((POCKET,), SIZE, {"a": 2, "b": 3}).probability is None


@pytest.mark.parametrize("backbones", [(POCKET,), (POCKET, POCKET)])
def test_every_first_logit_is_zero(images, backbones):
    """So bW-BCE starts at 2 M K ln 2 (SCIENCE section 1), whatever the labels are."""
    network = network_of(backbones, SIZE, {"a": 3, "b": 5})
    logits = network.logits(images, training=True)
    for head, width in (("a", 3), ("b", 5)):
        assert logits[head].shape == (4, width)
        assert not np.any(logits[head])
        targets = np.random.default_rng(2).integers(0, 2, (4, width)).astype(np.float32)
        loss = float(LOSSES.make("bw_bce").layer()(targets, logits[head]))
        assert loss == pytest.approx(2 * 4 * width * math.log(2), rel=1e-6)


def test_the_seed_decides_every_first_weight():
    one, same, other = (
        network_of((POCKET, POCKET), SIZE, {TARGET: 2}, seed=seed) for seed in (1, 1, 2)
    )
    pairs = list(zip(one.logits.get_weights(), same.logits.get_weights(), strict=True))
    assert all(np.array_equal(a, b) for a, b in pairs)
    kernels = [network.trunks[0].get_weights()[0] for network in (one, other)]
    assert not np.array_equal(*kernels)
    twins = [trunk.get_weights()[0] for trunk in one.trunks]
    assert not np.array_equal(*twins)


def fit_one_step(network, images) -> None:
    heads = list(network.logits.output)
    network.logits.compile("sgd", loss={head: LOSSES.make("bw_bce").layer() for head in heads})
    targets = {head: np.float32([[1, 0], [0, 1], [0, 0], [1, 1]]) for head in heads}
    network.logits.fit(images, targets, batch_size=2, epochs=1, verbose=0)


def moved(before: list, after: list) -> list[bool]:
    return [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("backbone", [POCKET, pytest.param(REAL, marks=pytest.mark.slow)])
def test_a_frozen_trunk_moves_not_at_all(images, backbone, frozen):
    """Neither its weights nor its batch-norm statistics; and a free one does, in both."""
    network = network_of((backbone,), SIZE, {TARGET: 2}, dropout=0)
    trunk = network.trunks[0]
    enliven(trunk, 3)
    # With a head of zeros no gradient would reach the trunk in the first step.
    width = trunk.output_shape[-1]
    set_head(network, np.random.default_rng(0).normal(size=(width, 2)), np.zeros(2))
    trunk.trainable = not frozen
    weights = trunk.get_weights()
    statistics = ["moving" in w.name for w in trunk.weights]
    head = network.logits.get_layer(TARGET).get_weights()
    fit_one_step(network, images)
    changed = moved(weights, trunk.get_weights())
    assert moved(head, network.logits.get_layer(TARGET).get_weights()) == [True, True]
    if frozen:
        assert not any(changed)
    else:
        assert all(c for c, s in zip(changed, statistics, strict=True) if s)
        assert any(c for c, s in zip(changed, statistics, strict=True) if not s)


def test_one_frozen_trunk_of_two(images):
    network = network_of((POCKET, POCKET), SIZE, {TARGET: 2})
    set_head(network, np.random.default_rng(0).normal(size=(2 * WIDTH, 2)), np.zeros(2))
    network.trunks[0].trainable = False
    before = [trunk.get_weights() for trunk in network.trunks]
    fit_one_step(network, images)
    first, second = (
        moved(old, trunk.get_weights()) for old, trunk in zip(before, network.trunks, strict=True)
    )
    assert not any(first)
    assert any(second)


def test_the_shared_trunks_gradient_is_the_sum_of_the_heads(images):
    """Co-training sums the losses, so the trunk gets the sum of what each head alone would give."""
    network = network_of((POCKET,), SIZE, {"a": 2, "b": 3})
    rng = np.random.default_rng(0)
    for head, width in (("a", 2), ("b", 3)):
        set_head(network, rng.normal(size=(WIDTH, width)), rng.normal(size=width), head)
    targets = {
        head: rng.integers(0, 2, (4, w)).astype(np.float32) for head, w in (("a", 2), ("b", 3))
    }
    variables = network.trunks[0].trainable_variables
    loss = LOSSES.make("bw_bce").layer()

    def gradients(heads: str) -> list[np.ndarray]:
        with tf.GradientTape() as tape:
            logits = network.logits(images, training=False)
            total = sum(loss(targets[head], logits[head]) for head in heads)
        return [g.numpy() for g in tape.gradient(total, [v.value for v in variables])]

    both, a, b = gradients("ab"), gradients("a"), gradients("b")
    largest = max(np.abs(g).max() for g in both)
    assert largest > 0
    for together, one, other in zip(both, a, b, strict=True):
        np.testing.assert_allclose(together, one + other, atol=1e-5 * largest)


def test_masked_rows_give_a_head_and_the_trunk_nothing(images):
    """Rows of the other source are masked: what they would say can't reach the trunk."""
    network = network_of((POCKET,), SIZE, {"a": 2}, dropout=0)
    set_head(network, np.random.default_rng(0).normal(size=(WIDTH, 2)), np.zeros(2), "a")
    variables = network.trunks[0].trainable_variables
    targets = np.full((4, 2), -1, np.float32)
    with tf.GradientTape() as tape:
        loss = LOSSES.make("bw_bce").layer()(targets, network.logits(images)["a"])
    assert all(not np.any(g) for g in tape.gradient(loss, [v.value for v in variables]))


def test_a_network_comes_back_from_its_file(images, tmp_path):
    network = network_of((POCKET, POCKET), SIZE, {TARGET: 2})
    set_head(network, np.random.default_rng(0).normal(size=(2 * WIDTH, 2)), np.zeros(2))
    network.probability.save(tmp_path / "x.keras")
    again = keras.saving.load_model(tmp_path / "x.keras")
    np.testing.assert_array_equal(again(images), network.probability(images))


def test_the_uncertain_class_is_there_for_training_alone(images, tmp_path):
    """Its weights change what the loss sees, but no bit of a score, nor the file."""
    rng = np.random.default_rng(0)
    three_way = {TARGET: np.array([True, False, True])}
    network = network_of((POCKET,), SIZE, {TARGET: 3}, three_way=three_way)
    set_head(network, rng.normal(size=(WIDTH, 3)), rng.normal(size=3))
    before = network.probability(images).numpy()
    first = network.logits(images)[TARGET].numpy()
    layer = network.logits.get_layer(f"{TARGET}-uncertain")
    layer.set_weights([rng.normal(size=(WIDTH, 3)), rng.normal(size=3)])
    np.testing.assert_array_equal(network.probability(images), before)
    outputs = network.logits(images)[TARGET].numpy()
    np.testing.assert_array_equal(outputs[:, :3], first[:, :3])
    assert (outputs[:, 3:] != first[:, 3:]).any(axis=0).tolist() == [True, False, True]
    assert (outputs[:, 4] == NEVER).all()

    f, u = outputs[:, :3].astype(float), outputs[:, 3:].astype(float)
    share = softmax(np.stack([np.zeros_like(f), f, u]), axis=0)
    np.testing.assert_allclose(before, share[1] / (share[0] + share[1]), rtol=1e-5)
    network.probability.save(tmp_path / "x.keras")
    saved = keras.saving.load_model(tmp_path / "x.keras")
    plain = network_of((POCKET,), SIZE, {TARGET: 3}).probability
    assert [layer.name for layer in saved.layers] == [layer.name for layer in plain.layers]
    assert saved.count_params() == plain.count_params()


def test_a_head_may_be_called_as_another_s_uncertain_class(images):
    three_way = {"a": np.array([True])}
    network = network_of((POCKET,), SIZE, {"a": 1, "a_uncertain": 2}, three_way=three_way)
    shapes = {head: out.shape for head, out in network.logits(images).items()}
    assert shapes == {"a": (4, 2), "a_uncertain": (4, 2)}


@pytest.mark.parametrize(("backbone", "size"), [("nothing", 64), (POCKET, 31)])
def test_what_cannot_be_built_is_refused(backbone, size):
    with pytest.raises(UserError):
        network_of((backbone,), size, {TARGET: 2})


def test_a_head_whose_pooled_features_have_weights_is_refused(monkeypatch):
    def features(self, maps, known, *, seed):
        (trunk,) = maps
        pooled = keras.layers.GlobalAveragePooling2D()(list(trunk.values())[-1])
        return keras.layers.Dense(3)(pooled)

    monkeypatch.setattr(HEADS.load("gap"), "features", features)
    with pytest.raises(UserError, match="Set `pooled = False`"):
        network_of((POCKET,), SIZE, {TARGET: 2})
