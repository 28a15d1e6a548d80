"""Keras 3's weights files as HDF5: what they hold and say about themselves. Imports no Keras."""

import json
import math
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import h5py

from cxrkeras.models.weights.bounds import open_hdf5, weights_in
from data_prep.errors import UserError

FACTS = "cxrkeras"
"""The attribute at a file's root that says where the weights come from, as JSON."""


@dataclass(frozen=True)
class Contents:
    """What a weights file holds.

    Args:
        facts: what was written into it about itself, if anything.
        tensors: their number, without an optimiser's.
        parameters: their values' number.
    """

    facts: dict | None
    tensors: int
    parameters: int


def contents(path: Path) -> Contents:
    """Look into a `.weights.h5` or `.keras` file.

    Raises:
        UserError: it is missing or isn't a Keras 3 file.
    """
    if not path.is_file():
        raise UserError(f"There is no weights file {path}. Give one that exists.")
    with weights_of(path) as store:
        shapes = [
            shape
            for key, shape in shapes_of(store).items()
            if not key.startswith("optimizer/") and "/seed_generator/" not in f"/{key}"
        ]
        facts = facts_of(store)
    return Contents(facts, len(shapes), sum(map(math.prod, shapes)))


def facts_of(store: h5py.File) -> dict | None:
    """What was written into a weights file about itself; None where nothing was, or no table."""
    try:
        facts = json.loads(store.attrs.get(FACTS, "null"))
    except (ValueError, TypeError, RecursionError):
        return None
    return facts if isinstance(facts, dict) else None


def names_in(path: Path) -> set[str]:
    """What a `.keras` archive within `bounds` calls its models and layers; else nothing.

    Its configuration is searched as text: nothing of it is made or executed.
    """
    if path.suffix != ".keras":
        return set()
    with zipfile.ZipFile(path) as archive, suppress(KeyError):
        text = archive.read("config.json").decode(errors="replace")
        return set(re.findall(r'"name": ?"([^"]*)"', text))
    return set()


@contextmanager
def weights_of(path: Path) -> Iterator[h5py.File]:
    """The HDF5 file that `path` is, or that a `.keras` archive holds, within `bounds`.

    Raises:
        UserError: it can't be read as such, even later.
    """
    try:
        with open_hdf5(weights_in(path) if path.suffix == ".keras" else path, path) as store:
            yield store
    except UserError:
        raise
    except Exception as error:  # HDF5 and its binding raise whatever damaged bytes lead to
        raise UserError(
            f"A weights file must be one that Keras 3 wrote (.keras or .weights.h5). {path} can't "
            f"be read as such ({type(error).__name__}). Save it again with model.save(…)."
        ) from error


def shapes_of(group: h5py.Group) -> dict[str, tuple[int, ...]]:
    """The shape of every array below `group`, by its path there."""
    found = {}
    group.visititems(
        lambda key, item: (
            found.update({key: item.shape}) if isinstance(item, h5py.Dataset) else None
        )
    )
    return found
