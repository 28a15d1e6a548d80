"""Keras on JAX as on TensorFlow: whole runs, answers of one model on both, what is refused."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from cxrkeras import runtime
from cxrkeras.cli import main
from cxrkeras.runs.folder import check_backend
from cxrkeras.training.crossval import cross_validate
from cxrkeras.training.fitting.batch_norm import batch_norms
from cxrkeras.training.stages.plan import on_backend
from data_prep.errors import UserError
from tests.conftest import ROOT
from tests.cxrkeras.networks import network_of
from tests.cxrkeras.processes import environment_of
from tests.cxrkeras.training.tiny import SIDE, draw

ON_JAX = keras.backend.backend() == "jax"
pytestmark = pytest.mark.shares_runs
WAYS = {
    "regular": {"source": "a={data}/a,b={data}/b"},
    "mixed": {"method": "mixed", "source": ["a={data}/a", "b={data}/b"]},
    "cotrain": {"method": "cotrain", "source": ["a={data}/a", "b={data}/b"]},
}
REAL = ("densenet121", "resnet50", "convnext_tiny", "efficientnet_v2_b0", "mobilenet_v3_small")
RECIPES = {
    "finetune": {"recipe": "finetune"},
    "frozen": {"recipe": "frozen"},
    "self_training": {"uncertain": "self_trained"},
}
ALL = [(method, recipe) for method in WAYS for recipe in ("finetune", "frozen")]
ALL.append(("regular", "self_training"))
ANSWER = """
import sys
from pathlib import Path
from cxrkeras import runtime
runtime.start()
import keras
print(keras.backend.backend(), "tensorflow" in sys.modules)
import numpy as np
from cxrkeras.serving.predictor.loaded import load_model
folder, *runs = map(Path, sys.argv[1:])
images = np.load(folder / "images.npy")
for number, run in enumerate(runs):
    np.save(folder / f"{number}.npy", load_model(run).predict(images))
"""
PLAIN = """
import sys
from pathlib import Path
from cxrkeras import runtime
runtime.start()
import keras
import numpy as np
(folder,) = map(Path, sys.argv[1:])
for path in folder.glob("*.keras"):
    found = keras.models.load_model(path).predict(np.load(folder / "images.npy"), verbose=0)
    np.save(path.with_suffix(".npy"), found)
"""
SAVED_MODEL = """
import sys
from pathlib import Path
import numpy as np
import tensorflow as tf
model, folder = map(Path, sys.argv[1:])
loaded = tf.saved_model.load(str(model))
answer = loaded.signatures["serving_default"](image=tf.constant(np.load(folder / "images.npy")))
np.save(folder / "answer.npy", answer["probability"].numpy())
"""
# An absent package is told from a hidden one only by a finder that comes first.
WITHOUT_TENSORFLOW = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
import numpy as np
import cxrkeras
from cxrkeras import runtime
runtime.start()
net = cxrkeras.build("mobilenet", labels=["a", "b"], image_size=32)
rng = np.random.default_rng(0)
images = rng.uniform(0, 255, (8, 32, 32, 1)).astype(np.float32)
targets = np.float32([[1, 0], [0, 1], [-1, 1], [0, -1]] * 2)  # -1: masked
net.compile("adam", cxrkeras.losses.BatchWeightedBCE())
before = [weights.copy() for weights in net.get_weights()]
loss = net.fit(images, targets, batch_size=4, verbose=0).history["loss"]
assert np.isfinite(loss).all()
assert any((one != other).any() for one, other in zip(before, net.get_weights(), strict=True))
assert net.predict(images, verbose=0).shape == (8, 2)
assert "tensorflow" not in sys.modules
try:
    import cxrkeras.data.pipeline
except cxrkeras.UserError as refused:
    print(refused)
"""


@pytest.fixture(scope="module")
def ways(experiment, data, tmp_path_factory):
    """`ways(method, recipe)`: a finished run; made once."""
    made, caches = {}, tmp_path_factory.mktemp("caches")

    def filled(value):
        if isinstance(value, list):
            return [one.format(data=data) for one in value]
        return value.format(data=data)

    def run(method: str, recipe: str) -> Path:
        name = f"{method}-{recipe}"
        if name not in made:
            choices = {key: filled(value) for key, value in WAYS[method].items()}
            made[name] = tmp_path_factory.mktemp("runs") / name
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("CXRKERAS_CACHE", str(caches))
                chosen = experiment(**choices, **RECIPES[recipe], epochs=2)
                cross_validate(chosen, made[name])
        return made[name]

    return run


@pytest.fixture
def film(tmp_path) -> Path:
    """A picture that no model has seen."""
    pixels = draw({"disc": 1, "bar": 0, "frame": 0}, np.random.default_rng(9))
    Image.fromarray(pixels).save(tmp_path / "film.png")
    return tmp_path / "film.png"


def verb(*words: object) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, words)))
    assert ended.value.code == 0


@pytest.mark.skipif(not ON_JAX, reason="TensorFlow's are test_crossval's")
@pytest.mark.parametrize(("method", "recipe"), ALL)
def test_from_cv_to_report_to_predict_and_heat_maps(ways, film, tmp_path, method, recipe):
    run = ways(method, recipe)
    assert (run / "report.html").read_text().lower().startswith("<!doctype html>")
    known = json.loads((run / "environment.json").read_text())
    assert known["backend"] == "jax"
    assert known["jax"]

    verb("predict", run, film, "--out", tmp_path / "answers.csv")
    assert "disc" in (tmp_path / "answers.csv").read_text()
    verb("explain", run, film, "--labels", "all", "--no-pictures", "--out", tmp_path / "why")
    maps = [np.load(path) for path in (tmp_path / "why").rglob("*.npy")]
    assert maps
    assert all(np.isfinite(one).all() for one in maps)


@pytest.mark.parametrize(
    "names",
    [["cotrain"], pytest.param(["cotrain", "mixed", "layers"], marks=pytest.mark.slow)],
    ids=["one", "all"],
)
def test_the_other_backend_gives_the_same_probabilities(names, runs, tmp_path):
    from cxrkeras.serving.predictor.loaded import load_model

    pytest.importorskip("jax")
    made = [runs(name) / "folds" / "0" for name in names]
    images = np.random.default_rng(0).uniform(0, 255, (3, SIDE, SIDE, 1)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    said = script("tensorflow" if ON_JAX else "jax", ANSWER, tmp_path, *made).stdout
    # On JAX the start of a process imports no TensorFlow.
    assert said.splitlines()[0] == ("tensorflow True" if ON_JAX else "jax False")
    for number, (name, run) in enumerate(zip(names, made, strict=True)):
        answer, own = np.load(tmp_path / f"{number}.npy"), load_model(run).predict(images)
        print(f"{name}: largest difference {np.abs(answer - own).max():.1e}")
        np.testing.assert_allclose(answer, own, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_real_backbones_say_the_same_on_the_other_backend(tmp_path):
    pytest.importorskip("jax")
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (4, 64, 64, 1)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    own = {}
    for backbone in REAL:
        model = network_of((backbone,), 64, {"target": 3}).probability
        own[backbone] = moved(model, images, rng)
        model.save(tmp_path / f"{backbone}.keras")
        assert np.abs(own[backbone] - 0.5).min() > 0.01  # it says something
    script("tensorflow" if ON_JAX else "jax", PLAIN, tmp_path)
    for backbone, expected in own.items():
        found = np.load(tmp_path / f"{backbone}.npy")
        print(f"{backbone}: largest difference {np.abs(found - expected).max():.1e}")
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def moved(model: keras.Model, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Batch norm as if it had seen something, and scores of about 1.

    Not scores that tell these images apart: a MobileNetV3Small with random weights gives features
    that differ between them by rounding alone, which a head would only enlarge.
    """
    for layer in batch_norms(model):
        shape = layer.moving_mean.shape
        layer.moving_mean.assign(rng.normal(0, 0.1, shape))
        layer.moving_variance.assign(rng.uniform(0.5, 1.5, shape))
    dense = model.get_layer("target")
    both = keras.Model(model.inputs[0], [dense.input, model.outputs[0]])  # compiled once
    features, _ = both.predict(images, verbose=0)
    kernel = rng.normal(size=dense.kernel.shape)
    scores = features @ kernel
    dense.set_weights([kernel / np.abs(scores).mean(axis=0), np.zeros(scores.shape[1])])
    return both.predict(images, verbose=0)[1]


@pytest.mark.slow
@pytest.mark.skipif(not ON_JAX, reason="TensorFlow's are in serving/export")
def test_an_export_under_jax_is_read_by_others_and_answers_as_jax_does(ways, tmp_path):
    import onnxruntime

    from cxrkeras.serving.predictor.loaded import load_model

    run = ways("regular", "finetune")
    formats = [word for name in ("saved-model", "onnx", "litert") for word in ("--format", name)]
    words = ["export", run, "--out", tmp_path, "--name", "chest", *formats]
    told = script("jax", "from cxrkeras.cli import main; main()", *words).stderr
    assert "export: Keras runs on tensorflow here, not jax" in told

    images = np.random.default_rng(0).uniform(0, 255, (3, SIDE, SIDE, 1)).astype(np.float32)
    own = load_model(run).predict(images)
    onnx = onnxruntime.InferenceSession(tmp_path / "chest" / "onnx" / "1" / "model.onnx")
    (answer,) = onnx.run(["probability"], {"image": images})
    np.testing.assert_allclose(answer, own, rtol=0, atol=1e-5)
    np.save(tmp_path / "images.npy", images)
    script("tensorflow", SAVED_MODEL, tmp_path / "chest" / "1", tmp_path)
    np.testing.assert_allclose(np.load(tmp_path / "answer.npy"), own, rtol=0, atol=1e-5)
    assert (tmp_path / "chest" / "litert" / "1" / "model.tflite").is_file()


@pytest.mark.slow
def test_a_network_is_built_and_trained_where_tensorflow_is_not_installed():
    pytest.importorskip("jax")
    said = script("jax", WITHOUT_TENSORFLOW).stdout
    assert "TensorFlow isn't installed" in said
    assert said.count("\n") == 1


def script(backend: str, text: str, *words: object) -> subprocess.CompletedProcess:
    """A script in a process of its own, whose Keras runs on another backend."""
    done = subprocess.run(
        [sys.executable, "-c", text, *map(str, words)],
        env={**environment_of(backend), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done


@pytest.mark.slow
@pytest.mark.skipif(ON_JAX, reason="this is that subprocess")
def test_the_same_on_jax(on_jax):
    on_jax(__file__)


def test_a_backend_that_was_not_tried_is_refused_by_name(experiment, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(UserError, match=r"tensorflow or jax here.* says torch\. Set") as refused:
        runtime.start()
    assert "\n" not in str(refused.value)
    with pytest.raises(UserError, match="says torch"):
        cross_validate(experiment(), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(SystemExit) as ended:
        main(["summary"])
    assert ended.value.code == 1
    assert "says torch" in capsys.readouterr().err


def test_the_backend_is_read_as_keras_reads_it(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    assert runtime.backend() == "tensorflow"
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    pytest.importorskip("jax")
    assert runtime.backend() == "jax"
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert runtime.backend() == "tensorflow"


def test_export_takes_tensorflow_and_says_so_unless_keras_runs_already(monkeypatch, capsys):
    pytest.importorskip("jax")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(UserError, match=r"it runs on jax already\. Use `cxrkeras export`"):
        runtime.use_tensorflow("export")
    assert runtime.backend() == "jax"
    monkeypatch.delitem(sys.modules, "keras")
    runtime.use_tensorflow("export")
    assert "export: Keras runs on tensorflow here, not jax" in capsys.readouterr().err
    assert runtime.backend() == "tensorflow"
    runtime.use_tensorflow("export")
    assert capsys.readouterr().err == ""


def test_what_was_made_on_one_backend_is_not_gone_on_with_on_the_other(monkeypatch, tmp_path):
    pytest.importorskip("jax")
    (tmp_path / "environment.json").write_text("{}")  # of a run before there was a choice
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    check_backend(tmp_path)
    assert on_backend() == {}
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(UserError, match=r"begun with Keras on tensorflow, .* uses jax"):
        check_backend(tmp_path)
    assert on_backend() == {"backend": "jax"}
