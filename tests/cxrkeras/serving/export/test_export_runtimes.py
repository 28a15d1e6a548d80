"""Runtimes that know nothing of Keras load the SavedModel and answer as Keras does."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from tests.cxrkeras.serving.served_runs import LABELS, SIDE

pytestmark = pytest.mark.shares_proof

HERE = Path(__file__).parent
TOLERANCE = {"rtol": 0, "atol": 1e-6}
BROKEN = 2  # the row of `contents` that a test spoils


@pytest.fixture(scope="module")
def signatures(proof):
    """{signature: its `SignatureDef`}, read from the protocol buffer."""
    model = SavedModel()
    model.ParseFromString((proof.folder / "saved_model.pb").read_bytes())
    (graph,) = model.meta_graphs
    assert list(graph.meta_info_def.tags) == ["serve"]
    return dict(graph.signature_def)


def spoiled(proof) -> list[bytes]:
    return [b"broken" if row == BROKEN else c for row, c in enumerate(proof.contents)]


def with_nan(probability: np.ndarray) -> np.ndarray:
    expected = probability.copy()
    expected[BROKEN] = np.nan
    return expected


@pytest.mark.slow
def test_a_tf1_session_with_the_serve_tag(proof, signatures):
    def ask(session, signature, value):
        outputs = {name: info.name for name, info in signature.outputs.items()}
        (given,) = signature.inputs.values()
        return session.run(outputs, {given.name: value})

    graph = tf.Graph()
    with tf.compat.v1.Session(graph=graph) as session:
        tf.compat.v1.saved_model.loader.load(session, ["serve"], str(proof.folder))
        floats = ask(session, signatures["serving_default"], proof.images)
        files = ask(session, signatures["encoded"], spoiled(proof))
    assert sorted(floats) == ["label", "probability", "threshold"]
    np.testing.assert_allclose(floats["probability"], proof.probability, **TOLERANCE)
    np.testing.assert_allclose(files["probability"], with_nan(proof.probability), **TOLERANCE)
    assert files["valid"].tolist() == [row != BROKEN for row in range(5)]
    for answer in (floats, files):
        assert [[n.decode() for n in row] for row in answer["label"]] == [list(LABELS)] * 5
        expected = np.tile(np.float32([0.375, np.nan, 0.0625]), (5, 1))
        np.testing.assert_array_equal(answer["threshold"], expected)


@pytest.fixture(scope="module")
def c_program(tmp_path_factory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler (cc or gcc) on this machine")
    package = Path(tf.sysconfig.get_include()).parent
    libraries = [package / "libtensorflow_cc.so.2", package / "libtensorflow_framework.so.2"]
    if not all(library.is_file() for library in libraries):
        pytest.skip(f"this TensorFlow has no {libraries[0].name}")
    program = tmp_path_factory.mktemp("c") / "load_saved_model"
    include, here = f"-I{package / 'include'}", f"-Wl,-rpath,{package}"
    words = [compiler, HERE / "load_saved_model.c", include, *libraries, here, "-o", program]
    if shutil.which("ld.gold"):  # five times as fast with a library of a gigabyte
        words.append("-fuse-ld=gold")
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return program


@pytest.mark.slow
@pytest.mark.parametrize("name", ["serving_default", "encoded"])
def test_tensorflows_c_api(name, proof, signatures, c_program, tmp_path):
    signature = signatures[name]
    (given,) = signature.inputs.values()
    contents = spoiled(proof)
    if name == "encoded":
        files = [tmp_path / str(row) for row in range(5)]
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content)
    else:
        files = [tmp_path / "images"]
        files[0].write_bytes(proof.images.tobytes())
    kind = "files" if name == "encoded" else "floats"
    wanted = signature.outputs["probability"].name
    words = [c_program, proof.folder, kind, given.name, wanted, "5", str(SIDE), *files]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer = np.array([[float(n) for n in line.split()] for line in done.stdout.splitlines()])
    expected = with_nan(proof.probability) if name == "encoded" else proof.probability
    np.testing.assert_allclose(answer, expected, **TOLERANCE)


OPENVINO = """
import sys
import numpy as np
import openvino
folder, images, answer = sys.argv[1:]
core = openvino.Core()
model = core.read_model(folder)
assert sorted(output.any_name for output in model.outputs) == ["label", "probability", "threshold"]
for result in model.get_results():  # its CPU plugin has no strings
    if "probability" not in result.input(0).get_source_output().get_names():
        model.remove_result(result)
exact = {"INFERENCE_PRECISION_HINT": "f32"}  # where the processor has bfloat16, that is its default
np.save(answer, core.compile_model(model, "CPU", exact)(np.load(images))[0])
"""


def test_openvinos_runtime(proof, tmp_path):
    """In a process of its own: OpenVINO and TensorFlow in one process end in a crash."""
    if not importlib.util.find_spec("openvino"):  # not imported here: see above
        pytest.skip("package openvino (extra test-serving) isn't installed")
    images, answer = tmp_path / "images.npy", tmp_path / "answer.npy"
    np.save(images, proof.images)
    words = [sys.executable, "-c", OPENVINO, proof.folder, images, answer]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(answer), proof.probability, **TOLERANCE)
