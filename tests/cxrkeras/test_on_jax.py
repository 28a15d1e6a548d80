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
QUICK = {
    "training/fitting/test_trainer.py": (
        "a_killed_fit_goes_on_to_the_same_bits",
        "settled_statistics_are_those_of_the_batches_and_no_weight_moves",
        "a_loss_trains_weights_of_its_own_and_goes_on_with_them",
        "averaging_ends_with_the_mean_of_the_weights_after_each_step",
    ),
    "training/watching/test_validation.py": ("an_epoch_s_line_tells_means[bce]",),
    "models/losses/test_losses.py": (
        "gradient_is_the_slope_of_the_double_loop[bw_bce]",
        "fit_save_and_load",
    ),
}
"""One of each that the backends do in their own way: how a fit keeps its state, augments, settles,
averages, validates and is killed, what it goes down, and what a saved model says. What a run's
model says: test_backends.py.
"""
FIRST = [f"{HERE / file}::test_{name}" for file, names in QUICK.items() for name in names]


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="this is that subprocess")
@pytest.mark.parametrize(
    ("files", "marks"),
    [(FIRST, "jax and not slow"), pytest.param(MARKED, "jax", marks=pytest.mark.slow)],
    ids=["quick", "all"],
)
def test_what_is_marked_jax_passes_on_jax(files, marks, on_jax):
    on_jax("-m", marks, *files)
