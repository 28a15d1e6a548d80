import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels import apply_windowing

from cxrkeras.serving.app.picture import (
    FULL,
    Window,
    field_of_view,
    nearly_flat,
    picture,
    placed,
    windowed,
)

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
    over = placed(heat, np.ones(shape, bool), pad=pad)
    row, column = np.unravel_index(over.argmax(), shape)
    rows, columns, left = (300, 300, 50) if pad else (300, 200, 0)
    assert over.shape == shape
    assert (row, column) == pytest.approx((0.25 * rows, 0.55 * columns - left), abs=2)


@given(st.floats(-1e3, 1e3), st.booleans())
def test_a_level_map_colours_nothing(value, pad):
    film = RAMP[:64, :48]
    grey = np.asarray(picture(film, FULL, None, 0.5))
    share = placed(np.full((3, 3), value, np.float32), np.ones(film.shape, bool), pad=pad)
    painted = np.asarray(picture(film, FULL, share, 1.0))
    assert np.array_equal(painted, np.repeat(grey[..., None], 3, axis=2))


def test_opacity_mixes_film_and_colour_in_proportion():
    heat = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    share = placed(heat, np.ones(RAMP.shape, bool), pad=False)
    clear, half, full = (
        np.asarray(picture(RAMP, FULL, share, opacity), float) for opacity in (0, 0.5, 1)
    )
    inside = (clear != 0).all(-1) & (clear != 255).all(-1)  # not the outline
    assert np.abs(half - (clear + full) / 2)[inside].max() <= 1
    assert np.array_equal(clear[inside], np.repeat(windowed(RAMP, FULL)[..., None], 3, -1)[inside])


def test_inverted_is_the_negative():
    assert np.array_equal(windowed(RAMP, Window(30, 40, inverted=True)),
                          255 - windowed(RAMP, Window(30, 40)))  # fmt: skip


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 600))
def test_the_field_of_view_is_what_the_black_border_leaves(top, left, black):
    """Dark within the film, such as lungs, belongs to it."""
    film = np.full((100, 80), 30_000, np.uint16)
    film[40:60, 40:60] = black
    film[:top] = film[:, :left] = black
    wanted = np.ones(film.shape, bool)
    wanted[:top] = wanted[:, :left] = False
    assert np.array_equal(field_of_view(film), wanted)


@pytest.mark.parametrize("value", [0, 65535])
def test_of_a_film_of_one_grey_all_is_the_field(value):
    assert field_of_view(np.full((8, 8), value, np.uint16)).all()


def test_no_colour_lies_outside_the_field_of_view():
    film = np.full((100, 80), 30_000, np.uint16)
    film[:, :20] = 0
    heat = np.eye(8, dtype=np.float32)[::-1].copy()
    share = placed(heat, field_of_view(film), pad=False)
    painted = np.asarray(picture(film, FULL, share, 1.0))
    assert not painted[:, :19].any()
    assert np.ptp(painted[:, 20:].astype(int), axis=-1).max() > 30


@pytest.mark.parametrize(
    ("values", "unit", "flat"),
    [
        ((0, 0), "weight", True),
        ((10, 10.9), "weight", True),
        ((0, 1e-6), "weight", False),
        ((10, 12), "weight", False),
        ((-0.05, 0.05), "weight", False),
        ((-0.05, 0.05), "logit", True),
        ((-2, -1.5), "logit", False),
    ],
)
def test_maps_that_hardly_vary_are_nearly_flat(values, unit, flat):
    assert nearly_flat(np.array([values], np.float32), unit) is flat
