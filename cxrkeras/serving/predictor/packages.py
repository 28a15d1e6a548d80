"""Layers of other packages, which Keras needs before it can build a saved model."""

import importlib
import json
import zipfile
from collections.abc import Iterator, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import keras

from data_prep.errors import UserError

_PARTS = "cxrkeras."  # how groups of entry points begin that bring parts
_HUB = "keras_hub"  # layers of the backbone `hub`


def bring_layers(path: Path, packages: Sequence[str]) -> None:
    """Import the packages that `model.json` names, and check that every layer is known then.

    Args:
        path: a `.keras` file, whose archive is known to be sane.
        packages: modules that register layers. A model comes from anywhere, so only of packages
            that bring parts for cxrkeras are modules imported.

    Raises:
        UserError: a package isn't installed, or a layer isn't known, naming it.
    """
    layers = set(_registered(_config(path)))
    hub = {_HUB} if any(name.startswith(f"{_HUB}>") for name in layers) else set()
    for name in [*packages, *sorted(hub - set(packages))]:
        _bring(path, name)
    unknown = sorted(name for name in layers if not _known(name))
    if not unknown:
        return
    name, (package, _, layer) = unknown[0], unknown[0].rpartition(">")
    if package == "cxrkeras":
        raise UserError(
            f"{path} was saved by another version of cxrkeras: this one has no layer {layer}. "
            "Train the model again, or use the version that saved it."
        )
    after = (
        f"its model.json names {', '.join(packages)}" if packages else "its model.json names none"
    )
    raise UserError(
        f"{path} has the layer {name!r}, which no package brings: {after}. Install the package "
        "that the model was made with, and name it under `package`."
    )


def _bring(path: Path, name: str) -> None:
    bringing = {
        point.value.partition(":")[0].partition(".")[0]
        for package in distributions()
        for point in package.entry_points
        if point.group.startswith(_PARTS)
    }
    top = name.partition(".")[0]
    if top not in bringing | {_HUB}:
        raise UserError(
            f"{path} needs the package {name!r}, which isn't installed, or brings no parts for "
            "cxrkeras. Install it."
        )
    try:
        importlib.import_module(name)
    except ImportError as error:
        how = "Install it: pip install 'cxrkeras[hub]'" if top == _HUB else "Install it again"
        raise UserError(
            f"{path} needs the package {name!r}, which can't be imported "
            f"({type(error).__name__}: {error.name or 'unknown'}). {how}."
        ) from None


def _config(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("config.json"))
    except (KeyError, ValueError, RecursionError, OSError, zipfile.BadZipFile):
        return None  # Keras says what is wrong with it


def _registered(config: Any) -> Iterator[str]:
    """What isn't Keras's own, by the name under which it must be registered."""
    waiting = [config]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            name = item.get("registered_name")
            if isinstance(name, str) and ">" in name:
                yield name
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item


def _known(name: str) -> bool:
    return keras.saving.get_registered_object(name) is not None
