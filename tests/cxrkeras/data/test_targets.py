"""Uncertainty policies: what changes, and what never does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cxrkeras.data.targets import BLANK, MASKED, UNCERTAIN, targets_from_codes
from data_prep.errors import UserError

CODES = arrays(
    np.float32,
    st.tuples(st.integers(0, 6), st.integers(1, 4)),
    elements=st.sampled_from([0.0, 1.0, -1.0, np.nan]),
)


@given(
    codes=CODES, uncertain=st.sampled_from(sorted(UNCERTAIN)), blank=st.sampled_from(sorted(BLANK))
)
def test_known_codes_stay_and_the_rest_follows_the_policy(codes, uncertain, blank):
    before = codes.copy()
    targets = targets_from_codes(codes, uncertain=uncertain, blank=blank)
    np.testing.assert_array_equal(codes, before)
    assert targets.dtype == np.float32
    assert targets.shape == codes.shape
    known = (codes == 0) | (codes == 1)
    np.testing.assert_array_equal(targets[known], codes[known])
    expected = {"ignore": MASKED, "zeros": 0, "ones": 1}
    assert (targets[codes == -1] == expected[uncertain]).all()
    assert (targets[np.isnan(codes)] == expected[blank]).all()


def test_a_policy_per_label():
    targets = targets_from_codes(np.full((2, 3), -1.0), uncertain=["ones", "zeros", "ignore"])
    np.testing.assert_array_equal(targets, [[1, 0, MASKED]] * 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"uncertain": "maybe"}, "no policy 'maybe'; choose one of ignore, zeros, ones"),
        ({"blank": "ones"}, "no policy 'ones'; choose one of zeros, ignore"),
        ({"uncertain": ["ones"]}, "got 1 for 2 labels"),
    ],
)
def test_impossible_policies_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        targets_from_codes(np.zeros((1, 2)), **arguments)


def test_a_value_that_is_no_code_is_refused():
    with pytest.raises(UserError, match=r"found 0\.5, 2;"):
        targets_from_codes(np.array([[1, 2], [0.5, np.nan]]))


@pytest.mark.real
def test_chexpert_uncertain_entries_are_all_that_differs(real):
    from data_prep.tables import read_table

    table = read_table(real("metadata", "chexpert_train.csv.gz")).iloc[:2000, 5:]
    codes = table.replace("", "nan").to_numpy().astype(np.float32)
    zeros, ones = (targets_from_codes(codes, uncertain=name) for name in ("zeros", "ones"))
    np.testing.assert_array_equal(zeros != ones, codes == -1)
    assert (codes == -1).any()
