"""Where a head's biases start: at the optimum of its loss for a kernel of zeros, batch by batch."""

import numpy as np
import pytest

from cxrkeras.data.labels.entries import MASKED, UNCERTAIN_CLASS
from cxrkeras.models.prior import prior_biases
from cxrkeras.registry import LOSSES

OURS = ["bce", "bw_bce", "bw_bce_per_label"]
ROWS, BATCH, DRAWS = 20_000, 16, 20_000
RATES = np.array([0.4, 0.1, 0.03])


def drawn(rng) -> np.ndarray:
    """(ROWS, 3) targets of independent labels, the last a rare one."""
    return (rng.random((ROWS, len(RATES))) < RATES).astype(np.float32)


def biases(name, targets, **options) -> dict[str, np.ndarray]:
    rows = [batches(len(targets))]
    loss = LOSSES.make(name)
    return prior_biases("h", [targets], lambda values: loss.distortion(values, rows), **options)


def batches(rows) -> np.ndarray:
    """(D, BATCH) rows of some shuffled epochs."""
    order = np.tile(np.arange(rows), (-(-400_000 // rows), 1))
    order = np.random.default_rng(0).permuted(order, axis=1)
    return order[:, : rows // BATCH * BATCH].reshape(-1, BATCH)


def class_weights(name, targets, rng) -> list[np.ndarray]:
    """(K,) for positive, negative, uncertain: the mean weight that a batch gives each class.

    For a constant logit the expected loss is the sum over classes of this weight times the class's
    cost, so its optimum are the logs of their ratios.
    """
    batches = targets[rng.integers(0, len(targets), (DRAWS, BATCH))]
    shares = [batches == 1, batches == 0, batches == UNCERTAIN_CLASS]
    if name == "bce":
        return [share.sum(axis=1).mean(axis=0) for share in shares]
    axes = 1 if name == "bw_bce_per_label" else (1, 2)
    total = sum(share.sum(axis=axes, keepdims=True) for share in shares)
    means = []
    for share in shares:
        own = share.sum(axis=axes, keepdims=True)
        weights = np.divide(total, own, out=np.zeros(own.shape), where=own > 0)
        means.append((weights * share).sum(axis=1).mean(axis=0))
    return means


@pytest.mark.parametrize("name", OURS)
def test_a_head_starts_at_the_optimum_of_its_loss_for_a_kernel_of_zeros(name):
    rng = np.random.default_rng(1)
    targets = drawn(rng)
    positive, negative, _ = class_weights(name, targets, rng)
    found = biases(name, targets)
    assert list(found) == ["h"]
    np.testing.assert_allclose(found["h"], np.log(positive / negative), atol=0.05)


@pytest.mark.parametrize("name", ["bce", "bw_bce"])
def test_the_uncertain_class_starts_at_its_optimum_too(name):
    rng = np.random.default_rng(2)
    targets = drawn(rng)
    asked = rng.random(ROWS) < 0.2
    targets[asked, 1] = UNCERTAIN_CLASS
    positive, negative, uncertain = class_weights(name, targets, rng)
    found = biases(name, targets, three_way=True)
    np.testing.assert_allclose(found["h"], np.log(positive / negative), atol=0.05)
    wanted = np.log(uncertain[1] / negative[1])
    assert found["h-uncertain"][1] == pytest.approx(wanted, abs=0.05)


@pytest.mark.parametrize("name", OURS)
def test_an_uncertain_class_that_is_held_out_entirely_starts_far_below_the_others(name):
    """At 0 it would be as likely as a negative, and draw the positives' logit upwards."""
    found = biases(name, drawn(np.random.default_rng(3))[:2000], three_way=True)
    assert np.isfinite(found["h-uncertain"]).all()
    assert (found["h-uncertain"] < -3).all()
    if name == "bce":  # half an entry of 2,000
        assert (found["h-uncertain"] < np.log(0.5 / 1000)).all()


@pytest.mark.parametrize("name", OURS)
def test_a_class_that_is_missing_leaves_it_finite(name):
    targets = np.zeros((40, 4), np.float32)
    targets[:, 1] = 1
    targets[1:, 2] = MASKED
    targets[0, 2] = 0.5
    targets[:20, 3] = 0.5
    targets[20:, 3] = MASKED
    found = biases(name, targets)["h"]
    assert np.isfinite(found).all()
    assert found[0] < found[3] < found[1]
    w = LOSSES.make(name).distortion([targets], [batches(len(targets))]).w
    np.testing.assert_allclose(found[2:], np.log(w[2:]), atol=1e-12)  # as much for as against


def test_a_label_of_which_nothing_is_known_starts_at_the_inflation_alone():
    found = biases("bce", np.full((40, 2), MASKED, np.float32))["h"]
    np.testing.assert_array_equal(found, 0)
