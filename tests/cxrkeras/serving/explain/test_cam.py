"""Heat maps against the logit, against each other, against differences and the papers' formulas."""

import keras
import numpy as np
import pytest
from keras import layers

from cxrkeras.serving.explain.mapping.gradients import score_gradient
from cxrkeras.serving.explain.mapping.structure import take_apart
from cxrkeras.serving.explain.maps import Ensemble, Explainer, maps
from data_prep.errors import UserError
from tests.cxrkeras.serving.explain.explained_nets import IMAGES, LABELS, SIDE, flattening, network


def logits(model: keras.Model) -> np.ndarray:
    before = keras.Model(model.input, model.get_layer("target").output)
    return np.asarray(before(IMAGES[..., None]))


@pytest.mark.parametrize(
    "strides", [*(pytest.param(s, marks=pytest.mark.slow) for s in [(5,), (3, 5)]), (2, 3, 5)]
)
def test_the_mean_of_the_map_plus_the_bias_is_the_logit(strides):
    model = network(*strides)
    told = Explainer(model).explain(IMAGES)
    assert told.maps.shape == (5, LABELS, SIDE // strides[0], SIDE // strides[0])
    assert told.maps.dtype == np.float32
    identity = told.maps.mean(axis=(2, 3), dtype=np.float64) + told.bias
    np.testing.assert_allclose(identity, logits(model), atol=1e-4)
    np.testing.assert_allclose(told.scores, logits(model), atol=1e-5)
    expected = np.asarray(model(IMAGES[..., None]))
    np.testing.assert_allclose(told.probability, expected, atol=1e-6)


def test_grad_cam_is_the_positive_part_of_cam_where_both_are_defined():
    model = network(3, 5)
    cam, gradcam = (Explainer(model, method).explain(IMAGES).maps for method in ("cam", "gradcam"))
    np.testing.assert_allclose(gradcam, np.maximum(cam, 0), atol=1e-5)
    assert gradcam.any()


def test_grad_cam_plus_plus_has_a_closed_form_on_pooled_maps():
    model = network(5)
    explainer = Explainer(model, "gradcam++")
    (features,) = explainer.features(IMAGES[..., None])
    (kernel,) = explainer.parts.weights
    below = 2 + kernel * features.mean(axis=(1, 2))[..., None]  # (N, C, K), of relu(w) only
    weights = np.where(kernel > 0, kernel / below, 0)
    expected = np.maximum(np.einsum("nhwc,nck->nkhw", features, weights), 0)
    np.testing.assert_allclose(explainer.explain(IMAGES).maps, expected, rtol=1e-4, atol=1e-6)


def test_grad_cam_plus_plus_is_the_papers_formula():
    explainer = Explainer(flattening(), "gradcam++")
    (a,) = (part.astype(np.float64) for part in explainer.features(IMAGES[..., None]))
    told = explainer.explain(IMAGES).maps
    for label in range(LABELS):
        (g,) = score_gradient(explainer.parts.head, [a.astype(np.float32)], label)
        g = g.astype(np.float64)
        alpha = g**2 / (2 * g**2 + a.sum(axis=(1, 2), keepdims=True) * g**3)
        weights = (alpha * np.maximum(g, 0)).sum(axis=(1, 2))
        expected = np.maximum(np.einsum("nhwc,nc->nhw", a, weights), 0)
        np.testing.assert_allclose(told[:, label], expected, rtol=1e-3, atol=1e-6)


def test_compiled_or_not_and_label_by_label_the_maps_are_the_same():
    explainer = Explainer(network(3, 5))
    whole = explainer.explain(IMAGES).maps
    np.testing.assert_allclose(explainer.explain(IMAGES, traced=True).maps, whole, atol=1e-5)
    np.testing.assert_allclose(explainer.explain(IMAGES[..., None], [2, 0]).maps, whole[:, [2, 0]])
    many = np.concatenate([IMAGES] * 5)  # more than a batch
    np.testing.assert_allclose(explainer.explain(many).maps[20:], whole, atol=1e-5)


def test_an_ensemble_is_the_mean_and_keeps_the_identity():
    models = [network(3, 5, seed=seed) for seed in (1, 2)]
    told = Ensemble([Explainer(model) for model in models]).explain(IMAGES)
    single = [Explainer(model).explain(IMAGES) for model in models]
    np.testing.assert_allclose(told.maps, (single[0].maps + single[1].maps) / 2, atol=1e-5)
    mean = (logits(models[0]) + logits(models[1])) / 2
    np.testing.assert_allclose(told.maps.mean(axis=(2, 3)) + told.bias, mean, atol=1e-4)
    np.testing.assert_allclose(maps(models, IMAGES), told.maps)


def test_members_on_one_trunk_run_it_once(monkeypatch):
    model = network(5)
    dense = layers.Dense(LABELS, name="other")
    other = keras.Model(model.input, layers.Activation("sigmoid")(dense(model.layers[-2].input)))
    first = Explainer(model)
    second = Explainer(other, trunks=[first.parts])
    assert second.parts.trunk is first.parts.trunk
    calls = []
    run = Explainer.features
    monkeypatch.setattr(
        Explainer, "features", lambda self, *a, **k: calls.append(1) or run(self, *a, **k)
    )
    Ensemble([first, second]).explain(IMAGES)
    assert len(calls) == 1
    apart = Explainer(network(5, seed=3), trunks=[first.parts])
    assert apart.parts.trunk is not first.parts.trunk


@pytest.mark.parametrize("wrap", [lambda inner, image: inner(image), None])
def test_a_classifier_inside_another_model_is_opened_up(wrap):
    image = keras.Input((SIDE, SIDE, 1))
    x = layers.Conv2D(4, 3, strides=3, activation="relu")(image)
    x = layers.GlobalAveragePooling2D()(x)
    inner = keras.Model(image, layers.Dense(LABELS, activation="softmax")(x))
    if wrap:
        outer_image = keras.Input((SIDE, SIDE, 1))
        outer = keras.Model(outer_image, wrap(inner, layers.Rescaling(1 / 255)(outer_image)))
    else:
        outer = keras.Sequential([keras.Input((SIDE, SIDE, 1)), layers.Rescaling(1 / 255), inner])
    told = Explainer(outer).explain(IMAGES)
    expected = np.asarray(outer(IMAGES[..., None]))
    np.testing.assert_allclose(told.probability, expected, atol=1e-6)
    scores = told.maps.mean(axis=(2, 3), dtype=np.float64) + told.bias
    softmax = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(softmax, expected, atol=1e-5)


def test_cam_is_refused_where_it_would_not_be_exact():
    with pytest.raises(UserError, match=r"stands between the maps .* --map gradcam"):
        Explainer(flattening(), "cam")
    image = keras.Input((SIDE, SIDE, 1))
    x = layers.Conv2D(4, 3, activation="relu")(image)
    x = layers.Conv2D(LABELS, 1)(layers.GlobalAveragePooling2D(keepdims=True)(x))
    convolved = keras.Model(image, layers.Activation("sigmoid")(layers.Flatten()(x)))
    assert Explainer(convolved).method == "gradcam"
    assert Explainer(convolved).explain(IMAGES).maps.shape == (5, LABELS, 28, 28)


def test_models_of_another_form_are_refused_in_one_line():
    image = keras.Input((SIDE, SIDE, 1))
    plain = keras.Model(image, layers.Dense(2)(layers.Flatten()(image)))
    two = keras.Model(image, [plain(image), plain(image)])
    vector = keras.Input((7,))
    table = keras.Model(vector, layers.Dense(2)(vector))
    for model, reason in ((plain, "no feature map"), (two, "one output"), (table, "not \\(N, H")):
        with pytest.raises(UserError, match=reason) as refusal:
            take_apart(model)
        assert "\n" not in str(refusal.value)
