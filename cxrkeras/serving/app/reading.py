"""Bytes of an upload to a film, in a process of its own. Never imports Keras.

What strangers send may crash a decoder, or ask for endless memory or time: that ends the process
and refuses the file, and the page lives on. Nothing is written to disk.
"""

import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from math import ceil

import numpy as np
from PIL import Image

from cxrkeras.serving.client import grey_png
from data_prep.errors import RejectedFile
from data_prep.pool import start_pool
from data_prep.squares import Settings, read_square

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None

SHOWN = 1600  # pixels of the longer side that the page keeps
LEAST = 800  # and to which a small picture is enlarged: maps and outlines need them
_MEMORY = 8 << 30  # bytes of address space; 100 million pixels of colour take half of it
_SECONDS = 60  # of one core for one file
_NO_REPLY = "the file made its decoder stop: damaged, or unreasonably large"


@dataclass(frozen=True, eq=False)
class Seen:
    """A film as the page keeps it: no file name, nothing of a header.

    Attributes:
        film: (H, W) uint16, upright, air dark; the longer side `LEAST` to `SHOWN` pixels.
        square: (P, P) uint8 as `cxrkeras prep` would prepare it for the model.
        warnings: short lines without patient data.
        png: all of its grey for a server that prepares it itself; empty where there is none.
        digest: of the picture as it was decoded (`data_prep.pixels.Film.digest`).
    """

    film: np.ndarray
    square: np.ndarray
    warnings: tuple[str, ...]
    png: bytes = b""
    digest: str = ""


class Reader:
    """Decodes uploads one after the other.

    Args:
        settings: how images are prepared for the model.
        for_server: whether a server prepares them, which takes PNG.
    """

    def __init__(self, settings: Settings, *, for_server: bool = False):
        self._settings, self._for_server = settings, for_server
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None

    def start(self) -> None:
        """Start the process, so that the first upload needn't wait for it."""
        with self._lock:
            self._submit(_nothing)

    def read(self, body: bytes) -> Seen:
        """Decode one upload.

        Raises:
            RejectedFile: it can't serve; the message is the reason in one line.
        """
        with self._lock:
            try:
                return self._submit(_see, body, self._settings, self._for_server).result()
            except BrokenProcessPool:
                self._stop()
                raise RejectedFile(_NO_REPLY) from None

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._stop()

    def _submit(self, work, *items):
        try:
            return self._running().submit(work, *items)
        except BrokenProcessPool:  # killed while it was idle
            self._stop()
            return self._running().submit(work, *items)

    def _running(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = start_pool(1)
        return self._pool

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


def see(body: bytes, settings: Settings, for_server: bool = False) -> Seen:
    """Decode one upload in this process; errors as `Reader.read`."""
    film, square = read_square(body, settings)
    png = grey_png(film.pixels) if for_server else b""
    return Seen(_fitted(film.pixels), square, film.warnings, png, film.digest)


def _see(body: bytes, settings: Settings, for_server: bool) -> Seen:
    """`see` within limits, which hold for the process from then on: for the reader's own."""
    _limit()
    return see(body, settings, for_server)


def _nothing() -> None:
    """Work for a process that shall only start."""


def _limit() -> None:
    if resource is None:
        return
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_at_most(_MEMORY, most), most))
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = ceil(used.ru_utime + used.ru_stime) + _SECONDS
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (_at_most(seconds, most), most))


def _at_most(wanted: int, most: int) -> int:
    return wanted if most == resource.RLIM_INFINITY else min(wanted, most)


def _fitted(pixels: np.ndarray) -> np.ndarray:
    """(H, W) in [0, 1] as uint16 at a size for the page."""
    longest = max(pixels.shape)
    wanted = min(max(longest, LEAST), SHOWN)
    rows, columns = (max(1, round(side * wanted / longest)) for side in pixels.shape)
    image = Image.fromarray(np.ascontiguousarray(pixels, np.float32))
    grey = np.asarray(image.resize((columns, rows), Image.Resampling.BICUBIC))
    return np.rint(np.clip(grey, 0, 1) * 65535).astype(np.uint16)
