"""The process before Keras is imported: quiet, repeatable, quick to its first step."""

import gc
import importlib.util
import json
import os
import platform
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_prep.errors import UserError

TENSORFLOW, JAX = "tensorflow", "jax"
_MACHINES = "KERAS_DISTRIBUTION"  # as Keras's variables of the environment begin
THREADS = "TF_NUM_INTRAOP_THREADS"
_CHOSEN = ("XLA_", "JAX_", "TF_ENABLE_", "TF_CPP_MIN_")
"""Beginnings of variables that decide what a process does."""

_own = False  # whether nobody else works in this process
_COLLECT = 100_000  # objects made before Python looks for garbage; its own 700 cost a second or two
_WRAPPED = ("sklearn", JAX)  # imported by TensorFlow and Keras only to wrap or convert them


def own_process() -> None:
    """Say that this process is a command's: it imports and collects for nobody else.

    The first film of `predict` comes 2 s of processor time sooner (`python -m experiments.bench
    predict`), and so does every other verb that needs TensorFlow.
    """
    global _own
    _own = True
    gc.set_threshold(_COLLECT, *gc.get_threshold()[1:])


def start(*, fast: bool = False, devices: int = 1, machines: bool = False) -> None:
    """Prepare this process for training or prediction. Call it before anything imports Keras.

    Operations become deterministic, so that a run ends with the same bytes however often it was
    killed. TensorFlow's graph optimiser is switched off: with it the first step of a DenseNet121 on
    a CPU comes 1.4 times as late and later steps no sooner (64 px, batch 16;
    `python -m experiments.bench first_step`).

    Args:
        fast: don't ask for determinism: kernels may be faster ones, and TensorFlow compiles with
            XLA on a GPU. A process that is deterministic already remains so on TensorFlow.
        devices: how many there must be to compute on.
        machines: whether several may compute together (`machines`).

    Raises:
        UserError: for a backend of Keras other than TensorFlow and JAX, or one not installed; there
            are fewer devices, or several machines where they can't be used.
    """
    several = _checked_machines(machines)
    if backend() == TENSORFLOW:
        import_tensorflow()
        import tensorflow as tf

        if not fast:
            tf.config.experimental.enable_op_determinism()
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    elif not fast:
        _make_xla_deterministic()
    if several:
        _join_machines()
    if devices > 1 or several:
        _check_devices(devices, all_of_them=several)


def devices() -> list[str]:
    """What Keras computes on in this process: its GPUs, or without one its CPUs.

    On JAX those of all machines that compute together. Call it after `start`.
    """
    if backend() == JAX:
        import jax

        return list(map(str, jax.devices()))
    import tensorflow as tf

    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [device.name for device in found]


def hardware() -> dict[str, Any]:
    """`devices`, the kinds of the devices that Keras computes on, and their `driver`, if any."""
    if backend() == JAX:
        import jax

        kinds = [device.device_kind for device in jax.devices()]
        on_gpu = jax.default_backend() == "gpu"
    else:
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        about = map(tf.config.experimental.get_device_details, gpus)
        kinds = [facts.get("device_name", "GPU") for facts in about]
        on_gpu = bool(gpus)
    if not on_gpu:
        kinds = [_processor()]
    return {"devices": kinds, "driver": _driver() if on_gpu else None}


def several_machines() -> bool:
    """Whether several compute together."""
    return _number_of_machines() > 1


def machine() -> int:
    """Which of the machines this is, from 0, if several compute together."""
    return int(os.environ.get(f"{_MACHINES}_PROCESS_ID") or 0) if _number_of_machines() > 1 else 0


def check_agreement(number: int, what: str) -> None:
    """Check that all machines that compute together have the same number; each must ask.

    Raises:
        UserError: they don't, so they don't share their storage.
    """
    if _number_of_machines() == 1:
        return
    import numpy as np
    from jax.experimental.multihost_utils import process_allgather

    found = process_allgather(np.array(number)).ravel()
    if len(np.unique(found)) > 1:
        raise UserError(
            f"The machines find different {what} ({', '.join(map(str, found))}). They must share "
            "one storage: give all the same CXRKERAS_CACHE and --out there."
        )


def _number_of_machines() -> int:
    try:
        return int(os.environ.get(f"{_MACHINES}_NUM_PROCESSES") or 1)
    except ValueError:
        return 1


def _checked_machines(allowed: bool) -> bool:
    several = _number_of_machines() > 1
    if several and not (allowed and backend() == JAX):
        raise UserError(
            f"{_MACHINES}_NUM_PROCESSES asks for several machines. They train one source stage "
            "together, on JAX: KERAS_BACKEND=jax cxrkeras pretrain. Unset it for anything else."
        )
    return several


def _join_machines() -> None:
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    import keras

    keras.utils.set_random_seed(0)  # else Keras has the machines draw one
    keras.distribution.initialize()  # by the environment's variables


def _check_devices(wanted: int, *, all_of_them: bool) -> None:
    found = devices()
    if len(found) < wanted or (all_of_them and len(found) != wanted):
        where = "on these machines together" if all_of_them else "here"
        raise UserError(
            f"--devices {wanted} can't be had; Keras on {backend()} sees {len(found)} {where} "
            f"({', '.join(found)}). Give --devices {len(found)}, or change which it may see: "
            "CUDA_VISIBLE_DEVICES."
        )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{next(named, platform.processor() or platform.machine())}, {os.cpu_count()} cores"


def _driver() -> str | None:
    """The NVIDIA driver's version."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    found = re.search(r"\b\d+\.\d+(\.\d+)?\b", text)
    return found[0] if found else None


def backend() -> str:
    """What Keras runs on in this process, `tensorflow` or `jax`, found without importing it.

    Raises:
        UserError: for another backend, or JAX where it isn't installed.
    """
    name = os.environ.get("KERAS_BACKEND") or _configured()
    if name not in (TENSORFLOW, JAX):
        raise UserError(
            "Keras must run on tensorflow or jax here. KERAS_BACKEND, or Keras's own keras.json, "
            f"says {name}. Set KERAS_BACKEND={TENSORFLOW} or {JAX}."
        )
    if name == JAX and importlib.util.find_spec(JAX) is None:
        raise UserError(
            "KERAS_BACKEND is jax, which isn't installed. Install it: pip install 'cxrkeras[jax]', "
            f"or set KERAS_BACKEND={TENSORFLOW}."
        )
    return name


def import_tensorflow() -> None:
    """Import TensorFlow quietly; off the GPUs where it only reads files for another backend.

    Raises:
        UserError: it isn't installed.
    """
    with quietly(), _without_wrapped():
        try:
            import tensorflow as tf
        except ModuleNotFoundError as error:
            raise UserError(
                "This reads its images with TensorFlow, whatever Keras runs on, and TensorFlow "
                f"isn't installed ({error}). Install it: pip install tensorflow"
            ) from error

        if backend() != TENSORFLOW:
            tf.config.set_visible_devices([], "GPU")


def use_tensorflow(verb: str) -> None:
    """Let Keras run on TensorFlow in the rest of this process, for what only TensorFlow writes.

    Call it before anything imports Keras. A model that was trained on JAX is read all the same.

    Args:
        verb: what needs it, said where that isn't the backend that was asked for.

    Raises:
        UserError: Keras runs on another backend already.
    """
    asked = backend()
    if asked == TENSORFLOW:
        return
    if "keras" in sys.modules:
        raise UserError(
            f"{verb} needs Keras on {TENSORFLOW}, and in this process it runs on {asked} already. "
            f"Use `cxrkeras {verb}`, which is a process of its own, or set "
            f"KERAS_BACKEND={TENSORFLOW} before Keras is imported."
        )
    from data_prep.say import say

    say(f"{verb}: Keras runs on {TENSORFLOW} here, not {asked}; it reads models of both.")
    os.environ["KERAS_BACKEND"] = TENSORFLOW


def threads() -> int:
    """The threads of an operation: how they share its sums decides the last digits of results."""
    given = os.environ.get(THREADS, "")
    from data_prep.dataset.pool import cores

    return int(given) if given.isdigit() and int(given) else cores()


def use_threads(count: int | None) -> None:
    """Let operations use so many threads, unless that is chosen or decided already."""
    if count and "tensorflow" not in sys.modules:
        os.environ.setdefault(THREADS, str(count))


def of_tasks(count: int | None) -> dict[str, str]:
    """The variables of a task elsewhere, whose results are to be those of this process.

    Args:
        count: threads of an operation; as many as here if None.
    """
    chosen = {name: value for name, value in os.environ.items() if name.startswith(_CHOSEN)}
    count = str(count or threads())
    # A cluster sets some of these for its processes; here they are as they would be at home.
    usual = {"OMP_NUM_THREADS": count, "TF_USE_LEGACY_KERAS": "0"}
    usual |= {name: os.environ[name] for name in usual if name in os.environ}
    return {**usual, **chosen, "KERAS_BACKEND": backend(), THREADS: count}


def _configured() -> str:
    """The backend in Keras's configuration file; without one it is TensorFlow."""
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    try:
        known = json.loads(Path(home, "keras.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return TENSORFLOW
    return str(known.get("backend", TENSORFLOW)) if isinstance(known, dict) else TENSORFLOW


def _make_xla_deterministic() -> None:
    """On a CPU XLA is so anyway; on a GPU some operations aren't unless it is asked for."""
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_gpu_deterministic_ops" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()


@contextmanager
def _without_wrapped() -> Iterator[None]:
    """Let TensorFlow and Keras find none of what they wrap, in a process of our own.

    Both take it for optional. What is imported after them finds it.
    """
    used = {backend(), *sys.modules}
    hidden = [name for name in _WRAPPED if name not in used] if _own else []
    if "tensorflow" in sys.modules:
        hidden = []
    sys.modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def quietly() -> Iterator[None]:
    """What is imported here may import TensorFlow, whose banner comes before its log level counts.

    Only closing the descriptor stops it.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" in sys.modules:
        yield
        return
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
