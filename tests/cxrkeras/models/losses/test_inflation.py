"""The inflation against a constant score fitted to simulated epochs, and to the real loss."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from cxrkeras.data.draws import drawn_rows
from cxrkeras.data.labels.entries import MASKED, UNCERTAIN_CLASS
from cxrkeras.data.labels.targets import Targets
from cxrkeras.data.pipeline import Features, Part, labelled_batches
from cxrkeras.models.losses import bw_bce
from cxrkeras.models.losses.shared.bce import BatchWeightedBCE


def part_of(values, head="h", epoch=None):
    rows = len(values)
    inputs = Features(np.arange(rows, dtype=np.float32)[:, None])
    return Part(head, inputs, np.arange(rows), Targets(np.float32(values)), epoch)


def found(parts, batch_size, per_label):
    rows = drawn_rows(parts, batch_size)
    return bw_bce.Part(per_label=per_label).distortion([p.targets.values for p in parts], rows).w


def simulated(batches, per_label):
    """Odds of the best constant per label under b_P, b_N of each batch, over its own odds.

    Args:
        batches: arrays (M, B, K) of M batches of one length; those without a class have no weight.
        per_label: of the loss.
    """
    axes = 1 if per_label else (1, 2)
    pulls, masses = 0.0, 0.0
    for targets in batches:
        known = (targets >= 0) & (targets <= 1)
        n = (known | (targets == UNCERTAIN_CLASS)).sum(axis=axes, keepdims=True)
        sides = np.where(known, [targets, 1 - targets], 0)
        total = [side.sum(axis=axes, keepdims=True) for side in sides]
        pulls += np.stack(
            [
                (side * n / np.where(t > 0, t, 1)).sum(axis=(0, 1))
                for side, t in zip(sides, total, strict=True)
            ]
        )
        masses += sides.sum(axis=(1, 2))
    return pulls[0] / pulls[1] / (masses[0] / masses[1])


def epochs_of(values, batch_size, count, rng):
    """The batches of each of `count` epochs: the full ones, and the last as it comes out."""
    full = len(values) // batch_size * batch_size
    for _ in range(count):
        order = values[rng.permutation(len(values))]
        yield order[:full].reshape(-1, batch_size, values.shape[1])
        if full < len(values):
            yield order[None, full:]


def drawn(rng, rows, prevalence, known=1.0):
    values = (rng.random((rows, len(prevalence))) < prevalence).astype(float)
    return np.where(rng.random(values.shape) < known, values, MASKED)


def together(rng, rows, chance, share):
    """Labels that occur together: a sick image has each finding with a high chance, else a low."""
    sick = rng.random((rows, 1)) < chance
    return (rng.random((rows, len(share))) < np.where(sick, share, 0.01)).astype(float)


def masked_where_negative(rng, rows):
    values = drawn(rng, rows, [0.1, 0.3, 0.05])
    return np.where((values == 0) & (rng.random(values.shape) < 0.8), MASKED, values)


def three_way(rng, rows):
    values = drawn(rng, rows, [0.1, 0.3, 0.2], known=0.6)
    values[rng.random(values.shape) < [0.3, 0.1, 0.0]] = UNCERTAIN_CLASS
    return values


def soft(rng, rows):
    values = drawn(rng, rows, [0.03, 0.1])
    return np.where(rng.random(values.shape) < 0.05, [0.7, 0.15], values)


SETTINGS = {
    "5% known": (lambda rng: drawn(rng, 3000, [0.1, 0.1], known=0.05), 16, True),
    "rare": (lambda rng: drawn(rng, 2000, [0.02, 0.05, 0.5]), 16, True),
    "masked where negative": (lambda rng: masked_where_negative(rng, 1000), 8, True),
    "a short last batch": (lambda rng: drawn(rng, 40, [0.1, 0.2, 0.3], known=0.5), 16, True),
    "pooled": (lambda rng: drawn(rng, 1000, [0.05, 0.05, 0.05], known=0.8), 8, False),
    "co-occurring": (lambda rng: together(rng, 1500, 0.1, [0.9, 0.6, 0.3]), 16, False),
    "co-occurring, few known": (
        lambda rng: np.where(
            rng.random((1500, 3)) < 0.2, together(rng, 1500, 0.2, [0.8, 0.5, 0.2]), MASKED
        ),
        16,
        False,
    ),
    "co-occurring, few rows": (lambda rng: together(rng, 50, 0.2, [0.9, 0.6, 0.3]), 32, False),
    "uncertain class": (lambda rng: three_way(rng, 600), 8, True),
    "uncertain class, pooled": (lambda rng: three_way(rng, 600), 8, False),
    "soft": (lambda rng: soft(rng, 800), 8, True),
    "soft, pooled": (lambda rng: soft(rng, 800), 8, False),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_it_is_that_of_simulated_epochs(setting):
    make, batch_size, per_label = SETTINGS[setting]
    rng = np.random.default_rng(7)
    values = make(rng)
    steps = -(-len(values) // batch_size)
    count = min(24_000 * batch_size // 16 // steps * 16 // batch_size, 3000)
    expected = simulated(epochs_of(values, batch_size, count, rng), per_label)
    w = found([part_of(values)], batch_size, per_label)
    np.testing.assert_allclose(w, expected, rtol=0.03)


@given(
    positive=st.integers(1, 40),
    negative=st.integers(1, 300),
    masked=st.integers(0, 300),
    batch_size=st.integers(1, 40),
)
@settings(max_examples=15, deadline=None)
def test_one_label_of_its_own_is_that_of_every_possible_batch(
    positive, negative, masked, batch_size
):
    """Exactly: a batch has none of the others with a hypergeometric chance."""
    rows = positive + negative + masked

    def pull(own, other):
        """The expected number of known entries in an epoch's batches that hold one of `own`."""
        pulled = 0.0
        for size in np.bincount(np.arange(rows) // batch_size):
            without = hypergeom.pmf(0, rows - 1, own, size - 1)
            pulled += size * (own + other * (1 - without)) / rows
        return pulled

    expected = pull(positive, negative) / pull(negative, positive) * negative / positive
    values = np.repeat([1.0, 0.0, MASKED], [positive, negative, masked])[:, None]
    for per_label in (True, False):
        assert found([part_of(values)], batch_size, per_label)[0] == pytest.approx(expected, 0.03)


def test_a_single_positive_among_many_is_no_matter_of_luck():
    values = np.repeat([1.0, 0.0, MASKED], [1, 4_999, 95_000])[:, None]
    chance = hypergeom.pmf(np.arange(16), 99_999, 4_999, 15)
    mean = 1 + chance @ np.arange(16)  # known entries of the batch that has it
    w = found([part_of(values)], 16, True)[0]
    alone = 16 * 1 / 100_000  # batches of negatives pull for each of their entries
    assert w == pytest.approx(mean * alone / (16 * 5_000 / 100_000 - alone) * 4_999, 0.01)


def test_a_label_without_a_class_has_the_weights_of_all_labels_if_those_are_pooled():
    part = part_of(np.array([[1, 0, MASKED], [0, 0, MASKED], [0, 0, MASKED]]))
    np.testing.assert_allclose(found([part], 3, False), [5, 5, 5])
    np.testing.assert_allclose(found([part], 3, True), [2, 1, 1])
    np.testing.assert_allclose(found([part_of(np.zeros((4, 2)))], 3, False), [1, 1])


def gradients_at_optimum(losses, parts, batch_size, head="h"):
    """Mean pull over mean absolute pull of the real batches, at the odds that w claims; by loss."""
    mine = [number for number, part in enumerate(parts) if part.head == head]
    rows = drawn_rows(parts, batch_size)
    targets = [parts[number].targets.values for number in mine]
    drawn = [rows[number] for number in mine]
    w = [bw_bce.Part(per_label=loss.per_label).distortion(targets, drawn).w for loss in losses]
    steps = [min(-(-max(p.rows for p in parts) // batch_size) * batch_size, p.rows) for p in parts]
    seen = [steps[number] if len(parts) == 1 else 1 for number in mine]
    known = [np.where((t >= 0) & (t <= 1), t, np.nan) for t in targets]
    share = sum(s * np.nansum(k, axis=0) / len(k) for s, k in zip(seen, known, strict=True))
    rest = sum(s * np.nansum(1 - k, axis=0) / len(k) for s, k in zip(seen, known, strict=True))
    logit = np.float32(np.log(np.stack(w) * share / rest))

    def pulls(_, batch):
        gradients = []
        for loss, own in zip(losses, logit, strict=True):
            logits = tf.ones_like(batch[head]) * own
            with tf.GradientTape() as tape:
                tape.watch(logits)
                value = loss(batch[head], logits)
            gradients.append(tape.gradient(value, logits))
        gradient = tf.stack(gradients)
        return tf.reduce_sum(gradient, axis=1), tf.reduce_sum(tf.abs(gradient), axis=1)

    batches = labelled_batches(parts, batch_size, shuffle=5, epochs=range(200)).map(pulls)
    total, size = np.sum(list(batches.as_numpy_iterator()), axis=0)
    return total / size


RNG = np.random.default_rng(3)
LONG = np.float32(together(RNG, 100, 0.3, [0.9, 0.6]))
SHORT = np.where(RNG.random((23, 2)) < 0.5, np.float32(drawn(RNG, 23, [0.4, 0.2])), MASKED)
TOGETHER = {
    "one part": [part_of(LONG)],
    "views": [part_of(np.tile(LONG, (4, 1)), epoch=len(LONG))],
    "a part beside another head's": [part_of(SHORT), part_of(LONG, head="g")],
    "two parts of one head": [part_of(LONG), part_of(SHORT)],
    "parts that differ": [
        part_of(np.where([True, False], LONG, MASKED)),
        part_of(np.where([False, True], LONG[:23], MASKED)),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("parts", TOGETHER)
def test_the_real_losses_pull_neither_way_at_their_optimum(parts):
    losses = [BatchWeightedBCE(per_label) for per_label in (False, True)]
    pull = gradients_at_optimum(losses, TOGETHER[parts], 8)
    np.testing.assert_allclose(pull, 0, atol=0.015)


@pytest.mark.parametrize(
    "batch_size", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (7, 64)), 30]
)
@pytest.mark.parametrize("parts", TOGETHER)
def test_batches_are_drawn_as_the_pipeline_draws_them(parts, batch_size):
    parts = TOGETHER[parts]
    rows = drawn_rows(parts, batch_size)
    real = list(labelled_batches(parts, batch_size, shuffle=1, epochs=range(3)))
    steps = len(real) // 3
    sizes = sum((part >= 0).sum(axis=1) for part in rows)
    assert sizes[: 3 * steps].tolist() == [len(inputs) for inputs, _ in real]
    for part, one in zip(parts, rows, strict=True):
        for first in range(0, len(one), steps):
            seen = one[first : first + steps].ravel()
            times = np.bincount(seen[seen >= 0], minlength=len(part.index))
            assert times.max() - times.min() <= 1  # again only after all
            if first > 20 * steps:
                break
    again = drawn_rows(parts, batch_size)
    assert all(np.array_equal(one, two) for one, two in zip(rows, again, strict=True))
