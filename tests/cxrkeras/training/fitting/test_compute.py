"""Half precision learns; what is kept is float32. Choices of speed in the caches' keys."""

import json
import zipfile
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from cxrkeras.cli import main
from cxrkeras.data.dataset import load_dataset
from cxrkeras.evaluation.scores.predictions import read_predictions
from cxrkeras.models.architecture import Architecture
from cxrkeras.models.network import TARGET, build_network
from cxrkeras.registry import BACKBONES, HEADS, LOSSES
from cxrkeras.runs.starts import for_tasks, note_end, note_start
from cxrkeras.training.crossval import cross_validate
from cxrkeras.training.fitting.compute import PLAIN, Compute, Twins
from cxrkeras.training.fitting.trainer import Schedule, Trainer
from data_prep.errors import UserError

IMAGES = np.random.default_rng(0).uniform(0, 255, (20, 32, 32, 1)).astype(np.float32)
TARGETS = (IMAGES[:, :16, 0, 0] > 128).any(axis=1, keepdims=True).astype(np.float32)


def build():
    backbone, head = BACKBONES.make("tiny"), HEADS.make("gap")
    return build_network(Architecture((backbone,), head, 32), {TARGET: 1})


def policies(model: keras.Model) -> dict[str, str]:
    found = {}
    for layer in model.layers:
        nested = isinstance(layer, keras.Model)
        found |= policies(layer) if nested else {layer.name: layer.dtype_policy.name}
    return found


def test_without_a_choice_the_network_that_learns_is_kept():
    twins = Twins(build, PLAIN)
    assert twins.kept is twins.learning


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_layers_compute_in_half_precision_and_the_kept_ones_in_float32(precision):
    twins = Twins(build, Compute(precision))
    assert set(policies(twins.kept.probability).values()) == {"float32"}
    learning = policies(twins.learning.logits)
    half = {name for name, policy in learning.items() if policy == f"mixed_{precision}"}
    assert {"conv_1", "norm_1", "conv_2", "norm_2"} <= half
    assert {"target", "scale_tiny", "pool_1"}.isdisjoint(half)
    assert {weight.dtype for weight in twins.learning.logits.weights} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
    before = [value.copy() for value in twins.kept.logits.get_weights()]
    assert all(map(np.array_equal, before, twins.learning.logits.get_weights()))
    twins.learning.logits.set_weights([value + 1 for value in before])
    twins.learn()
    assert all(
        np.array_equal(a + 1, b)
        for a, b in zip(before, twins.kept.logits.get_weights(), strict=True)
    )


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_fit_in_half_precision_resumes_to_the_same_bits(precision, tmp_path):
    compute = Compute(precision)
    with compute.scope():
        logits = build().logits
    trainer = Trainer(logits, loss=LOSSES.make("bw_bce"), compute=compute)
    scaled = isinstance(trainer.model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (precision == "float16")
    batches = tf.data.Dataset.from_tensor_slices((IMAGES, {TARGET: TARGETS})).batch(8)

    def fit(epochs, checkpoint=None):
        table = trainer.fit(
            lambda left: batches.repeat(len(left)),
            None,
            Schedule(epochs, 1e-3, 1, 0.5, 0),
            steps=3,
            seed=1,
            title="t",
            checkpoint=checkpoint,
        )
        return table, [value.copy() for value in logits.get_weights()]

    whole, expected = fit(4)
    assert np.isfinite(whole["loss"]).all()
    fit(2, tmp_path / "kept.npz")
    resumed, found = fit(4, tmp_path / "kept.npz")
    assert resumed.equals(whole)
    assert all(map(np.array_equal, expected, found))


def test_each_command_that_fits_is_noted(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/usr/bin/cxrkeras", "cv", "--out", "a b"])
    (tmp_path / "environment.json").write_text('{"keras": "3"}')
    note_start(tmp_path)
    note_start(tmp_path)
    note_end(tmp_path)
    found = json.loads((tmp_path / "environment.json").read_text())
    assert found["keras"] == "3"
    (first, second) = found["starts"]
    assert first["command"] == second["command"] == "cxrkeras cv --out 'a b'"
    assert first["devices"]
    assert set(first) == {"at", "command", "commit", "devices", "driver"}
    assert first["at"] <= second["at"] <= found["finished"]

    note_end(tmp_path)  # of a call that found nothing left to fit
    assert json.loads((tmp_path / "environment.json").read_text()) == found
    note_start(tmp_path)
    assert "finished" not in json.loads((tmp_path / "environment.json").read_text())


def test_a_run_without_starts_is_not_said_to_finish_now(tmp_path):
    (tmp_path / "environment.json").write_text('{"keras": "3"}')  # of an earlier version
    note_end(tmp_path)
    assert (tmp_path / "environment.json").read_text() == '{"keras": "3"}'


def test_a_task_notes_the_command_that_it_works_for(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["cxrkeras", "study", "grid.toml"])
    for name, value in for_tasks().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["child.py"])
    (tmp_path / "environment.json").write_text("{}")
    note_start(tmp_path)
    (start,) = json.loads((tmp_path / "environment.json").read_text())["starts"]
    assert start["command"] == "cxrkeras study grid.toml"


def test_devices_that_are_not_there_are_refused_before_a_run_is_begun(experiment, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(UserError, match="--devices 64 can't be had"):
        cross_validate(experiment(devices=64, batch_size=64), run)
    assert not run.exists()


def test_tasks_elsewhere_need_no_devices_here(experiment, tmp_path):
    def work(tasks):
        raise UserError("it is elsewhere")

    elsewhere = SimpleNamespace(spreads=True, run=work)
    with pytest.raises(UserError, match="it is elsewhere"):
        cross_validate(experiment(devices=64, batch_size=64), tmp_path / "run", elsewhere)
    (start,) = json.loads((tmp_path / "run" / "environment.json").read_text())["starts"]
    assert set(start) == {"at", "command", "commit"}


@pytest.mark.slow
def test_a_run_in_bfloat16_keeps_float32_models_that_predict_alike_and_export(
    experiment, data, tmp_path
):
    run = tmp_path / "run"
    ways = {"precision": "bfloat16", "fast": True}
    cross_validate(experiment(source=f"a={data / 'a'}", **ways), run)
    told = json.loads((run / "environment.json").read_text())
    assert len(told["starts"]) == 1
    assert "finished" in told
    report = (run / "report.html").read_text()
    assert "not repeatable to the byte" in report
    with zipfile.ZipFile(run / "folds" / "0" / "model.keras") as kept:
        assert "mixed" not in kept.read("config.json").decode()

    model = keras.models.load_model(run / "folds" / "0" / "model.keras")
    said = read_predictions(run / "folds" / "0" / "predictions.csv")
    dataset = load_dataset(data / "target")
    paths = dict(zip(dataset.images.tolist(), dataset.paths, strict=True))
    pixels = [keras.utils.load_img(paths[image], color_mode="grayscale") for image in said.images]
    found = model.predict(np.stack(pixels).astype(np.float32)[..., None], verbose=0)
    np.testing.assert_allclose(found, said.prob, rtol=0, atol=1e-6)

    words = ["export", run, "--out", tmp_path, "--name", "chest"]
    for kind in ("saved-model", "onnx"):  # each checked against the model
        words += ["--format", kind]
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, words)))
    assert ended.value.code == 0
