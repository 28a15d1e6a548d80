"""Pooled features of frozen trunks, computed once for all folds and runs."""

import hashlib
import json
from collections.abc import Iterator

import keras
import numpy as np

from cxrkeras.data.augmentation import Preset
from cxrkeras.data.augmentation.shared.layer import Augment
from cxrkeras.data.dataset import PreparedDataset
from cxrkeras.data.inputs import IMAGE
from cxrkeras.data.pipeline import image_batches
from cxrkeras.models.inputs import inputs_of
from cxrkeras.models.network import Network
from cxrkeras.models.precision import FLOAT32
from cxrkeras.models.views.shared.graph import each_crop
from cxrkeras.training.fitting.compute import Compute
from cxrkeras.training.fitting.progress import PredictLines
from cxrkeras.training.session import Session
from cxrkeras.training.stages.cache import alone, cache_folder
from cxrkeras.training.stages.plan import FORMAT, on_backend
from data_prep.files import replacing
from data_prep.say import say


def frozen_features(
    network: Network,
    session: Session,
    copies: int,
    dataset: PreparedDataset | None = None,
    of_crop: keras.Model | None = None,
) -> np.ndarray:
    """(1 + V, N, C) float32: features of every image as it is, then of V augmented copies.

    Where images have several views, it is the first; the others follow behind the copies.

    Args:
        network: with its weights loaded.
        session: the images, decoded only if their features aren't cached; augmentation and seed.
        copies: V, if the preset changes anything.
        dataset: whose images; the target if None.
        of_crop: where there are several views, a crop, in a list with the other inputs -> (N, C).
    """
    dataset = session.target.dataset if dataset is None else dataset
    preset = session.plan.augment
    copies = copies if preset.active() else 0
    known = identity(session, copies, dataset, of_crop is not None)
    key = hashlib.sha256(json.dumps(known, sort_keys=True).encode())
    path = cache_folder() / "features" / f"{key.hexdigest()[:16]}.npy"
    what = f"features of {len(dataset)} images"
    with alone(path, what):
        if path.is_file():
            say(f"{what}: computed before, reused")
            return np.load(path)
        also = f" and {copies} augmented copies of each" if copies else ""
        say(f"{what}{also}: computing them")
        features = _computed(network, session, copies, dataset, of_crop)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, features)
    return features


def _computed(
    network: Network,
    session: Session,
    copies: int,
    dataset: PreparedDataset,
    of_crop: keras.Model | None,
) -> np.ndarray:
    experiment, preset = session.plan.experiment, session.plan.augment
    own = dataset is session.target.dataset
    images = session.images if own else session.images_of(dataset)
    batches = image_batches(images, np.arange(len(dataset)), experiment.batch_size)
    copied = network
    if copies and experiment.precision != FLOAT32:  # without them: the saved model's, in float32
        copied = session.twins(Compute(experiment.precision)).learning
    both = network, copied
    found = list(_copies(both, preset, experiment.seed, copies, batches))
    if of_crop is not None:
        views = _of_views(of_crop, session)
        found += list(np.moveaxis(_predict(views, batches, "features of views"), 1, 0)[1:])
    return np.stack(found)


def _of_views(of_crop: keras.Model, session: Session) -> keras.Model:
    """Inputs -> (N, V, C) features of each view of an image."""
    architecture = session.plan.architecture
    inputs = inputs_of(architecture.inputs, architecture.image_size)
    ordered = {tensor.name: inputs[tensor.name] for tensor in of_crop.inputs}
    each = each_crop(ordered, of_crop, architecture.views)
    given = inputs if len(inputs) > 1 else inputs[IMAGE]
    return keras.Model(given, keras.ops.transpose(each, (1, 0, 2)), name="of_views")


def identity(
    session: Session, copies: int, dataset: PreparedDataset | None = None, views: bool = False
) -> dict:
    """Everything on which the features of a dataset, or of the target, depend, as JSON."""
    dataset = session.target.dataset if dataset is None else dataset
    plan = session.plan
    inputs, settings = plan.architecture.inputs, plan.experiment.deciding("features")
    if not copies and all(session.weights):
        settings.pop("seed", None)  # there is nothing to draw
    # Copies are drawn batch by batch, so they depend on the batch size.
    drawn = [plan.augment.described(), copies, plan.experiment.batch_size] if copies else []
    return {
        **on_backend(),
        "format": FORMAT,
        "trunks": list(session.start),
        "head": plan.architecture.head.described(),
        "inputs": list(inputs),
        "data": dataset.fingerprint_with(inputs),
        "copies": drawn,
        "settings": settings,
        **({"of": "all views"} if views else {}),
    }


def _copies(
    networks: tuple[Network, Network], preset: Preset, seed: int, copies: int, batches
) -> Iterator:
    """Features of the images by one network, and of their copies by the other."""
    plain, of_copies = networks
    model = _Augmented(plain.features, Augment(preset))
    model.augment.strength.assign(0.0)
    yield _predict(model, batches, "features")
    if of_copies is not plain:
        model = _Augmented(of_copies.features, Augment(preset))
    model.augment.strength.assign(1.0)
    model.augment.random.state.assign([seed, 0])
    for copy in range(copies):
        yield _predict(model, batches, f"features, copy {copy + 1}/{copies}")


class _Augmented(keras.Model):
    """Features of augmented images; in a functional model `predict` would switch that off."""

    def __init__(self, features: keras.Model, augment: Augment):
        super().__init__(name="augmented_features")  # its own, with a leading _, TensorFlow refuses
        self.features, self.augment = features, augment

    def call(self, inputs):
        """Images (N, S, S, 1), grey 0-255, or a dictionary with such -> (N, C)."""
        if isinstance(inputs, dict):
            images = self.augment(inputs[IMAGE], training=True)
            return self.features({**inputs, IMAGE: images}, training=False)
        return self.features(self.augment(inputs, training=True), training=False)


def _predict(model: keras.Model, batches, title: str) -> np.ndarray:
    lines = PredictLines(title)
    try:
        return model.predict(batches, callbacks=[lines], verbose=0)
    finally:
        lines.close()
