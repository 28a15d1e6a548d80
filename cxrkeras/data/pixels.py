"""Images decoded batch by batch, and a file of their pixels, from which later epochs and runs read.

`NAME.pixels` holds (rows, S, S) uint8, `NAME.rows` 32 bytes per row: what its pixels were made of,
and their checksum. Both start empty and are filled in any order. A row counts only if its record
says what the image file holds now, so a replaced file, a half-written row, or one that another
process is writing is decoded instead. Rows are read and written at their offsets rather than mapped
into memory: that gives up Python's lock, adds nothing to the process's memory, and a full disk is
an error that can be handled, not a signal that ends the process.
"""

import hashlib
import json
import os
import shutil
import struct
import threading
import weakref
from pathlib import Path

import numpy as np
from isal.isal_zlib import crc32

from cxrkeras.data.dataset import PreparedDataset
from cxrkeras.data.png import up_filtered
from data_prep.files import reason_of
from data_prep.say import say

try:
    import fcntl
except ImportError:  # Windows, which lacks os.preadv too
    fcntl = None

FORMAT = 1
"""The version of the files: raise it when a change makes other pixels of the same images."""
_RECORD = 32  # bytes: 28 of what the pixels were made of, 4 of their checksum
_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


class Files:
    """The images of one dataset at one size, decoded whenever they are asked for.

    Args:
        paths: N image files.
        size: the side S in pixels.
    """

    def __init__(self, paths: list[str], size: int):
        self._paths, self._size = paths, size

    def read(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Read what is quickly decoded; it is stored.

        Args:
            index: (B,) images.

        Returns:
            (F, S, S, 1) uint8, the pixels that were found; (F,) and (M,) int32, the positions in
            `index` of those and of the missing images; (M,) object, the missing ones' files.

        Raises:
            OSError: an image file can't be read.
        """
        pixels = np.empty((len(index), self._size, self._size, 1), np.uint8)
        found, missing, contents = [], [], []
        for place, image in enumerate(index.tolist()):
            into = pixels[len(found)]
            content = self._lacking(image, into)
            if content is not None and not self._decode(image, content, into):
                missing.append(place)
                contents.append(content)
            else:
                found.append(place)
        files = np.empty(len(contents), object)
        files[:] = contents
        return pixels[: len(found)], np.array(found, np.int32), np.array(missing, np.int32), files

    def store(self, index: np.ndarray, pixels: np.ndarray) -> np.int64:
        """Keep (M, S, S, 1) uint8, the pixels of images that `read` missed; gives how many were."""
        return np.int64(0)

    def _lacking(self, image: int, pixels: np.ndarray) -> bytes | None:
        """An image's file, to be decoded; None if its pixels are there and filled in."""
        return Path(self._paths[image]).read_bytes()

    def _decode(self, image: int, content: bytes, pixels: np.ndarray) -> bool:
        """Whether the file itself could be decoded here; fills the pixels, and stores them."""
        decoded = up_filtered(content, self._size)
        if decoded is not None:
            pixels[..., 0] = decoded
            self.store(np.array([image]), pixels[None])
        return decoded is not None


class PixelCache(Files):
    """Decoded images that are kept; those that aren't there yet can be stored.

    Any number of processes and threads may read and fill the same files at once.

    Args:
        path: of the files, without suffix; they are created if they can be, and else only read.
        paths: N image files.
        rows: (N,) their rows in the files.
        size: the side S in pixels.
        decoder: names what decodes and resizes, e.g. TensorFlow and its version. It counts where it
            has a choice: for all but grey 8-bit PNGs that have the size already.

    Raises:
        OSError: the files can't be opened.
    """

    def __init__(self, path: Path, paths: list[str], rows: np.ndarray, size: int, decoder: str):
        super().__init__(paths, size)
        self.path, self._rows = path, rows
        self._area, self._decoder = size * size, decoder.encode()
        self._pixels_file, pixels_writable = _opened(path.with_suffix(".pixels"))
        weakref.finalize(self, os.close, self._pixels_file)
        self._records_file, records_writable = _opened(path.with_suffix(".rows"))
        weakref.finalize(self, os.close, self._records_file)
        self._writable = pixels_writable and records_writable
        self._known = np.zeros((len(paths), _RECORD), np.uint8)  # records that were once checked
        self._made: dict[int, bytes] = {}  # of images that are being decoded
        self._writing = threading.Lock()

    def store(self, index: np.ndarray, pixels: np.ndarray) -> np.int64:
        """See `Files.store`.

        None are where another process is writing, which it will seldom be at the next try, and
        none any more after an error, such as a full disk.
        """
        made = [self._made.pop(image, None) for image in index.tolist()]
        with self._writing:
            if not self._writable:
                return np.int64(0)
            try:
                fcntl.flock(self._records_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return np.int64(0)
            except OSError as error:
                return self._stop(error)
            try:
                kept = zip(index.tolist(), made, pixels, strict=True)
                return np.int64(sum(self._put(*each) for each in kept if each[1]))
            except OSError as error:
                return self._stop(error)
            finally:
                fcntl.flock(self._records_file, fcntl.LOCK_UN)

    def _lacking(self, image: int, pixels: np.ndarray) -> bytes | None:
        if self._read_again(image, pixels):
            return None
        content = super()._lacking(image, pixels)
        return None if self._read_first(image, content, pixels) else content

    def _read_again(self, image: int, pixels: np.ndarray) -> bool:
        """Whether a row that was checked before is still what it was; fills the pixels."""
        known = self._known[image].tobytes()
        # The record is read after the pixels: whoever overwrites these clears it first.
        return any(known) and self._fill(image, pixels) and self._record(image) == known

    def _read_first(self, image: int, content: bytes, pixels: np.ndarray) -> bool:
        """Whether a row holds what the file's content makes; fills the pixels."""
        made, record = self._made_of(content), self._record(image)
        if record[:-4] == made and self._fill(image, pixels) and record == _record(made, pixels):
            self._known[image] = np.frombuffer(record, np.uint8)
            return True
        self._made[image] = made
        return False

    def _made_of(self, content: bytes) -> bytes:
        plain = _PNG + struct.pack(">IIBB", self._size, self._size, 8, 0)
        digest = hashlib.sha256(b"" if content.startswith(plain) else self._decoder)
        digest.update(content)
        return digest.digest()[: _RECORD - 4]

    def _fill(self, image: int, pixels: np.ndarray) -> bool:
        try:
            place = int(self._rows[image]) * self._area
            return os.preadv(self._pixels_file, [pixels], place) == self._area
        except OSError:  # another machine has removed the files
            return False

    def _record(self, image: int) -> bytes:
        try:
            return os.pread(self._records_file, _RECORD, int(self._rows[image]) * _RECORD)
        except OSError:
            return b""

    def _put(self, image: int, made: bytes, pixels: np.ndarray) -> bool:
        record = _record(made, pixels)
        if not self._holds(image, record, pixels):  # otherwise another process was first
            row = int(self._rows[image])
            _write(self._records_file, bytes(_RECORD), row * _RECORD)
            _write(self._pixels_file, pixels, row * self._area)
            _write(self._records_file, record, row * _RECORD)
        self._known[image] = np.frombuffer(record, np.uint8)
        return True

    def _holds(self, image: int, record: bytes, pixels: np.ndarray) -> bool:
        there = np.empty_like(pixels)
        same = self._record(image) == record and self._fill(image, there)
        return same and np.array_equal(there, pixels)

    def _stop(self, error: OSError) -> np.int64:
        self._writable = False
        say(
            f"{self.path}.pixels: no more can be kept ({reason_of(error)}), so the other images "
            "are decoded in every epoch."
        )
        return np.int64(0)


def open_pixels(
    folder: Path, dataset: PreparedDataset, size: int, *, share: float, decoder: str
) -> PixelCache | None:
    """Open the pixel cache of a dataset, and say how large it gets and what is free.

    Its name follows from the images of the whole dataset, of which this may be a subset.

    Args:
        folder: where pixel caches lie; created if necessary.
        dataset: the images.
        size: the side S in pixels.
        share: of the free space that it may take.
        decoder: see `PixelCache`.

    Returns:
        None where there is no room or no such folder, which is said.
    """
    key = hashlib.sha256(json.dumps([FORMAT, dataset.manifest, size]).encode()).hexdigest()[:16]
    path = folder / f"{key}-{size}"
    what = f"{len(dataset)} images of {dataset.name} at {size} px"
    if fcntl is None or not hasattr(os, "preadv"):
        say(f"{what}: decoded in every epoch, since this system can't keep their pixels.")
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = _allocated(path.with_suffix(".pixels"))
        rows = int(dataset.rows.max()) + 1
        whole, free = rows * (size * size + _RECORD), shutil.disk_usage(folder).free
        sizes = f"{_gigabytes(whole)} when complete, {_gigabytes(there)} of it there"
        if whole - there > share * free:
            say(
                f"{what}: decoded in every epoch. Their pixels take {sizes}, and in {folder} they "
                f"may take {share:.0%} of the {_gigabytes(free)} that are free. --pixel-cache DIR "
                "puts them elsewhere."
            )
            return None
        cache = PixelCache(path, dataset.paths, dataset.rows, size, decoder)
    except OSError as error:
        say(f"{what}: decoded in every epoch, since {folder} can't be used ({reason_of(error)}).")
        return None
    say(f"{what}: pixels are kept in {path}.pixels, {sizes}; {_gigabytes(free)} are free")
    return cache


def _opened(path: Path) -> tuple[int, bool]:
    """A descriptor, and whether it can be written."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), True
    except OSError:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC), False


def _record(made: bytes, pixels: np.ndarray) -> bytes:
    return made + struct.pack(">I", crc32(pixels))


def _write(file: int, content: bytes | np.ndarray, place: int) -> None:
    view = memoryview(content).cast("B")
    while view:
        written = os.pwrite(file, view, place)  # less than all where the disk is full
        view, place = view[written:], place + written


def _allocated(path: Path) -> int:
    return path.stat().st_blocks * 512 if path.exists() else 0


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB"
