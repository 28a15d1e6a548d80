"""The head whose logits are scaled cosines."""

import keras
import numpy as np
import pytest

from cxrkeras.models.network import TARGET
from tests.cxrkeras.backbones import known
from tests.cxrkeras.networks import network_of


def test_logits_are_cosines_of_angles_whatever_the_length(monkeypatch):
    known.add("steps", monkeypatch)
    built = network_of(("steps",), 64, {TARGET: 3}, head="cosine:scale=10")
    images = np.random.default_rng(0).uniform(0, 255, (4, 64, 64, 1)).astype(np.float32)
    features = keras.ops.convert_to_numpy(built.features(images)).astype(float)
    directions = built.logits.get_layer(f"{TARGET}-cosine").get_weights()[0].astype(float)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=0), 1, atol=1e-6)
    wanted = 10 * features @ directions / np.linalg.norm(features, axis=1, keepdims=True)
    found = keras.ops.convert_to_numpy(built.logits(images)[TARGET])
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    assert np.abs(found).max() <= 10 * (1 + 1e-6)


@pytest.mark.parametrize("steps", [1, 5])
def test_directions_stay_of_length_one_while_they_learn(monkeypatch, steps):
    known.add("steps", monkeypatch)
    built = network_of(("steps",), 64, {TARGET: 3}, head="cosine")
    layer = built.logits.get_layer(f"{TARGET}-cosine")
    optimizer = keras.optimizers.SGD(0.5)
    rng = np.random.default_rng(0)
    for _ in range(steps):
        gradient = np.float32(rng.normal(size=layer.kernel.shape))
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [layer.kernel])
    np.testing.assert_allclose(np.linalg.norm(layer.get_weights()[0], axis=0), 1, atol=1e-5)
