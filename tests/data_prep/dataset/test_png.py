"""Our PNG files are what another codec reads, pixel by pixel."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from data_prep.dataset.png import png_of
from data_prep.dataset.prepared import read_prepared


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.just(0)))
def test_any_shape_comes_back(square):
    assert_comes_back(square)


@given(st.integers(0, 2**32 - 1), st.integers(1, 70), st.integers(1, 70), st.booleans())
def test_any_grey_comes_back(seed, rows, columns, dark):
    grey = np.random.default_rng(seed).integers(0, 3 if dark else 256, (rows, columns), np.uint8)
    assert_comes_back(grey)
    assert_comes_back(grey.T)


def assert_comes_back(square):
    content = png_of(square)
    with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
        image.verify()
    with Image.open(io.BytesIO(content)) as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), square)


@pytest.mark.real
def test_real_films_are_hardly_larger_than_as_pillow_writes_them(real, tmp_path):
    ours = theirs = 0
    for path in sorted(real("nih_target", "images").glob("*.png"))[::60]:
        square = np.asarray(Image.open(path).convert("L"))
        buffer = io.BytesIO()
        Image.fromarray(square).save(buffer, "PNG")
        (tmp_path / path.name).write_bytes(png_of(square))
        np.testing.assert_array_equal(read_prepared(tmp_path / path.name), square)
        ours += (tmp_path / path.name).stat().st_size
        theirs += len(buffer.getvalue())
    assert ours < 1.1 * theirs
