"""The square that models see, against other libraries; the stretch; the digest."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage.transform import resize

from data_prep.films.film import Film, pixel_digest, read_film, stretched, to_square
from tests.data_prep.films.synthetic_dicom import dicom, save

NOISE = np.random.default_rng(5).random((61, 47), np.float32)


def triangle(pixels, size):
    """The textbook filter along the first axis: a triangle as wide as the reduction."""
    scale = len(pixels) / size
    centre = (np.arange(size) + 0.5) * scale
    place = np.arange(len(pixels)) + 0.5
    weight = np.maximum(0, 1 - np.abs(place - centre[:, None]) / max(scale, 1))
    return weight / weight.sum(axis=1, keepdims=True) @ pixels


@given(
    height=st.integers(2, 90),
    width=st.integers(2, 90),
    size=st.integers(1, 80),
    seed=st.integers(0),
)
def test_square_is_the_triangle_filter(height, width, size, seed):
    pixels = np.random.default_rng(seed).random((height, width), np.float32)
    expected = triangle(triangle(pixels.astype(float), size).T, size).T * 255
    assert np.abs(to_square(pixels, size) - expected).max() <= 0.501


def test_same_size_is_the_rounded_picture():
    square = NOISE[:40, :40]
    np.testing.assert_array_equal(to_square(square, 40), np.rint(square * 255))


def test_enlarging_is_plain_bilinear():
    square = to_square(NOISE, 128)
    other = resize(NOISE, (128, 128), order=1, mode="edge", anti_aliasing=False) * 255
    assert np.abs(square - other).max() <= 0.51


def test_constant_stays_constant():
    assert (to_square(np.full((33, 77), 0.6, np.float32), 20) == 153).all()


def test_reduction_does_not_alias():
    """The finest stripes, which every second sample would turn black or white, become grey."""
    stripes = np.tile(np.float32([0, 1]), (64, 32))
    inner = to_square(stripes, 24)[:, 2:-2]
    assert np.abs(inner.astype(int) - 128).max() < 32


@given(height=st.integers(1, 60), width=st.integers(1, 60), size=st.integers(4, 40))
def test_pad_keeps_the_aspect_and_centres(height, width, size):
    square = to_square(np.ones((height, width), np.float32), size, pad=True)
    assert square.shape == (size, size)
    assert square.dtype == np.uint8
    rows, columns = square.any(axis=1), square.any(axis=0)
    assert (square[np.ix_(rows, columns)] == 255).all()
    for filled, side in ((rows, height), (columns, width)):
        assert filled.sum() == max(1, round(size * side / max(height, width)))
        before, after = np.argmax(filled), np.argmax(filled[::-1])
        assert 0 <= after - before <= 1


@pytest.mark.real
def test_real_originals_agree_with_a_box_reduction(real):
    files = sorted(real("nih_originals").glob("*.png"))
    assert len(files) == 24
    for path in files:
        film = read_film(path)
        box = film.pixels.reshape(512, 2, 512, 2).mean(axis=(1, 3)) * 255
        pillow = np.asarray(Image.open(path).convert("L").reduce(2), float)
        square = to_square(film.pixels, 512).astype(float)
        assert np.abs(square - box).mean() < 1
        assert np.abs(square - pillow).mean() < 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(195, 184, 51), (100, 90, 256), (1024, 1024, 512), (300, 200, 299)],
)
def test_tensorflow_repeats_the_square(height, width, size):
    """A served model resizes the original itself: same filter, so same grey within rounding."""
    tensorflow = pytest.importorskip("tensorflow")
    pixels = np.random.default_rng(1).random((height, width), np.float32)
    theirs = tensorflow.image.resize(
        pixels[..., None], (size, size), method="bilinear", antialias=True
    )
    ours = to_square(pixels, size)
    assert np.abs(theirs.numpy()[..., 0] * 255 - ours).max() <= 0.51
    assert (np.rint(theirs.numpy()[..., 0] * 255) != ours).mean() < 1e-3


def test_stretch_puts_the_percentiles_at_the_ends():
    spread = stretched(NOISE, 5, 95)
    low, high = np.percentile(NOISE, [5, 95])
    np.testing.assert_allclose(spread, np.clip((NOISE - low) / (high - low), 0, 1), atol=1e-6)
    assert 0.04 < (spread == 0).mean() < 0.06


def test_stretch_leaves_padding_out(tmp_path):
    stored = np.zeros((40, 40), np.uint16)
    stored[10:30, 10:30] = np.arange(1000, 1400).reshape(20, 20)
    header = {"PixelPaddingValue": 0, "WindowCenter": 2048, "WindowWidth": 4096}
    path = save(dicom(stored, **header), tmp_path / "film.dcm")
    pixels = read_film(path, stretch=(0, 100)).pixels
    np.testing.assert_allclose(pixels[10:30, 10:30].ravel(), np.arange(400) / 399, atol=1e-5)
    assert not pixels[:10].any()


def test_stretch_of_two_values_and_bad_percentiles():
    picture = np.zeros((10, 10), np.float32)
    picture[0, 0] = 1
    assert stretched(picture, 1, 50) is picture
    for low, high in ((50, 50), (-1, 99), (2, 101), (float("nan"), 99)):
        with pytest.raises(ValueError, match="percentiles"):
            stretched(picture, low, high)


@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.booleans())
def test_digest_in_pieces_is_that_of_the_whole(seed, rows, across):
    grey = np.random.default_rng(seed).random((rows, 7), np.float32)
    grey = np.asfortranarray(grey) if across else grey
    whole = np.rint(grey * 65535.0).astype("<u2")
    expected = hashlib.sha256(repr(grey.shape).encode() + whole.tobytes()).hexdigest()
    assert Film(grey, None, (), grey).digest == expected == pixel_digest(whole)


def test_digest_is_of_shape_and_pixels(tmp_path):
    grey = np.arange(2048, dtype=np.uint16).reshape(32, 64).astype(np.uint8)
    films = []
    for name, array in {
        "a.png": grey,
        "b.tif": grey.astype(np.uint16) * 257,
        "c.png": np.dstack([grey] * 3),
        "d.png": grey.reshape(64, 32),
        "e.png": grey + np.uint8(1),
    }.items():
        Image.fromarray(array).save(tmp_path / name)
        films.append(read_film(tmp_path / name))
    same, other = {film.digest for film in films[:3]}, {film.digest for film in films[3:]}
    assert len(same) == 1
    assert len(other) == 2
    assert not same & other
    deep = (grey.astype("<u2") * 257).tobytes()
    assert same == {hashlib.sha256(b"(32, 64)" + deep).hexdigest()}
