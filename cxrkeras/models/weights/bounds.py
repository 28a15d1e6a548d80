"""Checks what a weights file claims before anything relies on it. Imports no Keras.

Keras writes arrays as they are: uncompressed, each in one piece, in one place. So all that a file
declares must fit into the file, and no bound is needed that a large model could ever reach.
"""

import io
import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from data_prep.errors import UserError

WEIGHTS = "model.weights.h5"
_LARGEST_JSON = 32_000_000  # bytes of config.json; a DenseNet121's has a fiftieth
_UNPACKED = 10  # times the archive: weights hardly compress, and Keras doesn't try to
_ALWAYS = 64_000_000  # bytes that any archive may unpack to
_MEMBERS = 1000
_DEPTH = 50  # groups in groups; a nested model of Keras has a third
_OBJECTS = 200_000
_NUMBERS = "biufV"  # NumPy's kinds; V: bfloat16, of which HDF5 knows nothing


@contextmanager
def open_hdf5(source: Path | io.BytesIO, path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file whose arrays are known to be no larger than the file.

    Args:
        source: the file, or its content.
        path: for errors, where it came from.

    Raises:
        UserError: it declares more than it holds, or has what Keras doesn't write: compression,
            links, arrays outside of the file, objects.
        Exception: whatever h5py raises where the file is damaged.
    """
    size = source.stat().st_size if isinstance(source, Path) else source.getbuffer().nbytes
    with h5py.File(source, "r") as file:
        _check_objects(file, size, path)
        yield file


def weights_in(path: Path) -> io.BytesIO:
    """The weights in a `.keras` archive, all of whose parts are known to be of a sane size.

    Raises:
        UserError: the archive unpacks to far more than itself, or has parts that Keras doesn't
            write.
        KeyError, OSError, RuntimeError, zipfile.BadZipFile, zlib.error: it is damaged.
    """
    check_archive(path)
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.filename.endswith(".json") and info.file_size > _LARGEST_JSON:
                raise _no(path, f"{info.filename} has at most {_LARGEST_JSON // 10**6} MB")
        return io.BytesIO(archive.read(WEIGHTS))


def check_archive(path: Path) -> None:
    """Refuse a zip archive that unpacks to far more than itself; errors as in `weights_in`."""
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    if len(parts) > _MEMBERS or len({part.filename for part in parts}) < len(parts):
        raise _no(path, f"it has at most {_MEMBERS:,} parts, each of another name")
    whole, most = sum(p.file_size for p in parts), max(_ALWAYS, _UNPACKED * path.stat().st_size)
    if whole > most:
        held, bound = _megabytes(whole), _megabytes(most)
        raise _no(path, f"it would unpack to {held}, which is more than {bound}")


def check_script(path: Path) -> None:
    """Refuse a zip archive that holds a program of PyTorch (TorchScript), which would run.

    Raises:
        UserError: it does; else as `check_archive`.
    """
    check_archive(path)
    with zipfile.ZipFile(path) as archive:
        names = {name.rpartition("/")[2] for name in archive.namelist()}
    if "constants.pkl" in names:  # by which PyTorch itself tells
        raise UserError(f"{path} is a TorchScript program, which isn't run. Give a state dict.")


def _check_objects(file: h5py.File, size: int, path: Path) -> None:
    """Walk over all objects without opening what leads outside, or round in a circle."""
    seen, declared, groups = {_address(file)}, 0, [(file, 0)]
    while groups:
        group, depth = groups.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise _no(path, "links aren't followed")
            item = group[name]
            address = _address(item)
            if address in seen:
                raise _no(path, "nothing stands in it twice, or in itself")
            seen.add(address)
            if len(seen) > _OBJECTS or depth > _DEPTH:
                raise _no(path, f"at most {_OBJECTS:,} objects, {_DEPTH} deep, are looked at")
            if isinstance(item, h5py.Group):
                groups.append((item, depth + 1))
            elif isinstance(item, h5py.Dataset):
                declared += _declared(item, path)
        if declared > size:
            raise _no(path, f"it declares {_megabytes(declared)} and holds {_megabytes(size)}")


def _declared(array: h5py.Dataset, path: Path) -> int:
    """The bytes that an array will take."""
    if array.external or array.is_virtual:
        raise _no(path, "arrays outside of the file aren't read")
    if array.chunks is not None:
        raise _no(path, "arrays lie in it as Keras writes them, neither compressed nor in pieces")
    if array.dtype.kind not in _NUMBERS or array.dtype.hasobject:
        raise _no(path, "its arrays hold numbers")
    return math.prod(array.shape or ()) * array.dtype.itemsize


def _address(item: h5py.HLObject) -> int:
    return h5py.h5o.get_info(item.id).addr


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def _no(path: Path, rule: str) -> UserError:
    return UserError(
        f"{path} is refused as a weights file: {rule}. Save the weights again with Keras, from "
        "where they were trained."
    )
