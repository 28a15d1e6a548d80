"""What Keras runs on: TensorFlow or JAX."""

import importlib.util
import json
import os
from pathlib import Path

from data_prep.errors import UserError

TENSORFLOW, JAX = "tensorflow", "jax"


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


def _configured() -> str:
    """The backend in Keras's configuration file; without one it is TensorFlow."""
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    try:
        known = json.loads(Path(home, "keras.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return TENSORFLOW
    return str(known.get("backend", TENSORFLOW)) if isinstance(known, dict) else TENSORFLOW
