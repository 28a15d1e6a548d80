"""A client of TensorFlow Serving, over REST (standard library) or gRPC (extra `serve`)."""

import base64
import http.client
import io
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from data_prep.errors import UserError
from data_prep.films.admission import DEFAULT, Admission
from data_prep.films.film import read_film

TIMEOUT = 60.0  # seconds for one request
Batch = Sequence[bytes] | np.ndarray
_LARGEST = 1 << 30  # bytes of a gRPC message; its own limit is 4 MB, less than two films


class ServerRefusal(UserError):
    """The server has the model but refuses this request; another may work."""


@dataclass(frozen=True)
class Remote:
    """What a server says of N images.

    Args:
        labels: K names.
        probability: (N, K) float64, as the model gives them; NaN for images it can't use.
        thresholds: (K,) float64, NaN where a label has none.
        valid: (N,) bool: whether the server could use the image.
        inputs: what the model takes beside the image.
    """

    labels: tuple[str, ...]
    probability: np.ndarray
    thresholds: np.ndarray
    valid: np.ndarray
    inputs: tuple[str, ...] = ()


def as_png(path: Path, admission: Admission = DEFAULT) -> bytes:
    """A DICOM, PNG, JPEG or TIFF file as it may leave the house: its grey, and nothing else.

    16 bits, or 8 where they say as much; upright; no header, no comment, no EXIF. The server
    prepares it. (Where a model was trained with `--stretch`, the padding around a DICOM's picture
    counts as picture there, since a PNG can't tell it apart.)

    Raises:
        RejectedFile: the file can't be used; the message is the reason.
    """
    return grey_png(read_film(path, admission=admission).pixels)


def grey_png(pixels: np.ndarray) -> bytes:
    """The PNG of `as_png` from a film's (H, W) float32 pixels in [0, 1]."""
    shallow, deep = (np.rint(pixels * np.float64(top)) for top in (255, 65535))
    exact = np.array_equal((shallow / 255).astype(np.float32), pixels)
    grey = shallow.astype(np.uint8) if exact else deep.astype(np.uint16)
    content = io.BytesIO()
    Image.fromarray(grey).save(content, "PNG", compress_level=1)
    return content.getvalue()


def predict_remote(
    server: str,
    name: str,
    batch: Batch,
    *,
    known: Mapping[str, np.ndarray] | None = None,
    timeout: float = TIMEOUT,
) -> Remote:
    """Ask a server for one batch, in one request.

    Args:
        server: `http://HOST:8501`, `https://…` or `grpc://HOST:8500`.
        name: the model's name there.
        batch: N >= 1 PNG or JPEG files, which the server prepares; or (N, S, S, 1) grey 0-255,
            prepared already as for training. Films that were decoded here anyway go best as the
            latter, where the model's preparation is known: nothing is rounded on the way.
        known: {input: (N, 1)}, exactly what the model takes beside the image (`Remote.inputs`);
            without it all of that is unknown to the model.
        timeout: seconds.

    Raises:
        ServerRefusal: it refuses this request, e.g. for its size.
        UserError: the server can't be reached, hasn't the model, or that isn't one that `export`
            made.
    """
    scheme, _, host = server.partition("://")
    ask = {"http": _rest, "https": _rest, "grpc": _grpc}.get(scheme)
    if "@" in host:  # it stands in every message and in the process list
        raise UserError("--server takes no user or password: http://HOST:8501 or grpc://HOST:8500.")
    if ask is None or not host:
        raise UserError(
            f"--server must be http://HOST:8501 or grpc://HOST:8500. Received: {server!r}."
        )
    outputs = ask(server, name, batch, known or {}, timeout)
    try:
        return _read(outputs, len(batch))
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise UserError(
            f"{server} didn't answer as a model of `cxrkeras export` does "
            f"({type(error).__name__}). Check the model's name: {name}."
        ) from error


def _read(outputs: dict, rows: int) -> Remote:
    probability = np.asarray(outputs["probability"], np.float64)
    labels = [[_text(name) for name in row] for row in outputs["label"]]
    thresholds = np.asarray(outputs["threshold"], np.float64)
    valid = np.asarray(outputs.get("valid", [True] * rows), bool)
    shape = (rows, len(labels[0]))
    shapes = (probability.shape, thresholds.shape, valid.shape)
    if shapes != (shape, shape, (rows,)) or any(row != labels[0] for row in labels):
        raise ValueError
    inputs = [[_text(name) for name in row] for row in outputs.get("input", [[]])]
    return Remote(tuple(labels[0]), probability, thresholds[0], valid, tuple(inputs[0]))


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _signature(batch: Batch, known: Mapping) -> str:
    """Which of those that `export.saved_model` writes."""
    if isinstance(batch, np.ndarray):
        return "known" if known else "serving_default"
    return "encoded_known" if known else "encoded"


def _rest(server: str, name: str, batch: Batch, known: Mapping, timeout: float) -> dict:
    if isinstance(batch, np.ndarray):
        instances = [{"image": image.tolist()} for image in batch]
    else:
        instances = [{"image_bytes": {"b64": base64.b64encode(c).decode()}} for c in batch]
    for row, instance in enumerate(instances):
        instance |= {key: np.asarray(values[row]).tolist() for key, values in known.items()}
    signature = _signature(batch, known)
    body = json.dumps({"signature_name": signature, "instances": instances}).encode()
    url = f"{server.rstrip('/')}/v1/models/{urllib.parse.quote(name, safe='')}:predict"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            rows = json.load(response)["predictions"]
        return {key: [row[key] for row in rows] for key in rows[0]}
    except urllib.error.HTTPError as error:
        raise _refused(server, _reason(error.read()), missing=error.code == 404) from error
    except http.client.HTTPException as error:  # e.g. the port of gRPC
        raise _unreachable(server, type(error).__name__) from error
    except (OSError, ValueError) as error:  # URLError and timeouts are OSErrors
        reason = getattr(error, "reason", error)
        late = timeout if isinstance(reason, TimeoutError) else None
        raise _unreachable(server, getattr(reason, "strerror", None) or reason, late) from error
    except (KeyError, IndexError, TypeError, AttributeError):
        return {}


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace")


def _grpc(server: str, name: str, batch: Batch, known: Mapping, timeout: float) -> dict:
    try:
        import grpc
        from tensorflow_serving.apis import predict_pb2
    except ImportError as error:
        raise UserError(
            f"grpc:// needs a package that isn't installed: {error.name}. Install: "
            "pip install 'cxrkeras[serve]', or use the REST port: http://HOST:8501."
        ) from error
    from cxrkeras import runtime

    runtime.import_tensorflow()
    import tensorflow as tf

    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = _signature(batch, known)
    for key, values in known.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(values.astype(np.float32)))
    if isinstance(batch, np.ndarray):
        request.inputs["image"].CopyFrom(tf.make_tensor_proto(batch.astype(np.float32)))
    else:
        tensor = tf.make_tensor_proto(list(batch), tf.string, [len(batch)])
        request.inputs["image_bytes"].CopyFrom(tensor)
    sizes = [(f"grpc.max_{way}_message_length", _LARGEST) for way in ("send", "receive")]
    try:
        with grpc.insecure_channel(server.removeprefix("grpc://").rstrip("/"), sizes) as channel:
            answer = _stub(channel).Predict(request, timeout=timeout)
    except grpc.RpcError as error:
        code = error.code()
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            raise _unreachable(server, "", timeout) from error
        if code == grpc.StatusCode.UNAVAILABLE:
            raise _unreachable(server, "unavailable") from error
        missing = code == grpc.StatusCode.NOT_FOUND
        raise _refused(server, error.details(), missing=missing) from error
    return {key: tf.make_ndarray(tensor) for key, tensor in answer.outputs.items()}


def _stub(channel):
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def _refused(server: str, reason: str, *, missing: bool) -> UserError:
    line = f"{server} refused: {' '.join(reason.split())[:200]}"
    if missing:
        return UserError(f"{line}. Check the model's name and that it is loaded.")
    return ServerRefusal(f"{line}. Try a smaller --batch-size.")


def _unreachable(server: str, reason: object, late: float | None = None) -> UserError:
    """`late`: the seconds after which no answer had come."""
    line = " ".join(str(reason).split())
    told = f"gave no answer within {late:g} s" if late else f"gave no usable answer ({line})"
    return UserError(
        f"{server} {told}. "
        "Check address and port (8501 for http, 8500 for grpc) and that the server runs."
    )
