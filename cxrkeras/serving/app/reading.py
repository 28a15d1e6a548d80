"""Bytes of an upload to a film, in a process of its own. Never imports Keras.

What strangers send may crash a decoder, or ask for endless memory or time: that ends the process
and refuses the file, and the page lives on. Nothing is written to disk.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from PIL import Image

from cxrkeras.serving.predict.told import Told, of_header
from cxrkeras.serving.server.client import grey_png
from data_prep.dataset.pool import Died, Worker
from data_prep.errors import RejectedFile
from data_prep.films.square import Settings, read_square

SHOWN = 1600  # pixels of the longer side that the page keeps
LEAST = 800  # and to which a small picture is enlarged: maps and outlines need them


@dataclass(frozen=True, eq=False)
class Seen:
    """A film as the page keeps it: no file name, and of a header the view and what its model takes.

    Attributes:
        film: (H, W) uint16, upright, air dark; the longer side `LEAST` to `SHOWN` pixels.
        square: (P, P) uint8 as `cxrkeras prep` would prepare it for the model.
        warnings: short lines without patient data.
        png: all of its grey for a server that prepares it itself; empty if there is none.
        digest: of the picture as it was decoded (`data_prep.films.film.Film.digest`).
        told: age, sex and view of a DICOM header, as far as the model takes them.
        view: of a DICOM header, as `PA`; "" where unknown.
    """

    film: np.ndarray
    square: np.ndarray
    warnings: tuple[str, ...]
    png: bytes = b""
    digest: str = ""
    told: Told = field(default_factory=dict, repr=False)
    view: str = ""


class Reader:
    """Decodes uploads one after the other.

    Args:
        settings: how images are prepared for the model.
        for_server: whether a server prepares them, which takes PNG.
        extras: what the model takes beside the picture, to be read from headers.
    """

    def __init__(self, settings: Settings, *, for_server: bool = False, extras: Sequence[str] = ()):
        self._settings, self._for_server, self._extras = settings, for_server, tuple(extras)
        self._lock = threading.Lock()
        self._worker: Worker | None = None

    def start(self) -> None:
        """Start the process, so that the first upload needn't wait for it."""
        with self._lock:
            self._do(_nothing, None)

    def read(self, body: bytes) -> Seen:
        """Decode one upload.

        Raises:
            RejectedFile: it can't serve; the message is the reason in one line.
        """
        with self._lock:
            how = {"settings": self._settings, "for_server": self._for_server}
            work = partial(see, **how, extras=self._extras)
            outcome = self._do(work, body)
            if isinstance(outcome, Died):
                raise RejectedFile(outcome.reason)
            return outcome

    def close(self) -> None:
        """End the process."""
        with self._lock:
            if self._worker:
                self._worker.end()
                self._worker = None

    def _do(self, work: Callable, item: bytes | None) -> Seen | Died | None:
        """Once more where the process died, which may have been killed while it was idle."""
        for _ in range(2):
            if self._worker is None or self._worker.ended:
                self._worker = Worker(self._settings.admission.limits)
            outcome = self._worker.do(work, item)
            if not (isinstance(outcome, Died) and outcome.crashed):
                break
        return outcome


def see(
    body: bytes, settings: Settings, for_server: bool = False, extras: Sequence[str] = ()
) -> Seen:
    """Decode one upload in this process; errors as `Reader.read`."""
    film, square = read_square(body, settings)
    png = grey_png(film.pixels) if for_server else b""
    told = of_header(film.header, extras)
    view = (film.header and film.header.view) or ""
    return Seen(_fitted(film.pixels), square, film.remarks, png, film.digest, told, view)


def _nothing(_: None) -> None:
    """Work for a process that shall only start."""


def _fitted(pixels: np.ndarray) -> np.ndarray:
    """(H, W) in [0, 1] as uint16 at a size for the page."""
    longest = max(pixels.shape)
    wanted = min(max(longest, LEAST), SHOWN)
    rows, columns = (max(1, round(side * wanted / longest)) for side in pixels.shape)
    image = Image.fromarray(np.ascontiguousarray(pixels, np.float32))
    grey = np.asarray(image.resize((columns, rows), Image.Resampling.BICUBIC))
    return np.rint(np.clip(grey, 0, 1) * 65535).astype(np.uint16)
