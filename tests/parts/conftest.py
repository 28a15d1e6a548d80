"""What every part of a kind must be, one file per kind: our own, and those of installed packages.

With CXRKERAS_PARTS_OF=PACKAGE only that package's parts are tested. With KERAS_BACKEND=jax all is
tested on JAX, but for what says that it needs TensorFlow.
"""

import os
from pathlib import Path

from cxrkeras import runtime
from tests.cxrkeras.training.fixtures import cache, data, experiment, tiny
from tests.parts.each import PART, part_of

__all__ = ["cache", "data", "experiment", "tiny"]

HERE = Path(__file__).parent

runtime.start()


def pytest_collection_modifyitems(config, items):
    """Leave out parts that aren't of the package asked for."""
    package = os.environ.get("CXRKERAS_PARTS_OF")
    if not package:
        return
    out = [i for i in items if HERE in i.path.parents and _package(i) != package]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in set(out)]


def _package(item) -> str | None:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    if PART not in parameters:
        return None
    kind, name = part_of(parameters[PART])
    return kind.about(name).package
