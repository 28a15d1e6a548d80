import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels import apply_windowing

from cxrkeras.serving.app.picture import FULL, Window, data_url, picture, placed, windowed

RAMP = np.arange(65536, dtype=np.uint16).reshape(256, 256)


@given(level=st.integers(0, 100), width=st.integers(1, 200))
def test_window_and_level_agree_with_pydicom(level, width):
    dataset = Dataset()
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 0
    dataset.BitsStored, dataset.VOILUTFunction = 16, "LINEAR_EXACT"
    dataset.WindowCenter, dataset.WindowWidth = level * 655.35, width * 655.35
    theirs = apply_windowing(RAMP, dataset) / 65535 * 255
    assert np.abs(windowed(RAMP, Window(level, width)) - theirs).max() <= 0.5 + 1e-6


def test_the_whole_range_shows_the_film_as_it_is():
    assert np.array_equal(windowed(RAMP, FULL), np.rint(RAMP / 257.0).astype(np.uint8))


@pytest.mark.parametrize(("shape", "pad"), [((300, 200), False), ((300, 200), True)])
def test_a_map_lies_where_the_model_saw_it(shape, pad):
    heat = np.zeros((10, 10), np.float32)
    heat[2, 5] = 1  # a tenth of the square's side is one cell
    over = placed(heat, shape, pad=pad)
    row, column = np.unravel_index(over.argmax(), shape)
    rows, columns, left = (300, 300, 50) if pad else (300, 200, 0)
    assert over.shape == shape
    assert (row, column) == pytest.approx((0.25 * rows, 0.55 * columns - left), abs=2)


@given(st.floats(-1e3, 1e3), st.booleans())
def test_a_level_map_colours_nothing(value, pad):
    film = RAMP[:64, :48]
    grey = np.asarray(picture(film, FULL, None, 0.5, pad=pad))
    heat = np.full((3, 3), value, np.float32)
    painted = np.asarray(picture(film, FULL, heat, 1.0, pad=pad))
    assert np.array_equal(painted, np.repeat(grey[..., None], 3, axis=2))


def test_opacity_mixes_film_and_colour_in_proportion():
    heat = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    clear, half, full = (
        np.asarray(picture(RAMP, FULL, heat, share, pad=False), float) for share in (0, 0.5, 1)
    )
    inside = (clear != 0).all(-1) & (clear != 255).all(-1)  # not the outline
    assert np.abs(half - (clear + full) / 2)[inside].max() <= 1
    assert np.array_equal(clear[inside], np.repeat(windowed(RAMP, FULL)[..., None], 3, -1)[inside])


def test_the_browser_gets_the_picture_itself():
    film = Image.fromarray(windowed(RAMP, FULL))
    head, _, content = data_url(film).partition(",")
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))), int)
    assert head == "data:image/jpeg;base64"
    assert np.abs(shown - np.asarray(film, int)).mean() < 2
