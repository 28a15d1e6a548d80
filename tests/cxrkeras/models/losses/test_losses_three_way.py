"""The losses with an uncertain class: against SciPy's softmax of three logits, and its limits."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, log_softmax

from cxrkeras.data.labels.entries import MASKED, UNCERTAIN_CLASS
from cxrkeras.data.labels.targets import targets_from_codes
from cxrkeras.models.losses.shared.bce import BatchWeightedBCE
from cxrkeras.models.losses.shared.entries import NEVER
from cxrkeras.models.metrics import MaskedBinaryAccuracy, MaskedMAE
from cxrkeras.registry import LOSSES, POLICIES
from tests.cxrkeras.models.losses.losses_by_hand import value_and_gradient

pytestmark = pytest.mark.jax
NAMES = ["bce", "bw_bce", "bw_bce_per_label"]
ON_JAX = keras.backend.backend() == "jax"
EXAMPLES = 5 if ON_JAX else 20
SHAPE = (6, 3)  # everywhere: JAX compiles every operation anew for each shape
THREE_WAY = np.array([True, False, True])
LOGITS = st.floats(-60, 60, width=32, allow_subnormal=False)


def by_scipy(name, targets, logits, shift=0.0):
    """The definition from a softmax over three logits, of which `shift` is the first."""
    f, u = np.split(np.float64(logits), 2, axis=1)
    three = np.stack([np.zeros_like(f), f, u], axis=-1) + shift
    cost = -log_softmax(three, axis=-1)  # negative, positive, uncertain
    known = (targets >= 0) & (targets <= 1)
    y = np.where(known, targets, 0)
    asked = (targets == UNCERTAIN_CLASS) & (u > NEVER)
    weight = np.stack([known * (1 - y), known * y, asked], axis=-1)
    if name == "bce":
        return (weight * cost).sum() / max(weight.sum(), 1)
    axis = 0 if name == "bw_bce_per_label" else (0, 1)
    sums = weight.sum(axis=axis, keepdims=True)
    total = sums.sum(axis=-1, keepdims=True)
    return (total / np.where(sums > 0, sums, 1) * weight * cost).sum()


@st.composite
def batches(draw):
    values = st.sampled_from([MASKED, 0.0, 1.0, 0.3, UNCERTAIN_CLASS])
    targets = draw(arrays(np.float32, SHAPE, elements=values))
    logits = draw(arrays(np.float32, (SHAPE[0], 2 * SHAPE[1]), elements=LOGITS))
    logits[:, SHAPE[1] :][:, ~THREE_WAY] = NEVER
    return targets, logits


@pytest.mark.parametrize("name", NAMES)
@given(batch=batches(), shift=st.floats(-5, 5))
@settings(max_examples=EXAMPLES, deadline=None)
def test_equals_a_softmax_of_three_logits_whatever_is_added_to_all_of_them(name, batch, shift):
    targets, logits = batch
    value, gradient = value_and_gradient(LOSSES.make(name).layer(), targets, logits)
    assert value == pytest.approx(by_scipy(name, *batch, shift), rel=2e-6, abs=1e-12)
    assert np.isfinite(gradient).all()
    f, u = np.split(gradient, 2, axis=1)
    masked = (targets < 0) | ((targets == UNCERTAIN_CLASS) & ~THREE_WAY)
    assert (f[masked] == 0).all()
    assert (u[masked | ~np.broadcast_to(THREE_WAY, SHAPE)] == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_the_slope(name):
    rng = np.random.default_rng(0)
    targets = rng.choice([MASKED, 0, 1, 0.3, UNCERTAIN_CLASS], SHAPE)
    logits = rng.normal(0, 2, (6, 6)).astype(np.float32).astype(float)
    _, gradient = value_and_gradient(LOSSES.make(name).layer(), targets, logits)
    for place in np.ndindex(6, 6):
        step = np.zeros((6, 6))
        step[place] = 1e-5
        rise = by_scipy(name, targets, logits + step) - by_scipy(name, targets, logits - step)
        assert gradient[place] == pytest.approx(rise / 2e-5, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
@given(batch=batches())
@settings(max_examples=EXAMPLES, deadline=None)
def test_without_the_class_it_is_the_binary_loss_to_the_bit(name, batch):
    targets, logits = batch
    f = logits[:, : SHAPE[1]]
    never = np.concatenate([f, np.full(SHAPE, NEVER)], axis=1)
    binary = value_and_gradient(LOSSES.make(name).layer(), targets, f)
    three = value_and_gradient(LOSSES.make(name).layer(), targets, never)
    assert three[0] == binary[0]
    np.testing.assert_array_equal(three[1][:, : SHAPE[1]], binary[1])
    assert not three[1][:, SHAPE[1] :].any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("policy", POLICIES.names())
def test_ignored_entries_pull_at_nothing_and_all_others_do(policy, name):
    rng = np.random.default_rng(0)
    codes = rng.choice([0, 1, -1, np.nan], SHAPE)
    targets = targets_from_codes(codes, uncertain=policy, blank="ignore")
    logits = rng.normal(0, 3, (6, 6 if targets.three_way.any() else 3))
    _, gradient = value_and_gradient(LOSSES.make(name).layer(), targets.values, logits)
    ignored = np.isnan(codes) | ((codes == -1) & (POLICIES.make(policy).ends()[0] == MASKED))
    assert 2 < ignored.sum() < 16
    for part in np.split(gradient, logits.shape[1] // 3, axis=1):
        np.testing.assert_array_equal(part == 0, ignored)


def test_zero_logits_give_the_closed_form():
    """Each of the three classes weighs n = 18 in total, so L = 3 n ln 3."""
    targets = np.zeros(SHAPE)
    targets[[0, 3], [0, 2]] = 1
    targets[[0, 2, 2], [2, 1, 0]] = UNCERTAIN_CLASS
    value, gradient = value_and_gradient(BatchWeightedBCE(), targets, np.zeros((6, 6)))
    assert value == pytest.approx(3 * 18 * np.log(3), rel=1e-6)
    # Every class pulls its logit up and the others down alike, so all pulls cancel.
    np.testing.assert_allclose(gradient[:, :3].sum(), 0, atol=1e-5)
    np.testing.assert_allclose(gradient[:, 3:].sum(), 0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_uncertain_entries_alone_weighs_each_once(name):
    value, _ = value_and_gradient(
        LOSSES.make(name).layer(), np.full(SHAPE, UNCERTAIN_CLASS), np.zeros((6, 6))
    )
    assert value == pytest.approx(np.log(3) * (1 if name == "bce" else 18), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", [0.0, 1.0, UNCERTAIN_CLASS])
@pytest.mark.parametrize(("f", "u"), [(90, -90), (-90, 90), (90, 90), (-90, -90)])
def test_stable_far_out(name, target, f, u):
    logits, targets = np.repeat([[f, u]], 3, axis=1).repeat(6, axis=0), np.full(SHAPE, target)
    value, gradient = value_and_gradient(LOSSES.make(name).layer(), targets, logits)
    assert value == pytest.approx(by_scipy(name, targets, logits), rel=1e-6, abs=1e-12)
    assert np.isfinite(gradient).all()


@pytest.mark.skipif(ON_JAX, reason="the inflation is NumPy's on every backend")
def test_inflation_is_that_of_positive_against_negative():
    """At the claimed optimum of one (f, u) per label the gradient vanishes."""
    rng = np.random.default_rng(1)
    chances = ([0.75, 0.05, 0.2], [0.5, 0.2, 0.3], [0.5, 0.5, 0.0])  # the last has no such class
    draws = [rng.choice([0, 1, UNCERTAIN_CLASS], 6000, p=chance) for chance in chances]
    targets = np.stack(draws, axis=1)
    targets[rng.random(targets.shape) < 0.1] = MASKED
    negative, positive, asked = ((targets == value).sum(axis=0) for value in (0, 1, 2))
    pooled = asked[:2] / asked.sum() / (negative[:2] / negative.sum())
    optimum = {"bce": asked[:2] / negative[:2], "bw_bce": pooled, "bw_bce_per_label": np.ones(2)}
    for name in NAMES:
        loss = LOSSES.make(name).layer()
        w = LOSSES.make(name).distortion([targets], [np.arange(6000)[None]]).w  # one batch of all
        f = np.log(w * positive / negative)
        u = np.append(np.log(optimum[name]), NEVER)
        _, gradient = value_and_gradient(loss, targets, np.tile(np.concatenate([f, u]), (6000, 1)))
        scale = np.maximum(np.abs(gradient).sum(axis=0), 1e-9)
        np.testing.assert_allclose(gradient.sum(axis=0) / scale, 0, atol=1e-4)


@given(batch=batches())
@settings(max_examples=EXAMPLES, deadline=None)
def test_watched_metrics_look_at_f_and_at_what_is_positive_or_negative(batch):
    targets, logits = batch
    accuracy, mae = MaskedBinaryAccuracy(), MaskedMAE()
    accuracy.update_state(targets, logits)
    mae.update_state(targets, logits)
    known = (targets >= 0) & (targets <= 1)
    y, f = targets[known], logits[:, : SHAPE[1]][known].astype(float)
    assert float(accuracy.result()) == pytest.approx(
        ((y > 0.5) == (f > 0)).mean() if y.size else 0, rel=1e-5
    )
    error = np.abs(y - expit(f)).mean() if y.size else 0
    assert float(mae.result()) == pytest.approx(error, rel=1e-5, abs=1e-7)
