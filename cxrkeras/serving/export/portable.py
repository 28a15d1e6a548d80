"""ONNX and LiteRT: one graph each, `image` -> `probability`, for runtimes without TensorFlow."""

import contextlib
import io
import json
import logging
import tempfile
import warnings
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from cxrkeras.serving.export.saved_model import Described
from data_prep.errors import UserError
from data_prep.files import atomic_write_json


def write_onnx(described: Described, folder: Path) -> None:
    """Write `model.onnx`: `image` (N, S, S, 1) -> `probability` (N, K).

    Its metadata hold `labels` and `thresholds` as JSON lists (null if there is none) in the
    order of the output, and `model.json` as a whole.
    """
    import onnx

    path, signature = folder / "model.onnx", [described.image]
    with _quiet():
        # Through Keras, which mends tf2onnx 1.17: that doesn't know NumPy 2.
        described.model.export(path, format="onnx", verbose=False, input_signature=signature)
    model = onnx.load(path)
    _rename(model.graph, model.graph.input[0], "image")
    _rename(model.graph, model.graph.output[0], "probability")
    thresholds = [None if np.isnan(t) else float(t) for t in described.thresholds]
    properties = {
        "labels": list(described.labels),
        "thresholds": thresholds,
        "model.json": described.facts,
    }
    texts = {name: json.dumps(value, ensure_ascii=False) for name, value in properties.items()}
    onnx.helper.set_model_props(model, texts)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def write_litert(described: Described, folder: Path) -> None:
    """Write `model.tflite`, signature `serving_default`: `image` -> `probability`; `model.json`."""
    archive = keras.export.ExportArchive()
    archive.track(described.model)
    archive.add_endpoint(
        "serving_default",
        lambda image: {"probability": described.model(image, training=False)},
        input_signature=[described.image],
    )
    with tempfile.TemporaryDirectory() as scratch, _quiet():
        archive.write_out(scratch, verbose=False)
        content = tf.lite.TFLiteConverter.from_saved_model(scratch).convert()
    (folder / "model.tflite").write_bytes(content)
    atomic_write_json(folder / "model.json", described.facts)


def run_onnx(folder: Path, images: np.ndarray) -> np.ndarray:
    """What `model.onnx` gives for (N, S, S, 1) images, by ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "model.onnx")
    return session.run(["probability"], {"image": images})[0]


def run_litert(folder: Path, images: np.ndarray) -> np.ndarray:
    """What `model.tflite` gives for (N, S, S, 1) images, by the interpreter in TensorFlow."""
    with warnings.catch_warnings():  # it says that it moves to a package of its own
        warnings.simplefilter("ignore", UserWarning)
        interpreter = tf.lite.Interpreter(model_path=str(folder / "model.tflite"))
    return interpreter.get_signature_runner("serving_default")(image=images)["probability"]


def check_onnx_is_here() -> None:
    """Check that the packages which ONNX takes are installed.

    Raises:
        UserError: naming the extra that brings them.
    """
    try:
        import onnx  # noqa: F401  (asked for, not used)
        import onnxruntime  # noqa: F401
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"ONNX needs a package that isn't installed: {error.name}. "
            "Install: pip install 'cxrkeras[onnx]'"
        ) from error


def _rename(graph, value, name: str) -> None:
    """Give a graph's input or output another name."""
    old = value.name
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [name if other == old else other for other in names]
    value.name = name


@contextlib.contextmanager
def _quiet():
    """Converters report on both streams what concerns only their authors."""
    logger = logging.getLogger("tf2onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
