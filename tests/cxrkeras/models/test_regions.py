"""What a network looked at: components against SciPy, boxes of planted peaks, the crop."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from scipy import ndimage

from cxrkeras.models.regions import BOX, box_of, cropped, enlarge, heat_of, largest_component
from data_prep.errors import UserError

pytestmark = pytest.mark.jax


def numbers(tensor) -> np.ndarray:
    return ops.convert_to_numpy(tensor)


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 9), st.integers(1, 9), st.floats(0, 1), st.integers(0, 2**31))
def test_components_are_those_of_scipy(height, width, share, seed):
    masks = np.random.default_rng(seed).random((20, height, width)) < share
    found = numbers(largest_component(ops.convert_to_tensor(masks)))
    for mask, one in zip(masks, found, strict=True):
        labels, count = ndimage.label(mask, np.ones((3, 3)))
        sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
        wanted = labels == 1 + sizes.argmax() if count else np.zeros_like(mask)
        np.testing.assert_array_equal(one, wanted)


def test_a_winding_component_is_followed_to_its_end():
    mask = np.zeros((1, 31, 31), bool)
    mask[0, ::2] = True
    mask[0, 1::4, -1] = mask[0, 3::4, 0] = True
    np.testing.assert_array_equal(numbers(largest_component(ops.convert_to_tensor(mask))), mask)


def test_a_map_with_too_many_cells_is_refused():
    with pytest.raises(UserError, match=r"at most 1024 cells\. Received: 33 x 32"):
        largest_component(np.zeros((1, 33, 32), bool))


def looked_at(maps, image, tau=0.7):
    """The box and the crop, by a model as it is saved."""
    given = [keras.Input(one.shape[1:]) for one in (image, *maps)]
    crop = cropped(given[0], given[1:], tau)
    made = keras.Model(given, crop)
    model = keras.Model(given, [made.get_layer(BOX).output, crop])
    return [numbers(one) for one in model([image, *maps])]


def picture(count=1, side=32):
    return np.random.default_rng(0).random((count, side, side, 1), np.float32) * 255


def test_a_planted_peak_gives_its_box_and_an_even_map_the_whole_image():
    maps = np.random.default_rng(0).random((3, 8, 8, 5)).astype(np.float32) * 0.1
    maps[0, 2:4, 5:7, 3] = [[9, 8], [8, -9]]  # negative values count, too
    maps[1, 0, 7, 0] = -3
    maps[1, 4, 1, 1] = 2  # below the share of the largest
    maps[2] = 0.25
    image = picture(3)
    box, crop = looked_at([maps], image)
    np.testing.assert_array_equal(
        box, [[5 / 8, 2 / 8, 7 / 8, 4 / 8], [7 / 8, 0, 1, 1 / 8], [0, 0, 1, 1]]
    )
    np.testing.assert_array_equal(crop[2], image[2])
    assert not np.allclose(crop[0], image[0])
    box, _ = looked_at([maps], image, tau=0.5)
    assert box[1].tolist() == [7 / 8, 0, 1, 1 / 8]  # one cell each: the first counts


def test_several_maps_count_alike_on_the_finest_grid():
    fine, coarse = np.zeros((1, 8, 8, 2), np.float32), np.zeros((1, 4, 4, 1), np.float32)
    fine[0, 2:4, 4:6] = 1000
    coarse[0, 1, 2] = 0.001
    heat = numbers(heat_of([fine, coarse]))[0]
    assert heat.max() == 1
    assert heat[2, 4] == heat[3, 5] == 1
    box, _ = looked_at([fine, coarse], picture(), tau=0.9)
    assert box.tolist() == [[4 / 8, 2 / 8, 6 / 8, 4 / 8]]


def test_the_crop_is_the_box_bilinear():
    image = picture(2)
    box = np.float32([[0.25, 0.5, 0.75, 1], [0, 0, 1, 1]])
    found = numbers(enlarge(ops.convert_to_tensor(image), ops.convert_to_tensor(box)))
    places = (np.arange(32) + 0.5) / 2 - 0.5
    grid = np.meshgrid(np.clip(places + 16, 0, 31), np.clip(places + 8, 0, 31), indexing="ij")
    wanted = ndimage.map_coordinates(image[0, ..., 0].astype(np.float64), grid, order=1)
    np.testing.assert_allclose(found[0, ..., 0], wanted, atol=1e-3)
    np.testing.assert_array_equal(found[1], image[1])
    side = 49  # no power of two: the whole is exact all the same
    image = picture(side=side)
    assert np.array_equal(enlarge(image, ops.convert_to_tensor(box[1:])), image)


@settings(deadline=None, max_examples=20)
@given(st.sets(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=9))
def test_the_box_holds_all_marked_cells_and_touches_them(cells):
    marked = np.zeros((1, 5, 7), np.float32)
    for cell in cells:
        marked[(0, *cell)] = 1
    left, top, right, bottom = numbers(box_of(ops.convert_to_tensor(marked)))[0]
    rows, columns = zip(*cells, strict=True) if cells else ((0, 4), (0, 6))
    wanted = [min(columns) / 7, min(rows) / 5, (max(columns) + 1) / 7, (max(rows) + 1) / 5]
    np.testing.assert_allclose([left, top, right, bottom], wanted, atol=1e-6)
