"""The search for signatures that differ in few bits, against the plain double loop."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.dataset.copies import index, pairs
from data_prep.dataset.copies.index import TooMany, indexed
from data_prep.dataset.copies.pairs import candidate_pairs, pairs_between


def double_loop(first: np.ndarray, second: np.ndarray | None, limit: int) -> list[list[int]]:
    """By unpacked bits."""
    one = np.unpackbits(first, axis=1)
    other = one if second is None else np.unpackbits(second, axis=1)
    near = (one[:, None] != other[None]).sum(axis=2) <= limit
    return np.argwhere(near if second is not None else np.triu(near, 1)).tolist()


def as_hex(packed: np.ndarray) -> list[str]:
    return [row.tobytes().hex() for row in packed]


def listed(blocks) -> list[list[int]]:
    return [pair for block in blocks for pair in block.tolist()]


@st.composite
def signatures(draw, most=60):
    """(N, 32): skewed bits that hang together, with copies of any number of changed bits."""
    count, seed = draw(st.integers(1, most)), draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    skew, kinship = draw(st.floats(0, 3)), draw(st.floats(0, 1))
    common = rng.normal(size=(count, 3)) @ rng.normal(size=(3, 256)) * kinship
    bits = rng.normal(size=(count, 256)) + common > rng.normal(size=256) * skew
    for _ in range(draw(st.integers(0, count))):
        one, other = rng.integers(0, count, 2)
        bits[one] = bits[other]
        bits[one, rng.choice(256, rng.integers(0, 70), replace=False)] ^= True
    return np.packbits(bits, axis=1)


LIMITS = st.one_of(st.just(48), st.integers(0, pairs._WIDEST))


@given(signatures(), LIMITS)
@settings(deadline=None, max_examples=20)
def test_the_index_finds_exactly_the_pairs_of_the_double_loop(packed, limit):
    assert indexed(packed, None, limit).tolist() == double_loop(packed, None, limit)


@given(signatures(30), signatures(30), LIMITS)
@settings(deadline=None, max_examples=8)
def test_the_index_does_so_between_two_lists(first, second, limit):
    second[: len(first) // 2] = first[: len(first) // 2][: len(second)]
    assert indexed(first, second, limit).tolist() == double_loop(first, second, limit)


@given(st.integers(0, 2**32 - 1), st.integers(0, 255))
@settings(deadline=None, max_examples=10)
def test_pairs_at_the_limit_itself_are_found_wherever_the_bits_differ(seed, run):
    """48 and 49 differing bits, once spread evenly and once all together."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (1, 256), np.uint8).repeat(5, axis=0)
    even = rng.permutation(256)
    for row, places in enumerate(
        (even[:48], even[:49], (run + np.arange(48)) % 256, (run + np.arange(49)) % 256), 1
    ):
        bits[row, places] ^= 1
    packed = np.packbits(bits, axis=1)
    found = indexed(packed, None, 48).tolist()
    assert found == double_loop(packed, None, 48)
    assert all(pair in found for pair in ([0, 1], [0, 3]))
    assert [0, 2] not in found


@given(signatures(), st.integers(0, 140), st.sampled_from([1, 100, 1 << 17]))
@settings(deadline=None, max_examples=30)
def test_comparing_all_is_the_double_loop(packed, limit, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "_BLOCK", block)
        assert listed(candidate_pairs(as_hex(packed), limit)) == double_loop(packed, None, limit)
        half = len(packed) // 2
        parts = packed[:half], packed[half:]
        found = listed(pairs_between(*map(as_hex, parts), limit))
    assert found == double_loop(*parts, limit)


def test_with_too_many_pairs_fewer_rows_are_compared_at_once(monkeypatch):
    """Alternately by the index, which gives up, and by comparing; in order all the same."""
    rng = np.random.default_rng(3)
    packed = rng.integers(0, 256, (200, 32), np.uint8)
    packed[60:120] = packed[60]
    packed[150:] = packed[10]
    tried = []
    monkeypatch.setattr(pairs, "_FEW", 4000)
    monkeypatch.setattr(index, "MOST", 400)
    monkeypatch.setattr(pairs, "indexed", lambda *a: tried.append(len(a[0])) or indexed(*a))
    expected = double_loop(packed, None, 48)
    assert listed(candidate_pairs(as_hex(packed))) == expected
    assert tried[:2] == [200, 100]
    halves = packed[:100], packed[100:]
    assert listed(pairs_between(*map(as_hex, halves))) == double_loop(*halves, 48)


def test_too_many_pairs_are_noticed(monkeypatch):
    monkeypatch.setattr(index, "MOST", 100)
    with pytest.raises(TooMany):
        indexed(np.zeros((50, 32), np.uint8), None, 48)


@pytest.mark.parametrize("few", [1, 1 << 31])
def test_what_is_no_longer_wanted_is_left_out(monkeypatch, few):
    monkeypatch.setattr(pairs, "_FEW", few)
    monkeypatch.setattr(index, "MOST", 0)  # row by row
    packed = np.zeros((6, 32), np.uint8)
    wanted = np.ones(6, bool)
    wanted[3] = False
    found = []
    monkeypatch.setattr(pairs, "_BLOCK", 1)
    for block in candidate_pairs(as_hex(packed), wanted=wanted):
        found += block.tolist()
        wanted[1] = False
    assert found == [[0, j] for j in (1, 2, 4, 5)] + [
        list(pair) for pair in itertools.combinations((2, 4, 5), 2)
    ]
