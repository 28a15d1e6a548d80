"""A small stand-in for TensorFlow Serving: its protocols in front of a SavedModel.

gRPC by the stubs and messages of tensorflow-serving-api; REST as its documentation has it, row by
row, an output's name ending in `_bytes` or not deciding nothing here. It shows that a client and a
SavedModel speak these protocols, not that the real server takes them.
"""

import base64
import json
import threading
import time
from concurrent import futures
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import tensorflow as tf


class Loaded:
    """A SavedModel under a name."""

    def __init__(self, name: str, folder: Path):
        self.name = name
        self._model = tf.saved_model.load(str(folder))

    def ask(self, name: str, signature: str, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        if name != self.name:
            raise LookupError(f"Servable not found for request: Latest({name})")
        function = self._model.signatures[signature]
        if set(inputs) != set(function.structured_input_signature[1]):
            raise ValueError(f"input keys {sorted(inputs)} don't fit the signature {signature}")
        wanted = function.structured_input_signature[1]
        return function(**{key: tf.cast(v, wanted[key].dtype) for key, v in inputs.items()})


@contextmanager
def rest(loaded: Loaded, *, delay: float = 0.0, largest: float = float("inf")):
    """The address of a REST server, which takes `delay` seconds, and bodies up to `largest`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            time.sleep(delay)
            size = int(self.headers["Content-Length"])
            body = json.loads(self.rfile.read(size))
            path, _, verb = self.path.partition(":")
            try:
                if size > largest:
                    raise ValueError("too large")
                assert verb == "predict"
                assert path.startswith("/v1/models/")
                content = {"predictions": _rows(loaded, path.removeprefix("/v1/models/"), body)}
                code = 200
            except LookupError as error:
                code, content = 404, {"error": str(error)}
            except (ValueError, tf.errors.OpError) as error:
                code, content = 400, {"error": str(error)}
            self.send_response(code)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _rows(loaded: Loaded, name: str, body: dict) -> list[dict]:
    rows = [
        {key: _value(value) for key, value in instance.items()} for instance in body["instances"]
    ]
    inputs = {key: tf.constant([row[key] for row in rows]) for key in rows[0]}
    outputs = loaded.ask(name, body["signature_name"], inputs)
    for key, tensor in outputs.items():
        if tensor.shape[0] != len(rows):
            raise ValueError(f"Tensor name: {key} has inconsistent batch size")
    columns = {key: _plain(tensor.numpy().tolist()) for key, tensor in outputs.items()}
    return [{key: column[row] for key, column in columns.items()} for row in range(len(rows))]


def _value(value):
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value


def _plain(value):
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.decode() if isinstance(value, bytes) else value


@contextmanager
def grpc_server(loaded: Loaded):
    """The address of a gRPC server with the real service definition."""
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            spec = request.model_spec
            inputs = {k: tf.constant(tf.make_ndarray(t)) for k, t in request.inputs.items()}
            try:
                outputs = loaded.ask(spec.name, spec.signature_name, inputs)
            except LookupError as error:
                context.abort(grpc.StatusCode.NOT_FOUND, str(error))
            answer = predict_pb2.PredictResponse()
            for key, tensor in outputs.items():
                answer.outputs[key].CopyFrom(tf.make_tensor_proto(tensor.numpy()))
            return answer

    # TensorFlow Serving's own limit is INT_MAX, far from gRPC's default of 4 MB.
    limit = ("grpc.max_receive_message_length", -1)
    server = grpc.server(futures.ThreadPoolExecutor(2), options=[limit])
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"grpc://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
