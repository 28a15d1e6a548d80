"""What is marked `jax`, once more in one process whose Keras runs on JAX."""

from pathlib import Path

import keras
import pytest

HERE = Path(__file__).parent
MARKED = sorted(
    path
    for path in HERE.rglob("test_*.py")
    if "mark.jax" in path.read_text("utf-8") and path != Path(__file__)
)
QUICK = [HERE / "training/fitting/test_trainer.py", HERE / "models/losses/test_losses.py"]
"""Where the backends differ most: how a fit keeps its state, and what it goes down."""


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="this is that subprocess")
@pytest.mark.parametrize(
    ("files", "marks"),
    [(QUICK, "jax and not slow"), pytest.param(MARKED, "jax", marks=pytest.mark.slow)],
    ids=["quick", "all"],
)
def test_what_is_marked_jax_passes_on_jax(files, marks, on_jax):
    on_jax("-m", marks, *files)
