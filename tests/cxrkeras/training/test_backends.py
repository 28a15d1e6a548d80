"""Keras on JAX as on TensorFlow: whole runs, answers of one model on both, what is refused."""

import json
import os
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
from cxrkeras.training.stages.plan import on_backend
from data_prep.errors import UserError
from tests.conftest import ROOT
from tests.cxrkeras.training.tiny import SIDE, draw

ON_JAX = keras.backend.backend() == "jax"
pytestmark = pytest.mark.shares_runs
WAYS = {
    "regular": {"source": "a={data}/a,b={data}/b"},
    "mixed": {"method": "mixed", "source": ["a={data}/a", "b={data}/b"]},
    "cotrain": {"method": "cotrain", "source": ["a={data}/a", "b={data}/b"]},
}
ANSWER = """
import sys
from pathlib import Path
from cxrkeras import runtime
runtime.start()
import numpy as np
from cxrkeras.serving.predictor.loaded import load_model
folder, *runs = map(Path, sys.argv[1:])
images = np.load(folder / "images.npy")
for run in runs:
    np.save(folder / f"{run.name}.npy", load_model(run).predict(images))
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
                cross_validate(experiment(**choices, recipe=recipe, epochs=2), made[name])
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
@pytest.mark.parametrize("recipe", ["finetune", "frozen"])
@pytest.mark.parametrize("method", WAYS)
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


def test_the_other_backend_gives_the_same_probabilities(runs, tmp_path):
    from cxrkeras.serving.predictor.loaded import load_model

    pytest.importorskip("jax")
    made = [runs("cotrain"), runs("layers")]
    images = np.random.default_rng(0).uniform(0, 255, (3, SIDE, SIDE, 1)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    other = "tensorflow" if ON_JAX else "jax"
    environment = {"KERAS_BACKEND": other, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", ANSWER, tmp_path, *made],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for run in made:
        answer, own = np.load(tmp_path / f"{run.name}.npy"), load_model(run).predict(images)
        np.testing.assert_allclose(answer, own, rtol=0, atol=1e-5)


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


def test_export_on_jax_says_how_to_do_it(monkeypatch):
    pytest.importorskip("jax")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(UserError, match="KERAS_BACKEND=tensorflow"):
        runtime.check_tensorflow("export")


def test_what_was_made_on_one_backend_is_not_gone_on_with_on_the_other(monkeypatch, tmp_path):
    pytest.importorskip("jax")
    (tmp_path / "environment.json").write_text("{}")  # of a run before there was a choice
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    check_backend(tmp_path)
    assert on_backend() == {}
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(UserError, match=r"begun with Keras on tensorflow, .* runs on jax"):
        check_backend(tmp_path)
    assert on_backend() == {"backend": "jax"}


def test_on_jax_the_start_of_a_process_imports_no_tensorflow():
    pytest.importorskip("jax")
    script = (
        "import sys; from cxrkeras import runtime; runtime.start(); import keras;"
        "assert keras.backend.backend() == 'jax'; assert 'tensorflow' not in sys.modules"
    )
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
