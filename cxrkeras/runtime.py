"""The process before Keras is imported: quiet, repeatable, quick to its first step."""

import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.errors import UserError

TENSORFLOW, JAX = "tensorflow", "jax"


def start() -> None:
    """Prepare this process for training or prediction. Call it before anything imports Keras.

    Operations become deterministic, so that a run ends with the same bytes however often it was
    killed, which costs no measurable time. TensorFlow's graph optimiser is switched off: with it
    the first step of a DenseNet121 on a CPU comes 1.4 times as late and later steps no sooner
    (64 px, batch 16; `python -m experiments.bench first_step`).

    Raises:
        UserError: for a backend of Keras other than TensorFlow and JAX, or one not installed.
    """
    if backend() == TENSORFLOW:
        import_tensorflow()
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    else:
        _make_xla_deterministic()


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
    with quietly():
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
