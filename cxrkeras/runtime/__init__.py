"""The process before Keras is imported: quiet, repeatable, quick to its first step."""

import atexit
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from cxrkeras.runtime.backends import JAX, TENSORFLOW, backend
from cxrkeras.runtime.hardware import check_devices
from cxrkeras.runtime.machines import checked_machines, join_machines
from data_prep.errors import UserError

_own = False  # whether nobody else works in this process
_COLLECT = 100_000  # objects made before Python looks for garbage; its own 700 cost a second or two
_WRAPPED = ("sklearn", JAX)  # imported by TensorFlow and Keras only to wrap or convert them


def own_process() -> None:
    """Say that this process is a command's: it imports and collects for nobody else.

    The first film of `predict` comes 2 s of processor time sooner (`python -m experiments.bench
    predict`), and so does every other verb that needs TensorFlow. What Keras and TensorFlow made is
    left to the end of the process, where Python would take another second to look through it.
    """
    global _own
    _own = True
    gc.set_threshold(_COLLECT, *gc.get_threshold()[1:])
    atexit.register(gc.freeze)


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
        machines: whether several may compute together (`machines.py`).

    Raises:
        UserError: for a backend of Keras other than TensorFlow and JAX, or one not installed; there
            are fewer devices, or several machines where they can't be used.
    """
    several = checked_machines(machines)
    if backend() == TENSORFLOW:
        import_tensorflow()
        import tensorflow as tf

        if not fast:
            tf.config.experimental.enable_op_determinism()
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    elif not fast:
        _make_xla_deterministic()
    if several:
        join_machines()
    if devices > 1 or several:
        check_devices(devices, all_of_them=several)


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
