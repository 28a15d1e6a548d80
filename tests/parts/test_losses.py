"""What a loss must be: blind to masked entries, finite, and truthful about what it distorts."""

import json

import keras
import numpy as np
import pytest

from cxrkeras.data.labels.entries import MASKED, UNCERTAIN_CLASS
from cxrkeras.models.losses.shared.entries import NEVER
from cxrkeras.registry import LOSSES
from tests.cxrkeras.models.losses.losses_by_hand import value_and_gradient
from tests.parts.each import each, made

ROWS, BATCH, EPOCHS = 240, 12, 5
RATES = np.array([0.4, 0.15])
every_loss = each(LOSSES)


def layer_of(part_id, labels, width):
    """The layer with its weights made, and the training counts that it may ask for."""
    layer = made(part_id).layer()
    layer(np.zeros((1, labels), np.float32), np.zeros((1, width), np.float32))
    if hasattr(layer, "counts"):
        layer.counts.assign(np.tile([[ROWS / 4, 3 * ROWS / 4]], (labels, 1)))
    return layer


@every_loss
def test_what_is_masked_costs_nothing_and_pulls_at_nothing(part_id):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (6, 4))
    layer = layer_of(part_id, 4, 4)
    value, gradient = value_and_gradient(layer, np.full((6, 4), MASKED), logits)
    assert value == 0
    assert not gradient.any()
    targets = rng.choice([MASKED, 0, 1, 0.3], (6, 4))
    value, gradient = value_and_gradient(layer, targets, logits)
    assert value > 0
    assert not gradient[targets == MASKED].any()
    moved = np.where(targets == MASKED, logits + 5, logits)
    assert value_and_gradient(layer, targets, moved)[0] == value


@every_loss
def test_weights_of_one_change_no_bit_and_of_zero_mask(part_id):
    rng = np.random.default_rng(1)
    logits, targets = rng.normal(0, 3, (6, 4)), rng.choice([MASKED, 0, 1, 0.3], (6, 4))
    off = rng.random((6, 4)) < 0.4
    layer = layer_of(part_id, 4, 4)
    for plain, weights in (
        (targets, np.ones(targets.shape)),
        (np.where(off, MASKED, targets), np.where(off, 0.0, 1.0)),
    ):
        value, gradient = value_and_gradient(layer, plain, logits)
        weighed = np.stack([targets, weights], axis=-1)
        value_w, gradient_w = value_and_gradient(layer, weighed, logits)
        assert value_w == value
        np.testing.assert_array_equal(gradient_w, gradient)
    half = np.stack([targets, np.where(off, 0.5, 1.0)], axis=-1)
    assert (value_and_gradient(layer, half, logits)[1][off & (targets != MASKED)] != 0).any()


@every_loss
def test_right_answers_cost_less(part_id):
    targets = np.random.default_rng(0).integers(0, 2, (8, 3))
    layer = layer_of(part_id, 3, 3)
    right, wrong = (value_and_gradient(layer, targets, s * (2 * targets - 1))[0] for s in (1, -1))
    assert right < wrong


@every_loss
@pytest.mark.parametrize("logit", [-100.0, -20.0, 0.0, 20.0, 100.0])
def test_it_is_finite_wherever_logits_lie(part_id, logit):
    targets = np.array([[0.0, 1.0, 0.5, MASKED], [1.0, 0.0, MASKED, UNCERTAIN_CLASS]])
    for width in (4, 8):
        logits = np.full((2, width), logit)
        value, gradient = value_and_gradient(layer_of(part_id, 4, width), targets, logits)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


@every_loss
def test_a_class_that_a_label_has_not_changes_nothing(part_id):
    """Logits (N, 2K) whose u is NEVER are the binary ones."""
    rng = np.random.default_rng(0)
    targets, logits = rng.choice([MASKED, 0, 1], (6, 2)), rng.normal(0, 2, (6, 2))
    value, gradient = value_and_gradient(layer_of(part_id, 2, 2), targets, logits)
    both = np.concatenate([logits, np.full((6, 2), NEVER)], axis=1)
    value_3, gradient_3 = value_and_gradient(layer_of(part_id, 2, 4), targets, both)
    assert value_3 == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(gradient_3[:, :2], gradient, rtol=1e-5, atol=1e-7)
    assert not gradient_3[:, 2:].any()


@every_loss
@pytest.mark.parametrize("weighed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_its_distortion_is_the_optimum_of_simulated_batches(part_id, weighed):
    """Constant logits a little below what it says must be pulled up, and a little above down."""
    rng = np.random.default_rng(3)
    targets = (rng.random((ROWS, 2)) < RATES).astype(np.float32)
    targets[rng.random(targets.shape) < 0.2] = MASKED
    order = rng.permuted(np.tile(np.arange(ROWS), (EPOCHS, 1)), axis=1)
    rows = order.reshape(-1, BATCH)
    weights = np.where(rng.random(targets.shape) < 0.5, 0.3, 1) if weighed else np.ones((ROWS, 2))
    values, weights = targets, weights * (targets != MASKED)
    if weighed:  # of negatives alone, as those of blanks
        weights = np.where(values == 0, weights, values != MASKED)
        targets = np.stack([values, weights], axis=-1).astype(np.float32)
    distortion = made(part_id).distortion([targets], [rows])
    if distortion is None:
        pytest.skip("it says nothing of what it distorts")
    sides = np.stack([(weights * side).sum(axis=0) for side in (values, 1 - values)], axis=1)
    share = sides[:, 0] / sides.sum(axis=1)
    scores = distortion.distort(share)
    np.testing.assert_allclose(distortion.undistort(scores), share, rtol=1e-6)
    json.dumps(distortion.as_facts(["a", "b"]), allow_nan=False)
    said = np.log(scores / (1 - scores))
    layer = layer_of(part_id, 2, 2)
    if hasattr(layer, "counts"):
        layer.counts.assign(sides)
    for away in (-0.2, 0.2):
        logits = np.tile(np.float32(said + away), (BATCH, 1))
        pull = sum(value_and_gradient(layer, targets[b], logits)[1].sum(axis=0) for b in rows)
        assert (np.sign(pull) == np.sign(away)).all()


@every_loss
def test_its_layers_share_nothing(part_id):
    one, two = layer_of(part_id, 2, 2), layer_of(part_id, 2, 2)
    assert not {id(w) for w in one.weights} & {id(w) for w in two.weights}


@every_loss
def test_its_optimiser_is_a_new_one_each_time(part_id):
    loss = made(part_id)
    one, two = loss.optimizer(), loss.optimizer()
    assert one is None or (isinstance(one, keras.optimizers.Optimizer) and one is not two)
    assert isinstance(loss.steers, bool)
