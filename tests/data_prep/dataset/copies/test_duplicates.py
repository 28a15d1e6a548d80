"""The same picture twice: every kind of copy is found, and two films are never taken for one."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from data_prep.dataset.duplicates import (
    HASH_LIMIT,
    SAME_FILM,
    candidate_pairs,
    copies_between,
    exact_duplicates,
    near_duplicates,
    pairs_between,
    signature,
    similarity,
)
from tests.data_prep.readers.archives import film

SIDE = 256


def jpeg(image, quality):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def crop(image, share):
    width, height = image.size
    x, y = round(share * width), round(share * height)
    return image.crop((x, y, width - x, height - y))


COPIES = {
    "re-encoded": lambda image: jpeg(image, 50),
    "half the size": lambda image: image.resize([side // 2 for side in image.size]),
    "larger": lambda image: image.resize([side * 4 // 3 for side in image.size]),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.7),
    "more contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.2),
    "other gamma": lambda image: image.point(lambda grey: 255 * (grey / 255) ** 0.75),
    "cropped by 1 %": lambda image: crop(image, 0.01),
    "cropped, re-encoded, darker": lambda image: jpeg(
        crop(image, 0.01).point(lambda g: g * 0.8), 60
    ),
}


def square(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def bits(first: str, second: str) -> int:
    return (int(first, 16) ^ int(second, 16)).bit_count()


@given(st.lists(st.integers(0, 2**256 - 1), min_size=1, max_size=12), st.integers(0, 140))
@settings(deadline=None)
def test_the_search_is_the_plain_double_loop(values, limit):
    signatures = [f"{value:064x}" for value in values]
    expected = [
        (i, j)
        for i in range(len(values))
        for j in range(i + 1, len(values))
        if bits(signatures[i], signatures[j]) <= limit
    ]
    assert list(candidate_pairs(signatures, limit)) == expected


some = st.lists(st.integers(0, 2**256 - 1), max_size=8)


@given(some, some, st.integers(0, 140), st.sampled_from([1, 10, 1 << 17]))
def test_the_search_between_two_lists_is_the_plain_double_loop(first, second, limit, block):
    one, other = ([f"{value:064x}" for value in values] for values in (first, second))
    expected = [
        (i, j) for i, a in enumerate(one) for j, b in enumerate(other) if bits(a, b) <= limit
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("data_prep.dataset.duplicates._BLOCK", block)
        assert list(pairs_between(one, other, limit)) == expected


def test_a_copy_of_several_films_is_named_once_and_asked_about_no_further(monkeypatch):
    zero, far = "0" * 64, "f" * 64
    asked = []

    def confirmed(pairs):
        asked.extend(pairs)
        return [pair in {(0, 1), (2, 1), (0, 3)} for pair in pairs]

    monkeypatch.setattr("data_prep.dataset.duplicates._BATCH", 2)
    assert copies_between([zero, far, zero], [far, zero, far, zero], confirmed) == [1, 3]
    assert (2, 1) not in asked


def test_the_search_is_the_same_in_blocks(monkeypatch):
    values = np.random.default_rng(0).integers(0, 2**62, (60, 4))
    signatures = ["".join(f"{int(word):016x}" for word in row) for row in values]
    whole = list(candidate_pairs(signatures, 120))
    monkeypatch.setattr("data_prep.dataset.duplicates._BLOCK", 100)
    assert list(candidate_pairs(signatures, 120)) == whole != []


def test_exact_duplicates_keep_the_first():
    found = exact_duplicates(["a", None, "b", "a", None, "a"], "sop")
    assert [(d.kept, d.dropped) for d in found] == [(0, 3), (0, 5)]


def test_a_chain_of_copies_drags_nobody_along():
    zero, near = "0" * 64, "0" * 60 + "ffff"
    same = {(0, 1), (1, 2)}
    found = near_duplicates([0, 1, 2], [zero, near, zero], lambda pairs: [p in same for p in pairs])
    assert [(d.kept, d.dropped) for d in found] == [(0, 1)]


def test_similarity_is_symmetric_enough_and_one_for_itself():
    first, second = film(1, SIDE), film(2, SIDE)
    assert similarity(first, first) > 0.9999
    assert similarity(first, second) < 0.5
    assert similarity(np.full((64, 64), 7, np.uint8), np.full((64, 64), 9, np.uint8)) == 0.0


@pytest.mark.real
@pytest.mark.parametrize("change", COPIES)
def test_copies_of_real_films_are_found(real, change):
    paths = sorted(real("nih_target", "images").glob("*.png"))[::45]
    for path in paths:
        original = Image.open(path).convert("L")
        first, second = square(original), square(COPIES[change](original))
        assert bits(signature(first), signature(second)) <= HASH_LIMIT
        assert similarity(first, second) >= SAME_FILM


@pytest.mark.real
@pytest.mark.slow
def test_no_two_real_films_are_taken_for_one(real):
    """All 948,753 pairs of 1,378 films: one is a copy (looked at: the archive has it twice)."""
    paths = [
        p for s in ("nih_target", "nih_source") for p in sorted(real(s, "images").glob("*.png"))
    ]
    squares = [square(Image.open(path)) for path in paths]
    pairs = list(candidate_pairs([signature(one) for one in squares], 90))
    scores = {pair: similarity(squares[pair[0]], squares[pair[1]]) for pair in pairs}
    same = [(paths[i].stem, paths[j].stem) for (i, j), s in scores.items() if s >= SAME_FILM]
    assert same == [("00002658_001", "00002658_002")]


@pytest.mark.real
@pytest.mark.slow
def test_films_of_one_patient_are_not_copies(real):
    paths = sorted(real("nih_source", "images").glob("*.png"))
    squares = {path.stem: square(Image.open(path)) for path in paths}
    pairs = [(a, b) for a in squares for b in squares if a < b and a[:8] == b[:8]]
    assert len(pairs) > 400
    same = [(a, b) for a, b in pairs if similarity(squares[a], squares[b]) >= SAME_FILM]
    assert same == [("00002658_001", "00002658_002")]
