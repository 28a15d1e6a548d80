"""The round trip: what an exported model says of real files, beside what Keras says."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from cxrkeras.data.inputs import IMAGE, as_numbers
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
        known: {input: (N, 1) float32} beside the image; drawn anew, since what a file's own header
            tells would leave little to compare. Unknown in `expected` and `expected_of_contents`.
        expected_known: (N, K) float64, with `known`.
        expected_known_of_contents: the same of `contents`.
    """

    images: np.ndarray
    contents: list[bytes]
    expected: np.ndarray
    expected_of_contents: np.ndarray
    known: dict[str, np.ndarray] = field(default_factory=dict)
    expected_known: np.ndarray | None = None
    expected_known_of_contents: np.ndarray | None = None

    def told(self, rows: slice) -> dict[str, np.ndarray]:
        """`known` of some rows."""
        return {name: values[rows] for name, values in self.known.items()}

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
        of_contents = images.copy()
        changed = [row for row, path in enumerate(files) if sent[row] != path]
        if changed:
            of_contents[changed] = _prepared(model, [sent[row] for row in changed], admission)
        samples = Samples(
            images,
            [path.read_bytes() for path in sent],
            model.predict(images),
            model.predict(of_contents),
        )
        if not model.card.extras:
            return samples
        known = _drawn(model.card.extras, len(files))
        return replace(
            samples,
            known=known,
            expected_known=model.predict({IMAGE: images, **known}),
            expected_known_of_contents=model.predict({IMAGE: of_contents, **known}),
        )


def _drawn(names: Sequence[str], count: int) -> dict[str, np.ndarray]:
    """Values of every kind, unknown ones among them: (N, 1) float32 each."""
    cells = {"age": ("71", "", "34", "5"), "sex": ("M", "F", ""), "view": ("AP", "lateral", "PA")}
    return {
        name: as_numbers(name, (cells[name][row % len(cells[name])] for row in range(count)))
        for name in names
    }


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
    images, contents = samples.images, samples.contents
    found = {
        "serving_default": samples.largest(
            lambda rows: saved.probability(images[rows]), samples.expected
        ),
        "encoded": samples.largest(
            lambda rows: saved.encoded(contents[rows])["probability"], samples.expected_of_contents
        ),
    }
    if not samples.known:
        return found
    return found | {
        "known": samples.largest(
            lambda rows: saved.probability(images[rows], samples.told(rows)),
            samples.expected_known,
        ),
        "encoded_known": samples.largest(
            lambda rows: saved.encoded(contents[rows], samples.told(rows))["probability"],
            samples.expected_known_of_contents,
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
