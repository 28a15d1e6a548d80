"""The process before Keras is imported: quiet, repeatable, quick to its first step."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def start() -> None:
    """Prepare this process for training or prediction. Call it before anything imports Keras.

    Operations become deterministic, so that a run ends with the same bytes however often it was
    killed, which costs no measurable time. TensorFlow's graph optimiser is switched off: with it
    the first step of a DenseNet121 on a CPU comes 1.4 times as late and later steps no sooner
    (64 px, batch 16; experiments/bench/first_step.py).
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _silent_stderr():
        import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """TensorFlow's C++ banner comes before its log level counts; only the descriptor stops it."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
