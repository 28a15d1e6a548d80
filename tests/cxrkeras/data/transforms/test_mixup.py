"""mixup, against the definition: rows of the unit matrix say who was mixed with whom, how far."""

import numpy as np
import pytest
from scipy.stats import beta, kstest

from cxrkeras.data.labels.entries import MASKED, UNCERTAIN_CLASS
from cxrkeras.data.transforms.mixup import blend, blended, weighed
from cxrkeras.registry import TRANSFORMS
from data_prep.errors import UserError
from tests.cxrkeras.data.transforms.test_transforms import applied

ROWS = 64


def mixed(text="mixup:1", targets=None, seed=0, **inputs):
    """Weights (N, N) whose row i says of what row i is made, and what became of the rest."""
    inputs = {"image": np.eye(ROWS, dtype=np.float32), **inputs}
    targets = np.zeros((ROWS, 1)) if targets is None else targets
    made, targets = applied(TRANSFORMS.make(text), inputs, targets, seed)
    return made, targets


def test_each_row_is_mixed_with_its_place_in_a_permutation():
    weights = mixed()[0]["image"]
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    assert (weights >= 0).all()
    assert ((weights > 0).sum(axis=1) <= 2).all()
    partners = (weights - np.diag(np.diag(weights))) > 0
    assert (partners.sum(axis=0) <= 1).all()  # nobody is two rows' partner
    assert partners.sum() > ROWS - 9
    assert len(np.unique(np.diag(weights))) > ROWS - 9  # a weight for each pair


def test_targets_are_mixed_as_their_images():
    rng = np.random.default_rng(0)
    targets = np.float32(rng.choice([0, 1, 0.3], (ROWS, 4)))
    made, mixed_targets = mixed(targets=targets)
    np.testing.assert_allclose(mixed_targets, made["image"] @ targets, atol=1e-6)


def test_an_entry_is_known_only_where_both_are():
    rng = np.random.default_rng(1)
    targets = np.float32(rng.choice([MASKED, 0, 1, 0.3, UNCERTAIN_CLASS, np.nan], (ROWS, 5)))
    made, found = mixed(targets=targets)
    weights = made["image"]
    other = np.argmax(weights - np.diag(np.diag(weights)), axis=1)
    other = np.where(np.diag(weights) == 1, np.arange(ROWS), other)
    partner = targets[other]
    known = [(t >= 0) & (t <= 1) for t in (targets, partner)]
    blend = weights @ np.where(known[0], targets, 0)
    expected = np.where(known[0] & known[1], blend, MASKED)
    both = (targets == UNCERTAIN_CLASS) & (partner == UNCERTAIN_CLASS)
    expected = np.where(both, UNCERTAIN_CLASS, expected)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert both.any()
    assert 0.1 < (found != MASKED).mean() < 0.5


def test_what_both_rows_agree_on_stays_to_the_last_bit():
    targets = np.full((ROWS, 2), [0.3, 1.0], np.float32)
    np.testing.assert_array_equal(mixed(targets=targets)[1], targets)


def test_a_row_that_is_all_of_its_mixture_stays_to_the_last_bit():
    rng = np.random.default_rng(3)
    one, two = rng.normal(0, 90, (2, 500, 4)).astype(np.float32)
    np.testing.assert_array_equal(blend(one, two, np.float32(1)), one)
    np.testing.assert_array_equal(blend(one, two, np.float32(0)), two)
    assert (two + (one - two) != one).any()  # which rounding would have changed
    labels = np.float32(rng.choice([MASKED, 0, 1, 0.3, UNCERTAIN_CLASS], (2, 500, 4)))
    weights = np.float32(rng.choice([1, 0.3], (2, 500, 4)))
    share = np.ones((500, 1), np.float32)
    np.testing.assert_array_equal(blended(*labels, share), labels[0])
    both = np.stack([labels, weights], axis=-1)
    np.testing.assert_array_equal(weighed(*both, share), both[0])


def test_mixed_weights_are_the_mean_of_both_rows_losses():
    """Cross-entropy at the mixed target, by the mixed weight; and equal weights change nothing."""
    rng = np.random.default_rng(4)
    y, v = rng.random((2, 300, 2)), rng.choice([1, 0.3, 0.05], (2, 300, 2))
    share, f = rng.random((300, 1)), rng.normal(0, 2, (300, 2))
    arrays = [np.float32(each) for each in np.stack([y, v], axis=-1)]
    found = np.asarray(weighed(*arrays, np.float32(share)), float)

    def cost(y, v):
        return v * (y * np.logaddexp(0, -f) + (1 - y) * np.logaddexp(0, f))

    expected = share * cost(y[0], v[0]) + (1 - share) * cost(y[1], v[1])
    np.testing.assert_allclose(cost(found[..., 0], found[..., 1]), expected, rtol=1e-4, atol=1e-6)
    plain = [np.stack([each[..., 0], np.ones((300, 2), np.float32)], axis=-1) for each in arrays]
    alike = np.asarray(weighed(*plain, np.float32(share)))
    without = blended(*(each[..., 0] for each in plain), np.float32(share))
    np.testing.assert_array_equal(alike[..., 0], without)
    assert (alike[..., 1] == 1).all()


def test_further_inputs_are_those_of_the_row_that_weighs_more():
    number = np.arange(ROWS, dtype=np.float32)[:, None]
    made, _ = mixed(number=number)
    np.testing.assert_array_equal(made["number"][:, 0], made["image"].argmax(axis=1))


@pytest.mark.parametrize("alpha", [0.05, 0.2, 1.0, 3.0])
def test_weights_have_the_beta_distribution(alpha):
    rows = np.eye(1000, dtype=np.float32)
    made, _ = applied(TRANSFORMS.make(f"mixup:{alpha}"), rows, rows, 1)
    weights = np.diag(made).astype(float)  # of the rows themselves; about one is its own partner
    places = np.array([0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999])  # float32 ends short of 1
    found = (weights[:, None] <= places).mean(axis=0)
    np.testing.assert_allclose(found, beta(alpha, alpha).cdf(places), atol=0.05)
    if alpha >= 1:
        assert kstest(weights, beta(alpha, alpha).cdf).pvalue > 1e-3


@pytest.mark.parametrize("alpha", [1e-3, 1e3])
def test_the_bounds_of_alpha_give_numbers(alpha):
    rows = np.tile([[0.0], [1.0]], (500, 1)).astype(np.float32)
    made, _ = applied(TRANSFORMS.make(f"mixup:{alpha:g}"), rows, rows, 0)
    assert np.isfinite(made).all()
    fresh = made[(made != 0) & (made != 1)]
    assert (abs(fresh - 0.5) < 0.1).all() if alpha > 1 else len(fresh) < 20


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mixup:alpha=0", ("--transform mixup: alpha", "'0'")),
        ("mixup:nan", ("alpha", "'nan'")),
        ("mixup:0.2,beta=1", ("no option 'beta'",)),
        ("mix-up", ("'mix-up'", "Did you mean 'mixup'")),
    ],
)
def test_what_can_t_be_is_refused_in_a_line(text, words):
    with pytest.raises(UserError) as refused:
        TRANSFORMS.make(text)
    assert all(word in str(refused.value) for word in words)
    assert "\n" not in str(refused.value)
