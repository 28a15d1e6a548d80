"""What is marked `jax`, once more in one process whose Keras runs on JAX."""

from pathlib import Path

import keras
import pytest

HERE = Path(__file__).parent


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="this is that subprocess")
def test_what_is_marked_jax_passes_on_jax(on_jax):
    files = [path for path in HERE.rglob("test_*.py") if "mark.jax" in path.read_text("utf-8")]
    on_jax("-m", "jax", *sorted(set(files) - {Path(__file__)}))
