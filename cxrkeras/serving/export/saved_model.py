"""A SavedModel for TensorFlow Serving: decoding and preparing inside, labels and thresholds too."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from cxrkeras.data.preparation import Preparation
from cxrkeras.serving.export.decode import Decoder
from data_prep.files import atomic_write_json
from data_prep.films.admission import DEFAULT, Admission

EXTRA = Path("assets.extra", "model.json")


@dataclass(frozen=True)
class Described:
    """A model to export, with what its outputs mean.

    Args:
        model: image (N, S, S, 1), grey 0-255 -> probability (N, K).
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
        return self.model.input_shape[1]

    @property
    def image(self) -> tf.TensorSpec:
        """The input of the signatures that take pixels."""
        return tf.TensorSpec((None, self.side, self.side, 1), tf.float32, name="image")


def write_saved_model(described: Described, folder: Path) -> None:
    """Write a SavedModel with two signatures, tag `serve`.

    `serving_default`: `image` (N, S, S, 1) float32, grey 0-255, prepared as in training.
    `encoded`: `image_bytes` (N,) strings, PNG or JPEG files that `prep` reads.

    Both give `probability` (N, K) float32, `label` (N, K) strings and `threshold` (N, K) float32,
    NaN if there is none; a label is positive if its probability exceeds its threshold. Every
    output has a row for each image, which TensorFlow Serving's batching and its REST rows ask for.
    `encoded` has `valid` (N,) bool too: False, and NaN as probability, where a file can't be used.

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

    def outputs(probability: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = tf.zeros_like(probability[:, 0], tf.int32)
        return {
            "probability": probability,
            "label": tf.gather(labels, rows),
            "threshold": tf.gather(thresholds, rows),
        }

    def serving_default(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return outputs(described.model(image, training=False))

    def encoded(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        images, valid = decoder.batch(image_bytes)
        probability = described.model(images, training=False)
        probability = tf.where(valid[:, None], probability, np.nan)
        return {**outputs(probability), "valid": valid}

    archive = keras.export.ExportArchive()
    archive.track(described.model)
    archive.add_endpoint("serving_default", serving_default, input_signature=[described.image])
    files = tf.TensorSpec((None,), tf.string, name="image_bytes")
    archive.add_endpoint("encoded", encoded, input_signature=[files])
    archive.write_out(str(folder), verbose=False)
    atomic_write_json(folder / EXTRA, described.facts)


class SavedModel:
    """A SavedModel, read back. It keeps the object alive that its signatures need."""

    def __init__(self, folder: Path):
        self._loaded = tf.saved_model.load(str(folder))

    def probability(self, images: np.ndarray) -> np.ndarray:
        """(N, S, S, 1) float32, 0-255 -> (N, K), by `serving_default`."""
        answer = self._loaded.signatures["serving_default"](image=tf.constant(images))
        return answer["probability"].numpy()

    def encoded(self, contents: list[bytes]) -> dict[str, np.ndarray]:
        """N files' bytes -> the outputs of `encoded` by name."""
        answer = self._loaded.signatures["encoded"](image_bytes=tf.constant(contents, tf.string))
        return {name: tensor.numpy() for name, tensor in answer.items()}
