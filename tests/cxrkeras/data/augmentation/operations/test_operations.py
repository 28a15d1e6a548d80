"""What every operation promises, other packages' included."""

import keras
import numpy as np
import pytest

from cxrkeras.data.augmentation.operations import Operation
from cxrkeras.data.augmentation.shared.draws import Draws
from cxrkeras.registry import OPERATIONS
from tests.cxrkeras.data.augmentation.drawn import pictures


def applied(operation, images, *, seed=0, strength=1.0):
    images = keras.ops.convert_to_tensor(images)
    stream = keras.random.SeedGenerator(seed)
    return np.asarray(operation.apply(images, Draws(images, stream, strength)))


@pytest.mark.parametrize("name", OPERATIONS.names())
def test_an_operation_changes_images_as_its_stream_and_the_strength_say(name):
    operation, images = OPERATIONS.make(name), pictures(4, 12, 15)
    assert isinstance(operation, Operation)
    assert not operation.neutral()  # by default it does something
    changed = applied(operation, images)
    assert changed.shape == images.shape
    assert changed.dtype == np.float32
    assert np.isfinite(changed).all()
    assert (changed != images).any()
    np.testing.assert_array_equal(applied(operation, images), changed)
    np.testing.assert_array_equal(applied(operation, images, strength=0.0), images)


@pytest.mark.parametrize("name", OPERATIONS.names())
def test_an_operation_is_made_from_its_text(name):
    operation = OPERATIONS.make(name)
    assert str(operation) == name
    assert OPERATIONS.make(str(operation)) == operation
    for option, field in type(operation).model_fields.items():
        assert field.description, option


@pytest.mark.parametrize(
    "text",
    [
        "affine:rotation=0,shift=0,shear=0,zoom=1,hflip=0,vflip=0",
        "brightness:1",
        "brightness:1..1",
        "noise:0",
    ],
)
def test_what_can_change_nothing_is_neutral(text):
    assert OPERATIONS.make(text).neutral()
    images = pictures(3)
    # Resampled where it stands, an image changes by rounding at most.
    np.testing.assert_allclose(applied(OPERATIONS.make(text), images), images, atol=1e-3)


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() == "jax", reason="this is that subprocess")
def test_the_same_on_jax(on_jax):
    on_jax(__file__)
