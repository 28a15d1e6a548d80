"""Pooled features of frozen trunks, computed once for all folds and runs."""

import hashlib
import json
from collections.abc import Iterator

import keras
import numpy as np

from cxrkeras.data.augmentation.shared.layer import Augment
from cxrkeras.data.dataset import PreparedDataset
from cxrkeras.data.pipeline import Images, image_batches
from cxrkeras.models.network import Network
from cxrkeras.runs.experiment import Experiment
from cxrkeras.training.progress import PredictLines
from cxrkeras.training.stages.cache import cache_folder
from cxrkeras.training.stages.plan import FORMAT, on_backend
from data_prep.files import replacing
from data_prep.say import say


def frozen_features(
    network: Network,
    dataset: PreparedDataset,
    experiment: Experiment,
    start: list,
) -> np.ndarray:
    """(1 + V, N, C) float32: the features of every image as it is, then of V augmented views.

    Args:
        network: with its weights loaded.
        dataset: the images; they are decoded only where the features aren't known.
        experiment: image and batch size, augmentation, views, seed.
        start: what identifies the weights, as JSON.
    """
    preset = experiment.target_augment
    views = 0 if preset == "none" else experiment.views
    size, seed = experiment.image_size, experiment.seed
    # Views are drawn batch by batch, so their batch size is part of what they are.
    drawn = [preset, views, experiment.batch_size] if views else []
    identity = [FORMAT, start, dataset.fingerprint, size, seed, drawn, *on_backend().values()]
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    path = cache_folder() / "features" / f"{key}.npy"
    if path.is_file():
        say(f"features of {len(dataset)} images: computed before, reused")
        return np.load(path)
    say(f"features of {len(dataset)} images and {views} augmented views of each: computing them")
    images = Images(dataset.paths, network.features.input_shape[1])
    batches = image_batches(images, np.arange(len(dataset)), experiment.batch_size)
    features = np.stack(list(_views(network, preset, seed, views, batches)))
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, features)
    return features


def _views(network: Network, preset: str, seed: int, views: int, batches) -> Iterator[np.ndarray]:
    model = _Augmented(network.features, Augment(preset))
    model.augment.strength.assign(0.0)
    yield _predict(model, batches, "features")
    model.augment.strength.assign(1.0)
    model.augment.random.state.assign([seed, 0])
    for view in range(views):
        yield _predict(model, batches, f"features, view {view + 1}/{views}")


class _Augmented(keras.Model):
    """Features of augmented images; in a functional model `predict` would switch that off."""

    def __init__(self, features: keras.Model, augment: Augment):
        super().__init__(name="augmented_features")  # its own, with a leading _, TensorFlow refuses
        self.features, self.augment = features, augment

    def call(self, images):
        """(N, S, S, 1) grey 0-255 -> (N, C)."""
        return self.features(self.augment(images, training=True), training=False)


def _predict(model: keras.Model, batches, title: str) -> np.ndarray:
    lines = PredictLines(title)
    try:
        return model.predict(batches, callbacks=[lines], verbose=0)
    finally:
        lines.close()
