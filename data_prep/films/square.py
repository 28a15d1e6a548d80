"""Turns one file of any kind into the grey square that a dataset holds and a model takes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.errors import RejectedFile
from data_prep.films.admission import DEFAULT, Admission
from data_prep.films.film import Film, read_film, to_square


@dataclass(frozen=True)
class Settings:
    """What decides a prepared image's bytes and pseudonyms.

    Attributes:
        size: side of the prepared square, pixels.
        pad: keep the aspect and pad.
        stretch: percentiles (low, high), or None.
        public: keep identifiers as they are.
        views: the films to keep (`views.CHOICES`).
        admission: what is accepted as a film.
    """

    size: int = 512
    pad: bool = False
    stretch: tuple[float, float] | None = None
    public: bool = False
    views: str = "all"
    admission: Admission = DEFAULT


def read_square(source: Path | bytes, settings: Settings) -> tuple[Film, np.ndarray]:
    """Decode one file and resize it: the picture, and its (size, size) uint8 square.

    Raises:
        RejectedFile: whatever is wrong with it; the message is the reason in one line.
    """
    try:
        film = read_film(source, stretch=settings.stretch, admission=settings.admission)
        return film, to_square(film.pixels, settings.size, pad=settings.pad)
    except (RejectedFile, MemoryError):
        raise
    except Exception:  # a file must never stop the run; its message may hold patient data
        raise RejectedFile("can't be read: its reader failed in an unforeseen way") from None
