"""TensorFlow's kernels, and whether they are called."""

import tensorflow as tf


def counted(monkeypatch, name: str) -> list[dict]:
    """The calls of a raw operation from now on, which goes on working."""
    kernel, calls = getattr(tf.raw_ops, name), []

    def called(**how):
        calls.append(how)
        return kernel(**how)

    monkeypatch.setattr(tf.raw_ops, name, called)
    return calls
