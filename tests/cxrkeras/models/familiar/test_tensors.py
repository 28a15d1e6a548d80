"""Features as a second output: of maps, of several tensors, of the crops of an image."""

import keras
import numpy as np

from cxrkeras.models.architecture import Architecture
from cxrkeras.models.familiar.tensors import feature_layers, with_features
from cxrkeras.models.network import build_network
from cxrkeras.registry import BACKBONES, HEADS, VIEWS

IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 40, 40, 1)).astype(np.float32)


def test_maps_are_averaged_and_tensors_joined():
    image = keras.Input((40, 40, 1), name="image")
    first = keras.layers.Conv2D(4, 5, name="first")(image)
    second = keras.layers.GlobalMaxPooling2D(name="second")(first)
    output = keras.layers.Dense(2, activation="sigmoid")(second)
    model = keras.Model(image, output)
    maps, top = keras.Model(image, [first, second]).predict(IMAGES, verbose=0)
    found, scores = with_features(model, ("first", "second")).predict(IMAGES, verbose=0)
    np.testing.assert_allclose(found, np.concatenate([maps.mean((1, 2)), top], 1), rtol=1e-5)
    assert (scores == model.predict(IMAGES, verbose=0)).all()
    assert with_features(model, ("third",)) is None


def test_of_several_crops_it_is_the_mean_over_them(pocket):
    views = VIEWS.make("shifts")
    parts = (BACKBONES.make("pocket"),), HEADS.make("gap"), 40
    network = build_network(Architecture(*parts, views=views), {"target": 2})
    layers = feature_layers(network.features)
    found, scores = with_features(network.probability, layers).predict(IMAGES, verbose=0)
    assert found.shape == (3, network.features.output.shape[-1])
    np.testing.assert_array_equal(scores, network.probability.predict(IMAGES, verbose=0))
    alone = build_network(Architecture(*parts[:2], views.seen(40)), {"target": 2})
    alone.features.set_weights(network.features.get_weights())
    side, seen = views.seen(40), []
    for crop in views.crops(40):
        padded = np.pad(IMAGES, ((0, 0), (40, 40), (40, 40), (0, 0)))
        top, left = crop.top + 40, crop.left + 40
        cut = padded[:, top : top + side, left : left + side]
        seen.append(alone.features.predict(cut[:, :, ::-1] if crop.mirrored else cut, verbose=0))
    np.testing.assert_allclose(found, np.mean(seen, axis=0), rtol=1e-4, atol=1e-6)
