"""Fits a head on features that are computed once, on trunks that don't change."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from scipy.special import expit

from cxrkeras.data.inputs import IMAGE
from cxrkeras.data.labels.targets import Targets
from cxrkeras.data.pipeline import Features, Part
from cxrkeras.models.architecture import WHOLE
from cxrkeras.models.familiar.tensors import feature_layers
from cxrkeras.models.inputs import inputs_of
from cxrkeras.models.network import TARGET, Classified, Network, build_network, classifiers
from cxrkeras.models.views.shared.graph import VIEW, mean_over_crops
from cxrkeras.training.fitting.learner import Learner
from cxrkeras.training.recipes import Fitter, Learned
from cxrkeras.training.recipes.shared.pooled.features import frozen_features
from cxrkeras.training.recipes.shared.saving import save_keras
from cxrkeras.training.session import Learnt, Session, part

_LEVEL = 1e-6  # a spread, relative to the mean, that is only rounding error


class Pooled(Fitter):
    """A `Fitter` of the head alone.

    It learns on features standardised over the training images, which doesn't change what the
    network can express: afterwards the scaling is folded into the dense layer, exactly, or, if the
    head is more than that layer, put before it. What else is known of the images is scaled up until
    it varies as much in all as the image's features do, or a handful of numbers among thousands
    would be learnt too slowly to count. In an epoch each image is seen about once, as it is
    or as one of its augmented copies. `facts` gives the number of features in the last fit, and how
    many don't vary over the training images.
    """

    def __init__(self, session: Session, copies: int):
        plan = session.plan
        self._session, self._network = session, session.network()
        self._views = plan.architecture.views
        self._taken = plan.architecture.inputs, plan.architecture.image_size
        self._of_crop = _of_a_crop(self._network, session)
        found = frozen_features(self._network, session, copies, of_crop=self._of_crop)
        more = len(self._views.crops(plan.architecture.image_size)) - 1
        self._copies, self._others = found[: len(found) - more], found[len(found) - more :]
        for rows in session.rows:
            taught = frozen_features(self._network, session, copies, rows.whole)[:, rows.rows]
            self._copies = np.concatenate([self._copies, taught], axis=1)
        self.facts: dict = {}
        self._known = _known_columns(self._network.features)
        self._head, self._logits, teaching = self._graphs(session)
        if self._of_crop is None:
            self._digest = digest_of(self._network.features)
        self._learner = self._learning(teaching)

    def _learning(self, teaching: keras.Model | None) -> Learner:
        """What fits the head."""
        plan, target = self._session.plan, self._session.target
        rows = np.arange(len(target.dataset))
        everything = part(Features(self._copies[0]), rows, target.targets)
        return Learner(self._head, plan, [everything], small=True, teaching=teaching)

    def _graphs(self, session: Session) -> tuple[keras.Model, keras.Model, keras.Model | None]:
        """What learns, of it features (N, C) -> logits (N, K), and what learns in its place."""
        inputs = keras.Input(self._copies.shape[2:])
        found = on_features(session, inputs)
        head = keras.Model(inputs, found.learned[TARGET], name="head")
        return keras.Model(inputs, found.outputs), head, found.teaching([inputs])

    def fit(self, train: np.ndarray, validation: np.ndarray, targets: Targets, **how) -> Learned:
        """See `Fitter.fit`; also puts the head on the network."""
        standard = self._standardised(self._session.learnt(train, targets))
        learned, held = self._parts(standard, train, validation, targets)
        history = self._learner.learn(learned, held, **how)
        if self._is_dense():
            self._fold_scaling(*self._head.get_layer(TARGET).get_weights())
        distortion = self._learner.distortions(learned)[TARGET]
        return Learned(history, targets[train], distortion, self._session.beside)

    def _standardised(self, learnt: Learnt) -> np.ndarray:
        """(1 + V, N, C): the features, with mean 0 and spread 1 over what is learnt from."""
        width, values = self._copies.shape[2], self._copies[0, learnt.index]
        if learnt.weights is None:
            mean, scale = values.mean(axis=0), values.std(axis=0)
        else:
            mean = np.average(values, axis=0, weights=learnt.weights)
            square = np.average(np.square(values - mean), axis=0, weights=learnt.weights)
            mean, scale = np.float32(mean), np.float32(np.sqrt(square))
        # Relative, since features of a random trunk differ only in the eleventh decimal.
        constant = scale <= _LEVEL * np.abs(mean)
        features = {"all": width, "constant": int(constant.sum())}
        self.facts = {"features": features, **self._session.facts}
        self._mean, self._scale = mean, np.where(constant, 1.0, scale)
        varying = np.bincount(self._known[~constant], minlength=2)
        if varying.all():
            self._scale[self._known & ~constant] *= np.sqrt(varying[1] / varying[0])
        return (self._copies - mean) / self._scale

    def _parts(
        self, standard: np.ndarray, train: np.ndarray, validation: np.ndarray, targets: Targets
    ) -> tuple[list[Part], list[Part]]:
        """What is learnt from, and what steers, of (1 + V, N, C) standardised features."""
        copies, images, width = standard.shape
        features = Features(standard.reshape(-1, width), images)
        learnt = self._session.learnt(train, targets)
        seen = np.concatenate([learnt.index + copy * images for copy in range(copies)])
        taught, weights = learnt.targets[np.tile(np.arange(len(learnt.index)), copies)], None
        epoch = len(learnt.index)
        if learnt.weights is not None:
            epoch, weights = round(learnt.weights.sum()), np.tile(learnt.weights, copies)
        learned = Part(TARGET, features, seen, taught, epoch=epoch, weights=weights)
        return [learned], [part(features, validation, targets)] if len(validation) else []

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """See `Fitter.predict`; computed from the features."""
        first = expit(self._of_films(rows))
        if not len(self._others):
            return first
        return np.mean([first, *(expit(self._logits_of(v[rows])) for v in self._others)], axis=0)

    def _of_films(self, rows: np.ndarray) -> np.ndarray:
        """(n, K) logits of images as they are."""
        return self._logits_of(self._copies[0, rows])

    def _logits_of(self, features: np.ndarray) -> np.ndarray:
        if self._is_dense():
            kernel, bias = self._network.logits.get_layer(TARGET).get_weights()
            return features @ kernel + bias
        return self._logits.predict((features - self._mean) / self._scale, verbose=0)

    def features(self, rows: np.ndarray) -> np.ndarray:
        """See `Fitter.features`; the mean over the views of an image."""
        return np.mean([self._copies[0, rows], *(v[rows] for v in self._others)], axis=0)

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """See `Fitter.feature_layers`."""
        seen = self._network.features if self._of_crop is None else self._of_crop
        return feature_layers(seen)

    def save(self, folder: Path) -> dict:
        """See `Fitter.save`; the folds of a run share all but the head, where it sees one view."""
        features = self._network.features
        said = save_keras(self.model(), folder)
        if self._of_crop is not None:
            return said
        shared = {"digest": self._digest, "features": features.layers[-1].name}
        return said | {"frozen": shared}

    def weights(self) -> list[np.ndarray]:
        """Those of the head, as it learns: on standardised features."""
        return self._head.get_weights()

    def _is_dense(self) -> bool:
        """Whether the head is one dense layer (and its neighbour, which only the loss sees)."""
        learning = [layer for layer in self._logits.layers if layer.weights]
        return [layer.name for layer in learning] == [TARGET] and isinstance(
            learning[0], keras.layers.Dense
        )

    def _fold_scaling(self, kernel: np.ndarray, bias: np.ndarray) -> None:
        kernel, bias = np.float64(kernel) / self._scale[:, None], np.float64(bias)
        folded = [kernel, bias - self._mean @ kernel]
        self._network.logits.get_layer(TARGET).set_weights(folded)

    def model(self) -> keras.Model:
        """Inputs -> (N, K) probabilities by the last fit."""
        network = self._network
        if self._is_dense():
            return network.probability
        seen = network.features if self._of_crop is None else self._of_crop
        logits = self._logits(self._standard()(seen.output))
        output = keras.layers.Activation("sigmoid", name="probability")(logits)
        name = network.probability.name
        if self._of_crop is None:
            return keras.Model(network.features.input, output, name=name)
        view = keras.Model(list(seen.inputs), output, name=VIEW)
        inputs = inputs_of(*self._taken)
        ordered = {tensor.name: inputs[tensor.name] for tensor in seen.inputs}
        mean = mean_over_crops(ordered, view, self._views)
        return keras.Model(inputs if len(inputs) > 1 else inputs[IMAGE], mean, name=name)

    def _standard(self) -> keras.layers.Layer:
        scale = [float(value) for value in 1 / self._scale]
        offset = [float(value) for value in -self._mean / self._scale]
        return keras.layers.Rescaling(scale, offset, name="standardised")


def _of_a_crop(network: Network, session: Session) -> keras.Model | None:
    """Where images have several views: what gives features of one, see `frozen_features`."""
    architecture = session.plan.architecture
    views, size = architecture.views, architecture.image_size
    if len(views.crops(size)) == 1:
        return None
    features, side = network.features, views.seen(size)
    if side != size:
        labels = {TARGET: len(session.target.dataset.labels)}
        alone = build_network(replace(architecture, image_size=side, views=WHOLE), labels)
        alone.features.set_weights(features.get_weights())
        features = alone.features
    return keras.Model(list(features.inputs), features.output, name="of_crop")


def _known_columns(features: keras.Model) -> np.ndarray:
    """(C,) bool: which features are what is known beside the image."""
    columns = np.zeros(features.output.shape[-1], bool)
    joined = features.layers[-1].input
    if "known" not in {layer.name for layer in features.layers} or not isinstance(joined, list):
        return columns
    ends = np.cumsum([tensor.shape[-1] for tensor in joined])
    known = features.get_layer("known").output
    for tensor, end in zip(joined, ends, strict=True):
        if tensor is known:
            columns[end - tensor.shape[-1] : end] = True
    return columns


def on_features(session: Session, features: keras.KerasTensor) -> Classified:
    """The target's classifiers on given features."""
    target = session.target
    return classifiers(
        session.plan.architecture,
        features,
        {TARGET: len(target.dataset.labels)},
        {TARGET: target.targets.three_way},
    )


def digest_of(model: keras.Model) -> str:
    """SHA-256 of a model's layers, what they are told and how they are joined, and its weights.

    Layers count by their place, not by their name, since Keras numbers some names per process.
    """
    places = {name: number for number, name in enumerate(_names(model))}
    graph = json.dumps(_placed(model.get_config(), places), sort_keys=True)
    digest = hashlib.sha256(graph.encode())
    for values in model.get_weights():
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _names(model: keras.Model) -> Iterator[str]:
    yield model.name
    for operation in model.operations:
        yield from _names(operation) if isinstance(operation, keras.Model) else (operation.name,)


def _placed(config: Any, places: Mapping[str, int]) -> Any:
    """A configuration with layers' places for their names."""
    if isinstance(config, Mapping):
        return {name: _placed(value, places) for name, value in config.items()}
    if isinstance(config, list | tuple):
        return [_placed(value, places) for value in config]
    return places.get(config, config) if isinstance(config, str) else config
