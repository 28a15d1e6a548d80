"""The gradients of each backend against differences; run again on JAX."""

import keras
import numpy as np
import pytest

from cxrkeras.serving.explain.mapping.gradients import score_gradient
from cxrkeras.serving.explain.maps import Explainer
from data_prep.errors import UserError
from tests.cxrkeras.serving.explain.explained_nets import IMAGES, flattening, network

pytestmark = pytest.mark.jax


def test_gradients_are_the_scores_differences():
    explainer = Explainer(flattening())
    assert explainer.method == "gradcam"
    (features,) = explainer.features(IMAGES[..., None])
    (found,) = score_gradient(explainer.parts.head, [features], 1)
    rng, step = np.random.default_rng(1), 1e-2
    assert np.abs(found).max() > 0.01
    for _ in range(6):
        n, h, w, c = (rng.integers(size) for size in features.shape)
        moved = [features.copy(), features.copy()]
        moved[0][n, h, w, c] += step
        moved[1][n, h, w, c] -= step
        high, low = (
            keras.ops.convert_to_numpy(explainer.parts.head([part], training=False)[0])[n, 1]
            for part in moved
        )
        assert found[n, h, w, c] == pytest.approx((high - low) / (2 * step), abs=2e-3)


def test_both_trunks_get_their_gradient_and_the_maps_agree():
    explainer = Explainer(network(3, 5), "gradcam")
    features = explainer.features(IMAGES[..., None])
    found = score_gradient(explainer.parts.head, features, 2)
    for part, kernel, shape in zip(
        found, explainer.parts.weights, explainer.parts.map_shapes, strict=True
    ):
        expected = kernel[:, 2] / (shape[0] * shape[1])
        np.testing.assert_allclose(part, np.broadcast_to(expected, part.shape), atol=1e-6)


def test_another_backend_is_refused_in_one_line(monkeypatch):
    explainer = Explainer(flattening())
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    with pytest.raises(UserError, match=r"TensorFlow or JAX\. Received: numpy"):
        score_gradient(explainer.parts.head, [], 0)
