"""The quick PNG reader: Pillow's pixels, or none; never others."""

import io
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cxrkeras.data.png import up_filtered
from tests.cxrkeras.data.pngs import png, up_png


def noise(size: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size), np.uint8)


@given(st.integers(1, 70), st.integers(0, 9))
def test_its_pixels_are_pillow_s(size, seed):
    content = up_png(noise(size, seed))
    found = up_filtered(content, size)
    np.testing.assert_array_equal(found, np.asarray(Image.open(io.BytesIO(content))))
    np.testing.assert_array_equal(found, noise(size, seed))
    assert up_filtered(content, size + 1) is None


@settings(max_examples=300)
@given(st.data())
def test_no_damaged_file_gives_other_pixels(data):
    content = bytearray(up_png(noise(12, 0)))
    place = data.draw(st.integers(0, len(content) - 1))
    cut = data.draw(st.booleans())
    if cut:
        del content[place:]
    else:
        content[place] ^= data.draw(st.integers(1, 255))
    assert up_filtered(bytes(content), 12) is None


@pytest.mark.parametrize(
    "packed",
    [
        zlib.compress(b"\2\0\0" * 2) + b"more",
        zlib.compress(b"\2\0\0" * 3),
        zlib.compress(b"\2\0\0"),
        zlib.compress(b"\2\0\0\4\0\0"),
        zlib.compress(b"\2\0\0" * 2)[:-1],
        b"no",
        zlib.compress(bytes(50_000_000)),
    ],
    ids=["more", "long", "short", "paeth", "cut", "no zlib", "a bomb"],
)
def test_other_contents_are_left_to_libpng(packed):
    assert up_filtered(png((2, 2), packed), 2) is None
    assert up_filtered(png((2, 2), zlib.compress(b"\2\5\6" * 2)), 2).tolist() == [[5, 6], [10, 12]]


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16", "LA", "P", "1"])
def test_files_of_other_writers_are_left_to_libpng(mode):
    buffer = io.BytesIO()
    Image.fromarray(noise(9, 1)).convert(mode).save(buffer, "PNG")
    assert up_filtered(buffer.getvalue(), 9) is None
