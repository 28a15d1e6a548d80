"""ONNX and LiteRT: one graph each, `image` -> `probability`, for runtimes without TensorFlow."""

import contextlib
import io
import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from cxrkeras.data.inputs import IMAGE, MEANINGS, further
from cxrkeras.serving.export.saved_model import Described
from data_prep.errors import UserError
from data_prep.files import atomic_write_json

BATCH = "batch"
"""What the first axis of an ONNX file's inputs and outputs is called."""


def write_onnx(described: Described, folder: Path) -> None:
    """Write `model.onnx`: `image` (N, S, S, 1), and what the model takes beside -> `probability`
    (N, K). The first axis of each is called `batch`, and may have any length.

    Its metadata hold `labels` and `thresholds` as JSON lists (null if there is none) in the
    order of the output, `inputs` with what each further input means, where there are any, and
    `model.json` as a whole.
    """
    import onnx

    path, signature = folder / "model.onnx", _signature(described)
    with _quiet():
        # Through Keras, which mends tf2onnx 1.17: that doesn't know NumPy 2.
        described.model.export(path, format="onnx", verbose=False, input_signature=signature)
    model = onnx.load(path)
    _name_inputs(model.graph, described)
    _rename(model.graph, model.graph.output[0], "probability")
    _name_batch(model.graph)
    thresholds = [None if np.isnan(t) else float(t) for t in described.thresholds]
    properties = {
        "labels": list(described.labels),
        "thresholds": thresholds,
        **_meanings(described),
        "model.json": described.facts,
    }
    texts = {name: json.dumps(value, ensure_ascii=False) for name, value in properties.items()}
    onnx.helper.set_model_props(model, texts)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def write_litert(described: Described, folder: Path) -> None:
    """Write `model.tflite`, signature `serving_default`: `image`, and what the model takes
    beside -> `probability`; `model.json`, which names the inputs.
    """
    archive = keras.export.ExportArchive()
    archive.track(described.model)
    specs = list(described.inputs.values())
    archive.add_endpoint("serving_default", _answering(described), input_signature=specs)
    with tempfile.TemporaryDirectory() as scratch, _quiet():
        archive.write_out(scratch, verbose=False)
        content = tf.lite.TFLiteConverter.from_saved_model(scratch).convert()
    (folder / "model.tflite").write_bytes(content)
    atomic_write_json(folder / "model.json", described.facts)


def _answering(described: Described) -> Callable:
    """The model as a function of its inputs, in the order of `Described.inputs`."""
    extras = further(described.inputs)

    def answer(image, *known):
        return {"probability": described(image, dict(zip(extras, known, strict=True)))}

    return answer if extras else lambda image: answer(image)


def _signature(described: Described) -> list:
    """As Keras's own export takes it: the only input, or all in a dictionary."""
    specs = described.inputs
    return [specs] if len(specs) > 1 else list(specs.values())


def _name_inputs(graph, described: Described) -> None:
    for value in graph.input:
        dims = len(value.type.tensor_type.shape.dim)
        _rename(graph, value, IMAGE if dims == 4 else value.name.partition(":")[0])


def _name_batch(graph) -> None:
    """One name for the first axis of all inputs and outputs, where tf2onnx gives each its own."""
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH


def _meanings(described: Described) -> dict[str, dict[str, str]]:
    meant = {name: MEANINGS.get(name, "") for name in further(described.inputs)}
    return {"inputs": meant} if meant else {}


def run_onnx(
    folder: Path, images: np.ndarray, known: Mapping[str, np.ndarray] | None = None
) -> np.ndarray:
    """What `model.onnx` gives for (N, S, S, 1) images, by ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "model.onnx")
    return session.run(["probability"], {"image": images, **(known or {})})[0]


def run_litert(
    folder: Path, images: np.ndarray, known: Mapping[str, np.ndarray] | None = None
) -> np.ndarray:
    """What `model.tflite` gives for (N, S, S, 1) images, by the interpreter in TensorFlow."""
    with warnings.catch_warnings():  # it says that it moves to a package of its own
        warnings.simplefilter("ignore", UserWarning)
        interpreter = tf.lite.Interpreter(model_path=str(folder / "model.tflite"))
    run = interpreter.get_signature_runner("serving_default")
    return run(image=images, **(known or {}))["probability"]


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
