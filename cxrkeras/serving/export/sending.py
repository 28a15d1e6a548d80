"""Files for the round trip, as a client sends them. Light: worker processes import it."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from cxrkeras.serving.server.client import as_png
from data_prep.dataset.pool import Died, spread
from data_prep.errors import RejectedFile, UserError
from data_prep.films.admission import Admission

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
"""How files begin that can be sent as they are."""


def sent_files(
    files: Sequence[Path], folder: Path, admission: Admission, workers: int
) -> list[Path]:
    """The files as a client sends them: themselves, or as PNG, written into the folder.

    Args:
        files: films.
        folder: where the PNG files go.
        admission: what is accepted as a film.
        workers: processes to read them in, see `spread`.

    Raises:
        UserError: where a file can't be used.
    """
    work = partial(_as_sent, admission=admission)
    jobs = [(path, folder / f"{number}.png") for number, path in enumerate(files)]
    told = dict(spread(work, jobs, workers, admission.limits))
    for path, png in jobs:
        if isinstance(told[path, png], Died):
            raise unusable(path, told[path, png].reason)
    return [told[job] for job in jobs]


def _as_sent(job: tuple[Path, Path], admission: Admission) -> Path:
    path, png = job
    try:
        with path.open("rb") as file:
            if file.read(8).startswith((PNG, JPEG)):
                return path
        png.write_bytes(as_png(path, admission))
    except RejectedFile as error:
        raise unusable(path, str(error)) from None
    except OSError as error:
        raise unusable(path, error.strerror) from None
    return png


def unusable(path: Path, reason: str) -> UserError:
    """What is said of a file that was given to check with."""
    return UserError(f"--check {path}: {reason}. Give readable radiographs.")


def phantoms(folder: Path) -> Iterator[Path]:
    """Four DICOM phantoms, and the first as the other kinds of file that `encoded` reads."""
    from PIL import Image

    from data_prep.films.film import read_film
    from data_prep.phantom.write import write_phantoms

    write_phantoms(folder, patients=2, seed=0, size=256, workers=0, progress=False)
    films = sorted((folder / "dicom").glob("*.dcm"))[:4]
    yield from films
    grey = Image.fromarray(np.uint8(read_film(films[0]).pixels * 255))
    for name, mode in (("grey.png", "L"), ("rgba.png", "RGBA"), ("rgb.jpg", "RGB")):
        grey.convert(mode).save(folder / name)
        yield folder / name
