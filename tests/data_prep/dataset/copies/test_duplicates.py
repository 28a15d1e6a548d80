"""The same picture twice: every kind of copy is found, and two films are never taken for one."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from data_prep.dataset.copies import duplicates
from data_prep.dataset.copies.duplicates import copies_between, exact_duplicates, near_duplicates
from data_prep.dataset.copies.pairs import candidate_pairs
from data_prep.dataset.copies.signatures import HASH_LIMIT, signature
from data_prep.dataset.copies.similarity import SAME_FILM, similarity
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


def test_a_copy_of_several_films_is_named_once_and_asked_about_no_further(monkeypatch):
    zero, far = "0" * 64, "f" * 64
    asked = []

    def confirmed(pairs):
        asked.extend(pairs)
        return [pair in {(0, 1), (2, 1), (0, 3)} for pair in pairs]

    monkeypatch.setattr(duplicates, "_BATCH", 2)
    assert copies_between([zero, far, zero], [far, zero, far, zero], confirmed) == [1, 3]
    assert (2, 1) not in asked


def test_exact_duplicates_keep_the_first():
    found = exact_duplicates(["a", None, "b", "a", None, "a"], "sop")
    assert [(d.kept, d.dropped) for d in found] == [(0, 3), (0, 5)]


def test_a_chain_of_copies_drags_nobody_along():
    zero, near = "0" * 64, "0" * 60 + "ffff"
    same = {(0, 1), (1, 2)}
    signatures = [zero, near, zero]
    found, _ = near_duplicates([0, 1, 2], signatures, lambda pairs: [p in same for p in pairs])
    assert [(d.kept, d.dropped) for d in found] == [(0, 1)]


@given(st.data(), st.sampled_from([1, 3, 4096]))
@settings(deadline=None, max_examples=40)
def test_copies_are_dropped_as_by_the_plain_double_loop(data, batch):
    """Signatures of few films, so that many are alike; which are copies is drawn."""
    count = data.draw(st.integers(1, 14))
    values = data.draw(st.lists(st.sampled_from(FILMS), min_size=count, max_size=count))
    same = data.draw(st.sets(st.tuples(st.integers(0, count), st.integers(0, count))))
    dropped, expected = set(), []
    for i in range(count):
        for j in range(i + 1, count):
            close = bits(values[i], values[j]) <= HASH_LIMIT
            if close and (i, j) in same and dropped.isdisjoint((i, j)):
                dropped.add(j)
                expected.append((10 + i, 10 + j))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_BATCH", batch)
        confirmed = lambda pairs: [(i - 10, j - 10) in same for i, j in pairs]  # noqa: E731
        found, crowded = near_duplicates(list(range(10, 10 + count)), values, confirmed)
    assert [(d.kept, d.dropped) for d in found] == expected
    assert crowded == 0


FILMS = [f"{value:064x}" for value in (0, 1, (1 << 48) - 1, (1 << 60) - 1, (1 << 256) - 1)]


@pytest.mark.parametrize("copies", [True, False])
def test_many_films_with_one_signature_cost_no_square_of_their_number(copies):
    count, asked = 30_000, []

    def confirmed(pairs):
        asked.extend(pairs)
        return [copies] * len(pairs)

    found, crowded = near_duplicates(list(range(count)), ["5a" * 32] * count, confirmed)
    assert len(asked) < 2 * count
    assert [d.kept for d in found] == [0] * (count - 1) * copies
    assert crowded == (0 if copies else count)


@pytest.mark.parametrize("batch", [1, 7, 4096])
def test_a_crowd_is_looked_at_no_further(monkeypatch, batch):
    """Film 0 is like 1 to 5 without copying them: 1 and 2, which do copy each other, stay."""
    monkeypatch.setattr(duplicates, "CROWD", 3)
    monkeypatch.setattr(duplicates, "_BATCH", batch)
    zero, far, away = "0" * 64, "f" * 64, "0f" * 32
    signatures = [zero] * 6 + [far] * 2 + [away] * 4
    same = {(1, 2), (6, 7), (8, 10)}
    found, crowded = near_duplicates(
        list(range(12)), signatures, lambda pairs: [pair in same for pair in pairs]
    )
    assert [(d.kept, d.dropped) for d in found] == [(6, 7), (8, 10)]
    assert crowded == 6


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
    found = candidate_pairs([signature(one) for one in squares], 90)
    pairs = [tuple(pair) for block in found for pair in block.tolist()]
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
