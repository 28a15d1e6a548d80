"""From a small, labelled pile of chest radiographs to a multi-label classifier.

>>> import cxrkeras
>>> "NIH14" in dir(cxrkeras.labels)
True

`docs/python.md` shows all of it in use. What is below `cxrkeras.face` is imported when it is first
asked for, and TensorFlow, Keras and pandas when something needs them.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

# Name -> the module below `cxrkeras.face` that has it, or that it is.
_PLACES = {
    "prepare": "verbs",
    "cross_validate": "verbs",
    "load": "verbs",
    "ensemble": "verbs",
    "build": "verbs",
    "UserError": "errors",
    "labels": "",
    "losses": "",
    "folds": "",
    "scores": "",
}
_CALLED = "runs"  # a package of ours that can be called
__all__ = ["__version__", *_PLACES, _CALLED]


def __getattr__(name: str) -> Any:
    if name == _CALLED:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.face.{_PLACES[name] or name}")
    found = getattr(module, name) if _PLACES[name] else module
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
