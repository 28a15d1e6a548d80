"""The round trip: what an exported model says of real files, beside what Keras says."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from cxrkeras.serving.export.header import JPEG, PNG
from cxrkeras.serving.export.saved_model import SavedModel
from cxrkeras.serving.predict.films import FilmStream
from cxrkeras.serving.predictor.predictor import Predictor
from cxrkeras.serving.server.client import as_png
from data_prep.dataset.pool import Died, spread
from data_prep.errors import RejectedFile, UserError
from data_prep.films.admission import DEFAULT, Admission

FLOAT, ENCODED = 1e-5, 1e-3
"""The largest differences of a probability that an export may have: from prepared pixels, and from
files, where two decoders stand between."""

_BATCH = 16


@dataclass(frozen=True)
class Samples:
    """Files for the round trip.

    Args:
        images: (N, S, S, 1) float32, 0-255, as `prep` and training make them.
        contents: N PNG or JPEG files: the file itself, or a DICOM's or TIFF's picture as PNG.
        expected: (N, K) float64, Keras's answer to `images`.
        expected_of_contents: (N, K) float64, its answer to `contents`, prepared by `prep`: the same
            but for DICOMs of more than 8 bits, of which a PNG holds 16.
    """

    images: np.ndarray
    contents: list[bytes]
    expected: np.ndarray
    expected_of_contents: np.ndarray

    def largest(self, answer: Callable[[slice], np.ndarray], expected: np.ndarray) -> float:
        """The largest difference from (N, K) `expected` of an answer given batch by batch."""
        slices = (slice(start, start + _BATCH) for start in range(0, len(self.images), _BATCH))
        found = [np.abs(answer(rows) - expected[rows]).max() for rows in slices]
        return float(np.max(found))  # Python's max would lose a NaN


def read_samples(
    model: Predictor, files: Sequence[Path], admission: Admission = DEFAULT
) -> Samples:
    """Prepare files and ask Keras; synthetic radiographs where none is given.

    Raises:
        UserError: where a file can't be used.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        files = list(files) or list(_phantoms(folder))
        images = _prepared(model, files, admission)
        sent = _sent(files, folder, admission)
        expected = model.predict(images)
        changed = [row for row, path in enumerate(files) if sent[row] != path]
        of_contents = expected.copy()
        if changed:
            of_contents[changed] = model.predict(
                _prepared(model, [sent[row] for row in changed], admission)
            )
        return Samples(images, [path.read_bytes() for path in sent], expected, of_contents)


def _prepared(model: Predictor, files: Sequence[Path], admission: Admission) -> np.ndarray:
    """(N, S, S, 1) float32."""
    side = model.image_size
    with FilmStream(files, model.preparation, side, admission=admission, workers=1) as stream:
        films = list(stream)
    for film in films:
        if film.image is None:
            raise _unusable(film.path, film.reason)
    return np.stack([film.image for film in films])[..., None].astype(np.float32)


def _sent(files: Sequence[Path], folder: Path, admission: Admission) -> list[Path]:
    """The files as a client sends them: themselves, or as PNG, written into the folder."""
    work = partial(_as_sent, admission=admission)
    jobs = [(path, folder / f"{number}.png") for number, path in enumerate(files)]
    told = dict(spread(work, jobs, 1, admission.limits))
    for path, png in jobs:
        if isinstance(told[path, png], Died):
            raise _unusable(path, told[path, png].reason)
    return [told[job] for job in jobs]


def _as_sent(job: tuple[Path, Path], admission: Admission) -> Path:
    path, png = job
    try:
        with path.open("rb") as file:
            if file.read(8).startswith((PNG, JPEG)):
                return path
        png.write_bytes(as_png(path, admission))
    except RejectedFile as error:
        raise _unusable(path, str(error)) from None
    except OSError as error:
        raise _unusable(path, error.strerror) from None
    return png


def _unusable(path: Path, reason: str) -> UserError:
    return UserError(f"--check {path}: {reason}. Give readable radiographs.")


def check_saved_model(folder: Path, samples: Samples) -> dict[str, float]:
    """{signature: largest difference} of a SavedModel; NaN where it can't read a file."""
    saved = SavedModel(folder)
    return {
        "serving_default": samples.largest(
            lambda rows: saved.probability(samples.images[rows]), samples.expected
        ),
        "encoded": samples.largest(
            lambda rows: saved.encoded(samples.contents[rows])["probability"],
            samples.expected_of_contents,
        ),
    }


def _phantoms(folder: Path) -> Iterator[Path]:
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
