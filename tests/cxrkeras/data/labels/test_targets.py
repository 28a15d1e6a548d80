"""Uncertainty policies: what changes, and what never does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cxrkeras.data.labels.entries import BLANK, MASKED, UNCERTAIN_CLASS
from cxrkeras.data.labels.targets import Targets, targets_from_codes
from cxrkeras.registry import POLICIES
from data_prep.errors import UserError

CODES = arrays(
    np.float32,
    st.tuples(st.integers(0, 6), st.integers(1, 4)),
    elements=st.sampled_from([0.0, 1.0, -1.0, np.nan]),
)


@given(
    codes=CODES,
    uncertain=st.sampled_from([*POLICIES.names(), "ones_lsr:low=0.6,high=0.9"]),
    blank=st.sampled_from(sorted(BLANK)),
)
def test_known_codes_stay_and_the_rest_follows_the_policy(codes, uncertain, blank):
    before, policy = codes.copy(), POLICIES.make(uncertain)
    targets = targets_from_codes(codes, uncertain=uncertain, blank=blank)
    np.testing.assert_array_equal(codes, before)
    assert targets.values.dtype == np.float32
    assert targets.values.shape == codes.shape
    known, asked = (codes == 0) | (codes == 1), codes == -1
    low, high = policy.ends()
    np.testing.assert_array_equal(targets.values[known], codes[known])
    assert (targets.values[asked] == np.float32((low + high) / 2)).all()
    assert (targets.values[np.isnan(codes)] == BLANK[blank]).all()
    spread = np.zeros(codes.shape) if targets.spread is None else targets.spread
    np.testing.assert_array_equal(spread, np.float32(asked * (high - low) / 2))
    guessed = np.zeros(codes.shape) if targets.guessed is None else targets.guessed
    unsaid = np.isnan(codes) & (blank == "self_trained")
    np.testing.assert_array_equal(guessed, (asked & policy.guessed) | unsaid)
    assert (targets.three_way == (asked.any(axis=0) & (low == UNCERTAIN_CLASS))).all()


@given(codes=CODES, guesses=st.integers(0, 2**32 - 1))
def test_guesses_replace_uncertain_entries_alone(codes, guesses):
    targets = targets_from_codes(codes, uncertain="self-trained", blank="ignore")
    if targets.guessed is None:
        return
    guesses = np.random.default_rng(guesses).random(codes.shape)
    filled = targets.filled(guesses)
    asked = codes == -1
    np.testing.assert_array_equal(filled.values[asked], np.float32(guesses[asked]))
    np.testing.assert_array_equal(filled.values[~asked], targets.values[~asked])
    assert filled.guessed is None


@given(codes=CODES, weight=st.sampled_from([0.25, 0.5]))
def test_blanks_weigh_less_between_leaving_them_out_and_counting_them(codes, weight):
    def made(weight, blank="zeros"):
        return targets_from_codes(codes, uncertain="half", blank=blank, blank_weight=weight)

    for bound, usual in ((made(1), made(1.0)), (made(0), made(1, "ignore"))):
        np.testing.assert_array_equal(bound.with_weights, usual.with_weights)
        assert bound.weights is None
    found, unsaid = made(weight), np.isnan(codes)
    values, weights = found.weighed
    np.testing.assert_array_equal(values, made(1).values)
    np.testing.assert_array_equal(weights, np.where(unsaid, np.float32(weight), 1))
    assert (found.weights is None) == (not unsaid.any())
    of_all, of_known = made(1).counts, made(0).counts
    np.testing.assert_allclose(found.counts, of_known + weight * (of_all - of_known), rtol=1e-6)


def test_weights_go_where_their_entries_go():
    codes = np.array([[1, np.nan], [np.nan, 0], [0, 1]])
    found = targets_from_codes(codes, blank_weight=0.5)
    assert found[np.array([2])].weights is None
    np.testing.assert_array_equal(found[np.array([1, 0])].weights, [[0.5, 1], [1, 0.5]])
    wide = found.widened([2, 0], 3)
    np.testing.assert_array_equal(wide.weights, [[0.5, 1, 1], [1, 1, 0.5], [1, 1, 1]])
    plain = Targets(np.zeros((3, 2), np.float32))
    there = plain.placed(np.array([2, 0]), found[np.array([0, 1])])
    np.testing.assert_array_equal(there.weights, [[0.5, 1], [1, 1], [1, 0.5]])
    assert there.spread is None is there.guessed
    np.testing.assert_array_equal(found.with_weights[..., 1], found.weights)
    guessed = targets_from_codes(codes, blank="self_trained")
    filled = guessed.filled(np.full(codes.shape, 0.25), weight=0.5)
    np.testing.assert_array_equal(filled.values, [[1, 0.25], [0.25, 0], [0, 1]])
    np.testing.assert_array_equal(filled.weights, found.weights)
    kept_out = guessed.filled(np.full(codes.shape, -1.0))
    np.testing.assert_array_equal(kept_out.values, guessed.values)


def test_a_policy_per_label():
    policies = ["ones", "zeros", "ignore", "multi-class", "zeros-lsr", "self-trained"]
    targets = targets_from_codes(np.full((2, 6), -1.0), uncertain=policies)
    np.testing.assert_allclose(targets.values, [[1, 0, MASKED, UNCERTAIN_CLASS, 0.15, MASKED]] * 2)
    np.testing.assert_allclose(targets.spread, [[0, 0, 0, 0, 0.15, 0]] * 2)
    assert targets.guessed.tolist() == [[False] * 5 + [True]] * 2
    assert targets.three_way.tolist() == [False] * 3 + [True] + [False] * 2


def test_known_are_the_values_that_say_present_or_absent():
    values = np.float32([[0, 1, 0.3, MASKED, UNCERTAIN_CLASS]])
    np.testing.assert_array_equal(Targets(values).known, [[0, 1, np.float32(0.3), np.nan, np.nan]])


def test_rows_and_columns_keep_all_that_belongs_to_them():
    codes = np.array([[1, -1, 0], [-1, 0, -1]], float)
    targets = targets_from_codes(codes, uncertain=["self-trained", "ones-lsr", "multi-class"])
    picked = targets[np.array([1, 0, 1])]
    assert len(picked) == 3
    for name in ("values", "spread", "guessed"):
        np.testing.assert_array_equal(getattr(picked, name), getattr(targets, name)[[1, 0, 1]])
    first = targets[np.array([0])]
    assert (first.spread is None) == (codes[0, 1] != -1)
    assert first.guessed is None  # nothing of that row is to be guessed
    wide = targets.widened([4, 0, 2], 5)
    for name, rest in (("values", MASKED), ("spread", 0), ("guessed", False)):
        np.testing.assert_array_equal(getattr(wide, name)[:, [4, 0, 2]], getattr(targets, name))
        assert (getattr(wide, name)[:, [1, 3]] == rest).all()
    plain = targets_from_codes(codes, uncertain="zeros")
    assert plain.widened([0, 1, 2], 4).spread is None is plain.spread


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"uncertain": "maybe"}, r"--uncertain must be one of .*\. Received: 'maybe'"),
        ({"blank": "ones"}, r"one of zeros, ignore, self_trained\. Received: 'ones'"),
        ({"uncertain": ["ones"]}, "Received: 1 for 2 labels"),
    ],
)
def test_impossible_policies_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        targets_from_codes(np.zeros((1, 2)), **arguments)


def test_a_value_that_is_no_code_is_refused():
    with pytest.raises(UserError, match=r"Received: 0\.5, 2\."):
        targets_from_codes(np.array([[1, 2], [0.5, np.nan]]))


@pytest.mark.real
def test_chexpert_uncertain_entries_are_all_that_differs(real):
    from data_prep.tables.table import read_table

    table = read_table(real("metadata", "chexpert_train.csv.gz")).iloc[:2000, 5:]
    codes = table.replace("", "nan").to_numpy().astype(np.float32)
    assert (codes == -1).any()
    zeros = targets_from_codes(codes, uncertain="zeros").values
    for policy in set(POLICIES.names()) - {"zeros"}:
        other = targets_from_codes(codes, uncertain=policy).values
        np.testing.assert_array_equal(zeros != other, codes == -1)
