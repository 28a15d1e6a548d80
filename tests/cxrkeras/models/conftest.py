"""A backbone small enough to trace in no time, in the registry while these tests run."""

import keras
import pytest

from cxrkeras.models.backbones.registry import BACKBONES, Backbone

WIDTH = 16


def pocket_backbone(*, include_top, weights, input_shape) -> keras.Model:
    """A strided convolution, batch-norm and ReLU, called as `keras.applications` are."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Conv2D(WIDTH, 5, strides=4),
            layers.BatchNormalization(),
            layers.ReLU(),
        ]
    )


@pytest.fixture
def pocket(monkeypatch):
    """`pocket`: a backbone with `WIDTH` features."""
    monkeypatch.setattr(keras.applications, "Pocket", pocket_backbone, raising=False)
    monkeypatch.setitem(BACKBONES, "pocket", Backbone("Pocket", "tf"))
