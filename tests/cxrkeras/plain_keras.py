"""What a saved model is where Keras is installed and this package isn't."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

# An absent package is told from a hidden one only by a finder that comes first: it may be
# installed in this environment.
SCRIPT = """
import sys
OURS = {"cxrkeras", "data_prep", "tests"}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in OURS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
import keras, numpy as np
out, *pairs = sys.argv[1:]
answers = []
for path, images in zip(pairs[::2], pairs[1::2]):
    model = keras.models.load_model(path)
    answers.append(keras.ops.convert_to_numpy(model(np.load(images), training=False)))
assert not OURS & set(sys.modules)
np.savez(out, *answers)
"""


def plain_predictions(models: dict[Path, np.ndarray], scratch: Path) -> list[np.ndarray]:
    """What `keras.models.load_model(path)(images)` says in a process without us.

    Args:
        models: {saved model: images (N, S, S, 1)}; all in one process.
        scratch: a folder to write into.
    """
    words = []
    for number, (path, images) in enumerate(models.items()):
        np.save(scratch / f"{number}.npy", images)
        words += [path, scratch / f"{number}.npy"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", SCRIPT, scratch / "said.npz", *words],
        cwd=scratch,
        env=environment | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(scratch / "said.npz") as said:
        return [said[f"arr_{number}"] for number in range(len(models))]


def foreign_classes(model: keras.Model) -> set[str]:
    """The classes outside Keras that a saved model would name, and registered ones."""
    return set(_foreign(keras.saving.serialize_keras_object(model)))


def _foreign(config) -> Iterator[str]:
    if isinstance(config, dict):
        if "class_name" in config:
            package = (config.get("module") or "keras").partition(".")[0]
            registered = config.get("registered_name") or ""
            if package not in ("keras", "builtins") or ">" in registered:
                yield f"{config['module']}.{config['class_name']} ({registered})"
        config = list(config.values())
    if isinstance(config, list | tuple):
        for part in config:
            yield from _foreign(part)
