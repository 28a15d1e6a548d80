"""Pooled features of frozen trunks, computed once for all folds and runs."""

import hashlib
import json
import os
from collections.abc import Iterator

import keras
import numpy as np

from cxrkeras.data.augment import Augment
from cxrkeras.data.dataset import PreparedDataset
from cxrkeras.data.pipeline import Images, image_batches
from cxrkeras.models.network import Network
from cxrkeras.training.cache import cache_folder
from cxrkeras.training.experiment import Experiment
from cxrkeras.training.progress import PredictLines
from cxrkeras.training.say import say
from cxrkeras.training.stages import FORMAT


def frozen_features(
    network: Network,
    images: Images,
    dataset: PreparedDataset,
    experiment: Experiment,
    start: list,
) -> np.ndarray:
    """(1 + V, N, C) float32: the features of every image as it is, then of V augmented views.

    Args:
        network: with its weights loaded.
        images: the dataset's, at the network's size.
        dataset: what identifies the images.
        experiment: image and batch size, augmentation, views, seed.
        start: what identifies the weights, as JSON.
    """
    preset = experiment.target_augment
    views = 0 if preset == "none" else experiment.views
    size, seed = experiment.image_size, experiment.seed
    identity = [FORMAT, start, dataset.fingerprint, size, seed, preset if views else "", views]
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    path = cache_folder() / "features" / f"{key}.npy"
    if path.is_file():
        say(f"features of {len(dataset)} images: computed before, reused")
        return np.load(path)
    say(f"features of {len(dataset)} images and {views} augmented views of each: computing them")
    batches = image_batches(images, np.arange(len(dataset)), experiment.batch_size)
    features = np.stack(list(_views(network, preset, seed, views, batches)))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    with temporary.open("wb") as file:
        np.save(file, features)
    os.replace(temporary, path)
    return features


def _views(network: Network, preset: str, seed: int, views: int, batches) -> Iterator[np.ndarray]:
    augment = Augment(preset)
    image = keras.Input(network.features.input_shape[1:])
    model = keras.Model(image, network.features(augment(image, training=True)))
    augment.strength.assign(0.0)
    yield _predict(model, batches, "features")
    augment.strength.assign(1.0)
    augment.random.state.assign([seed, 0])
    for view in range(views):
        yield _predict(model, batches, f"features, view {view + 1}/{views}")


def _predict(model: keras.Model, batches, title: str) -> np.ndarray:
    return model.predict(batches, callbacks=[PredictLines(title)], verbose=0)
