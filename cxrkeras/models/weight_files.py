"""Keras 3's weights files as HDF5: what they hold and say about themselves. Imports no Keras."""

import io
import json
import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py

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
        UserError: when it is absent or none of Keras 3.
    """
    if not path.is_file():
        raise UserError(f"There is no weights file {path}. Give one that exists.")
    with weights_of(path) as store:
        shapes = [
            shape
            for key, shape in shapes_of(store).items()
            if not key.startswith("optimizer/") and "/seed_generator/" not in f"/{key}"
        ]
        written = store.attrs.get(FACTS)
    facts = json.loads(written) if written is not None else None
    return Contents(facts, len(shapes), sum(map(math.prod, shapes)))


@contextmanager
def weights_of(path: Path) -> Iterator[h5py.File]:
    """The HDF5 file that `path` is, or that a `.keras` archive holds.

    Raises:
        UserError: when it can't be read as such, even later.
    """
    try:
        with h5py.File(_hdf5(path), "r") as store:
            yield store
    except (OSError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f"A weights file must be one that Keras 3 wrote (.keras or .weights.h5). {path} can't "
            f"be read as such ({type(error).__name__}). Save it again with model.save(…)."
        ) from error


def _hdf5(path: Path) -> Path | io.BytesIO:
    if path.suffix != ".keras":
        return path
    with zipfile.ZipFile(path) as archive:
        return io.BytesIO(archive.read("model.weights.h5"))


def shapes_of(group: h5py.Group) -> dict[str, tuple[int, ...]]:
    """The shape of every array below `group`, by its path there."""
    found = {}
    group.visititems(
        lambda key, item: (
            found.update({key: item.shape}) if isinstance(item, h5py.Dataset) else None
        )
    )
    return found
