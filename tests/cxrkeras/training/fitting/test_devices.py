"""Several devices, several machines: they learn what one device learns from the same batches."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from cxrkeras import runtime
from cxrkeras.runs.description import make_experiment
from cxrkeras.runtime.hardware import devices
from cxrkeras.training.plan import resolve
from data_prep.errors import UserError
from tests.conftest import ROOT

BACKENDS = ("tensorflow", "jax")
# What `cxrkeras` runs, with two virtual devices and the tests' tiny backbone in the registry.
DRIVER = """
import sys
from cxrkeras import runtime
if runtime.backend() == "tensorflow":
    runtime.import_tensorflow()
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, logical)
from tests.cxrkeras.backbones import known
known.add("tiny")
from cxrkeras.cli import main
main()
"""


def begin(backend: str, *words: object, **environment: object) -> subprocess.Popen:
    """A process of its own, whose Keras runs on a backend."""
    if backend == "jax":
        pytest.importorskip("jax")
    own = {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    own |= {name: str(value) for name, value in environment.items()}
    words = [sys.executable, *map(str, words)]
    return subprocess.Popen(
        words, env={**os.environ, **own}, stdout=-1, stderr=subprocess.STDOUT, text=True
    )


def end(process: subprocess.Popen) -> None:
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said[-3000:]


def weights(path: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.update({name: item[()]} if hasattr(item, "dtype") else {})
        )
    return found


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_two_devices_learn_as_one(backend, tmp_path):
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
    script = "tests.cxrkeras.training.fitting.on_devices"
    for process in [begin(backend, "-m", script, tmp_path / str(n), n) for n in (1, 2)]:
        end(process)
    for optimiser, tolerance in (("sgd", 1e-6), ("adam", 1e-4)):
        one, two = (np.load(tmp_path / str(n) / f"{optimiser}.npz") for n in (1, 2))
        assert set(one) == set(two)
        for name in one:
            # A bias before batch norm has no gradient but rounding, which Adam makes a step of.
            noisy = optimiser == "adam" and name in (
                "conv2d_1/bias",
                "conv2d_3/bias",
                "batch_normalization_1/moving_mean",
                "batch_normalization_3/moving_mean",
            )
            bound = 1e-3 if noisy else tolerance
            print(backend, optimiser, name, np.abs(one[name] - two[name]).max())
            np.testing.assert_allclose(two[name], one[name], rtol=bound, atol=bound, err_msg=name)


@pytest.fixture
def pretraining(data, tmp_path):
    """`pretraining(backend, name, …)`: a source stage being trained into that folder."""

    def start(backend: str, name: str, *words: object, **environment: object) -> subprocess.Popen:
        stage = ["--source", f"a={data / 'a'}", "--backbone", "tiny", "--image-size", 32]
        stage += ["--batch-size", 8, "--epochs", 4, "--out", tmp_path / name, *words]
        own = {"CXRKERAS_CACHE": tmp_path / f"cache-{name}"} | environment
        return begin(backend, "-c", DRIVER, "pretrain", *stage, **own)

    return start


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_stage_on_two_devices_goes_on_after_a_kill(backend, pretraining, tmp_path):
    two = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    end(pretraining(backend, "whole", "--devices", 2, **two))
    process = pretraining(backend, "killed", "--devices", 2, **two)
    kept = tmp_path / "cache-killed"
    while process.poll() is None and not list(kept.glob("stages/.*/checkpoint.npz")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "killed" / "trunk.weights.h5").exists()
    end(pretraining(backend, "killed", "--devices", 2, **two))
    whole, again = (weights(tmp_path / n / "trunk.weights.h5") for n in ("whole", "killed"))
    assert all(np.array_equal(whole[name], again[name]) for name in whole)
    histories = [(tmp_path / n / "history.csv").read_bytes() for n in ("whole", "killed")]
    assert histories[0] == histories[1]


@pytest.mark.slow
def test_two_machines_learn_as_one(pretraining, tmp_path):
    still = ("--dropout", 0, "--augment", "none")
    end(pretraining("jax", "one", *still))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    begun = []
    for number in (0, 1):
        about = {"JOB_ADDRESSES": address, "NUM_PROCESSES": 2, "PROCESS_ID": number}
        several = {f"KERAS_DISTRIBUTION_{name}": value for name, value in about.items()}
        begun.append(pretraining("jax", f"two-{number}", "--devices", 2, *still, **several))
    for process in begun:
        end(process)
    (own, other) = (
        next((tmp_path / f"cache-two-{n}").glob("stages/*/trunk.weights.h5")) for n in (0, 1)
    )
    first, second = weights(own), weights(other)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    single = weights(tmp_path / "one" / "trunk.weights.h5")
    for name, value in single.items():
        bound = 1e-3 if name.endswith("moving_mean") else 1e-4
        np.testing.assert_allclose(first[name], value, rtol=bound, atol=bound, err_msg=name)
    losses = [
        np.genfromtxt(folder / "history.csv", delimiter=",", names=True)["loss"]
        for folder in (tmp_path / "one", own.parent)
    ]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


def test_batches_that_devices_can_t_share_are_refused():
    with pytest.raises(UserError, match=r"multiple of --devices.*--batch-size 16, --devices 3"):
        resolve(make_experiment({"devices": 3}))
    if runtime.backend() == "tensorflow":
        with pytest.raises(UserError, match=r"float16 on several devices.*Give --precision bf"):
            resolve(make_experiment({"devices": 2, "precision": "float16"}))


def test_devices_that_are_not_there_are_refused_in_one_line():
    there = len(devices())
    with pytest.raises(UserError, match=rf"--devices 64 can't be had.* sees {there} ") as refused:
        runtime.start(devices=64)
    assert re.search(rf"Give --devices {there}\b", str(refused.value))
    assert "\n" not in str(refused.value)


def test_several_machines_train_stages_only(monkeypatch):
    monkeypatch.setenv("KERAS_DISTRIBUTION_NUM_PROCESSES", "2")
    with pytest.raises(UserError, match="KERAS_BACKEND=jax cxrkeras pretrain"):
        runtime.start()
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    with pytest.raises(UserError, match="KERAS_BACKEND=jax cxrkeras pretrain"):
        runtime.start(machines=True)
