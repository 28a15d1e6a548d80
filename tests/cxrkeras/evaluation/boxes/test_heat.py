"""Grids: means are kept, and enlarging is what SciPy makes of it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import map_coordinates

from cxrkeras.evaluation.boxes.heat import enlarged, peak, regrid, to_bytes_scale

SIZES = st.integers(1, 9)
VALUES = st.floats(-50, 50, width=32)
GRIDS = st.tuples(SIZES, SIZES).flatmap(lambda shape: arrays(np.float64, shape, elements=VALUES))


@given(heat=GRIDS, height=SIZES, width=SIZES)
def test_regridding_keeps_the_mean_and_the_range(heat, height, width):
    new = regrid(heat, height, width)
    assert new.shape == (height, width)
    assert np.isclose(new.mean(), heat.mean(), atol=1e-9)
    assert new.min() >= heat.min() - 1e-9
    assert new.max() <= heat.max() + 1e-9


@given(heat=GRIDS, factor=st.integers(1, 4))
def test_a_whole_factor_repeats_the_cells_and_comes_back(heat, factor):
    fine = regrid(heat, factor * heat.shape[0], factor * heat.shape[1])
    np.testing.assert_allclose(fine, np.kron(heat, np.ones((factor, factor))), atol=1e-9)
    np.testing.assert_allclose(regrid(fine, *heat.shape), heat, atol=1e-9)


def test_a_cell_is_the_mean_of_what_it_covers():
    # three cells become two: each takes one whole cell and half of the middle one
    np.testing.assert_allclose(regrid(np.array([[3.0, 6.0, 12.0]]), 1, 2), [[4.0, 10.0]])


@given(heat=GRIDS, side=st.integers(9, 40))
def test_enlarging_is_linear_between_the_centres_of_cells(heat, side):
    rows, columns = ((np.arange(side) + 0.5) * n / side - 0.5 for n in heat.shape)
    places = np.meshgrid(rows, columns, indexing="ij")
    expected = map_coordinates(heat, places, order=1, mode="nearest")
    np.testing.assert_allclose(enlarged(heat, side), expected, atol=2e-4)


@given(heat=arrays(np.float64, (3, 5), elements=st.integers(-50, 50), unique=True))
def test_the_peak_is_where_the_enlarged_map_is_highest(heat):
    x, y = peak(heat, 45)  # cells of 9 x 15 pixels have a middle one
    large = enlarged(heat, 45)
    assert large[int(y), int(x)] == large.max()


def test_a_level_map_points_nowhere_and_has_no_scale():
    level = np.full((2, 3), 7.0)
    assert peak(level, 10) is None
    assert not to_bytes_scale(level).any()


def test_the_scale_runs_from_the_lowest_to_the_highest_value():
    scaled = to_bytes_scale(np.array([[-2.0, 0.0], [2.0, 1.0]]))
    np.testing.assert_allclose(scaled, [[0, 127.5], [255, 191.25]])
