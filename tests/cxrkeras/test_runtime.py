"""The process before Keras is imported."""

import subprocess
import sys

ALONE = """
import gc, sys
from cxrkeras import runtime
runtime.own_process()
runtime.import_tensorflow()
import keras
print(*sorted({"sklearn", "scipy.stats", "jax"} & set(sys.modules)), gc.get_threshold()[0])
import sklearn
assert sklearn.__version__
assert keras.layers.Dense(1)(keras.ops.ones((1, 2))).shape == (1, 1)
"""


def test_a_command_leaves_out_what_tensorflow_and_keras_only_wrap():
    run = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["100000"]
