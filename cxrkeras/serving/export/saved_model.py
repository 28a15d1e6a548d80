"""A SavedModel for TensorFlow Serving: decoding and preparing inside, labels and thresholds too."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from cxrkeras.data.inputs import IMAGE, UNKNOWN, check_inputs, further
from cxrkeras.data.preparation import Preparation
from cxrkeras.serving.export.decode import Decoder
from data_prep.files import atomic_write_json
from data_prep.films.admission import DEFAULT, Admission

EXTRA = Path("assets.extra", "model.json")


@dataclass(frozen=True)
class Described:
    """A model to export, with what its outputs mean.

    Args:
        model: image (N, S, S, 1), grey 0-255, and what it takes beside -> probability (N, K).
        labels: K names.
        thresholds: (K,), NaN where a label has none.
        preparation: of the images that it was trained on.
        facts: all that is known of it, JSON-ready; goes along as `model.json`.
        admission: how large a file's picture may be.
    """

    model: keras.Model
    labels: tuple[str, ...]
    thresholds: np.ndarray
    preparation: Preparation
    facts: Mapping
    admission: Admission = DEFAULT

    @property
    def side(self) -> int:
        """S in pixels."""
        return self.inputs[IMAGE].shape[1]

    @property
    def inputs(self) -> dict[str, tf.TensorSpec]:
        """All that the model takes: `image`, then what may be unknown, (N, 1) each."""
        several = len(self.model.inputs) > 1
        specs = {
            name: tf.TensorSpec(tensor.shape, tf.float32, name=name)
            for tensor in self.model.inputs
            for name in [tensor.name if several else IMAGE]
        }
        return {name: specs[name] for name in check_inputs(list(specs))}

    def __call__(self, image: tf.Tensor, known: Mapping[str, tf.Tensor] | None = None) -> tf.Tensor:
        """The probabilities; what is missing of `known` counts as unknown."""
        extras = further(self.inputs)
        if not extras:
            return self.model(image, training=False)
        ops = keras.ops
        unknown = ops.full((ops.shape(image)[0], 1), UNKNOWN, "float32")
        told = {name: (known or {}).get(name, unknown) for name in extras}
        return self.model({IMAGE: image, **told}, training=False)


def write_saved_model(described: Described, folder: Path) -> None:
    """Write a SavedModel with two signatures, or four, tag `serve`.

    `serving_default`: `image` (N, S, S, 1) float32, grey 0-255, prepared as in training.
    `encoded`: `image_bytes` (N,) strings, PNG or JPEG files that `prep` reads.

    Both give `probability` (N, K) float32, `label` (N, K) strings and `threshold` (N, K) float32,
    NaN if there is none; a label is positive if its probability exceeds its threshold. Every
    output has a row for each image, which TensorFlow Serving's batching and its REST rows ask for.
    `encoded` has `valid` (N,) bool too: False, and NaN as probability, where a file can't be used.

    Of a model that takes more than the image, these two leave all of that unknown, and say in
    `input` (N, E), strings, what it is. `known` and `encoded_known` take it too, (N, 1) float32
    each, as `data.inputs.KNOWN` says; -1 is unknown.

    Args:
        described: the model.
        folder: to be made.
    """
    prepared = described.preparation
    decoder = Decoder(
        prepared.image_size, prepared.pad, prepared.stretch, described.side, described.admission
    )
    # Constants of one row: reshaping strings in the graph corrupts OpenVINO's memory (2026.4).
    labels = tf.constant([described.labels])
    thresholds = tf.constant([described.thresholds], tf.float32)
    specs = described.inputs
    image = specs.pop(IMAGE)
    extras = {"input": tf.constant([list(specs)])} if specs else {}

    def outputs(probability: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = tf.zeros_like(probability[:, 0], tf.int32)
        return {
            "probability": probability,
            "label": tf.gather(labels, rows),
            "threshold": tf.gather(thresholds, rows),
            **{name: tf.gather(values, rows) for name, values in extras.items()},
        }

    def from_pixels(image: tf.Tensor, known: Mapping | None = None) -> dict[str, tf.Tensor]:
        return outputs(described(image, known))

    def from_files(image_bytes: tf.Tensor, known: Mapping | None = None) -> dict[str, tf.Tensor]:
        images, valid = decoder.batch(image_bytes)
        probability = tf.where(valid[:, None], described(images, known), np.nan)
        return {**outputs(probability), "valid": valid}

    archive = keras.export.ExportArchive()
    archive.track(described.model)
    archive.add_endpoint("serving_default", lambda image: from_pixels(image), [image])
    files = tf.TensorSpec((None,), tf.string, name="image_bytes")
    archive.add_endpoint("encoded", lambda image_bytes: from_files(image_bytes), [files])
    if specs:
        archive.add_endpoint("known", taking_all(from_pixels, IMAGE), [{IMAGE: image, **specs}])
        archive.add_endpoint(
            "encoded_known", taking_all(from_files, files.name), [{files.name: files, **specs}]
        )
    archive.write_out(str(folder), verbose=False)
    atomic_write_json(folder / EXTRA, described.facts)


def taking_all(function: Callable, first: str) -> Callable:
    """`function(first, the rest)` as a function of one dictionary of inputs."""

    def of_dictionary(inputs: Mapping):
        rest = {name: tensor for name, tensor in inputs.items() if name != first}
        return function(inputs[first], rest)

    return of_dictionary


class SavedModel:
    """A SavedModel, read back. It keeps the object alive that its signatures need."""

    def __init__(self, folder: Path):
        self._loaded = tf.saved_model.load(str(folder))

    def probability(
        self, images: np.ndarray, known: Mapping[str, np.ndarray] | None = None
    ) -> np.ndarray:
        """(N, S, S, 1) float32, 0-255 -> (N, K), by `serving_default`, or by `known`."""
        name = "known" if known else "serving_default"
        return self._ask(name, {IMAGE: tf.constant(images)}, known)["probability"]

    def encoded(
        self, contents: list[bytes], known: Mapping[str, np.ndarray] | None = None
    ) -> dict[str, np.ndarray]:
        """N files' bytes -> the outputs of `encoded`, or of `encoded_known`, by name."""
        name = "encoded_known" if known else "encoded"
        return self._ask(name, {"image_bytes": tf.constant(contents, tf.string)}, known)

    def _ask(self, name: str, inputs: dict, known: Mapping | None) -> dict[str, np.ndarray]:
        told = {key: tf.constant(values, tf.float32) for key, values in (known or {}).items()}
        answer = self._loaded.signatures[name](**inputs, **told)
        return {key: tensor.numpy() for key, tensor in answer.items()}
