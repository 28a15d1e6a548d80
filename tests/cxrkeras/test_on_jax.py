"""What is marked `jax`, once more in one process whose Keras runs on JAX."""

from pathlib import Path

import keras
import pytest

HERE = Path(__file__).parent


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="this is that subprocess")
@pytest.mark.parametrize("which", ["not slow", pytest.param("slow", marks=pytest.mark.slow)])
def test_what_is_marked_jax_passes_on_jax(which, on_jax):
    files = [path for path in HERE.rglob("test_*.py") if "mark.jax" in path.read_text("utf-8")]
    on_jax("-m", f"jax and {which}", *sorted(set(files) - {Path(__file__)}))
