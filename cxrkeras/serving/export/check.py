"""The round trip: what an exported model says of real files, beside what Keras says."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from cxrkeras.data.inputs import IMAGE, as_numbers
from cxrkeras.serving.export.saved_model import SavedModel
from cxrkeras.serving.export.sending import phantoms, sent_files, unusable
from cxrkeras.serving.predict.films import FilmStream
from cxrkeras.serving.predictor.predictor import Predictor
from data_prep.films.admission import DEFAULT, Admission

FLOAT, RESIZED, ENCODED = 1e-5, 1e-4, 1e-3
"""The largest differences of a probability that an export may have: from prepared pixels; from
those that members of other sizes round anew, where one may be a grey level off; and from files,
where two decoders stand between."""

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
        workers = 1 if files else 0  # our own crash no decoder, so they need no process
        files = list(files) or list(phantoms(folder))
        images = _prepared(model, files, admission, workers)
        sent = sent_files(files, folder, admission, workers)
        of_contents = images.copy()
        changed = [row for row, path in enumerate(files) if sent[row] != path]
        if changed:
            pngs = [sent[row] for row in changed]
            of_contents[changed] = _prepared(model, pngs, admission, workers)
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


def _prepared(
    model: Predictor, files: Sequence[Path], admission: Admission, workers: int
) -> np.ndarray:
    """(N, S, S, 1) float32."""
    side, how = model.image_size, {"admission": admission, "workers": workers}
    with FilmStream(files, model.preparation, side, **how) as stream:
        films = list(stream)
    for film in films:
        if film.image is None:
            raise unusable(film.path, film.reason)
    return np.stack([film.image for film in films])[..., None].astype(np.float32)


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
