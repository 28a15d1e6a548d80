"""`folds.csv`: which image was in which fold, to be saved and reused."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from cxrkeras.data.folds.folds import TEST, shared_patients
from data_prep.errors import UserError
from data_prep.files import atomic_write_text
from data_prep.tables.cells import frame_as_csv
from data_prep.tables.table import read_table

log = logging.getLogger(__name__)


def save_folds(
    path: Path, images: np.ndarray, patients: np.ndarray, digests: np.ndarray, folds: np.ndarray
) -> None:
    """Write the columns `image,patient,sha256,fold` in one step.

    Args:
        path: the file.
        images: (N,) paths as in the manifest.
        patients: (N,) str, blank where unknown.
        digests: (N,) of the images.
        folds: (N,) int; `TEST` is written as `test`.
    """
    names = ["test" if fold == TEST else str(fold) for fold in folds.tolist()]
    table = pd.DataFrame({"image": images, "patient": patients, "sha256": digests, "fold": names})
    atomic_write_text(Path(path), frame_as_csv(table))


def load_folds(
    path: Path, images: np.ndarray, patients: np.ndarray, digests: np.ndarray
) -> np.ndarray:
    """Read the folds of a dataset's images.

    Args:
        path: a table with the columns `image` and `fold` (0 to K - 1, or `test`), and optionally
            `patient` and `sha256`, which must agree with the dataset where they aren't blank.
        images: (N,) images of the dataset, all of which the table must list; rows of other images
            are logged and left out.
        patients: (N,) their patients in the dataset, which decide what a shared patient is.
        digests: (N,) their digests in the dataset.

    Returns:
        (N,) int folds, `TEST` for held-out images.

    Raises:
        UserError: the table or a column is missing, an image is missing or listed twice, its
            picture or patient differs, a fold's name is invalid, there are fewer than two folds or
            gaps in their numbers, or a patient is in two folds.
    """
    path = Path(path)
    table = _read(path)
    given = table.set_index("image")
    _check_images(given.index, images, path)
    given = given.loc[list(images)]
    for column, values, mend in (("sha256", digests, _OTHER), ("patient", patients, _KEYS)):
        if column in given:
            _check_same(given[column], values, path, mend)
    folds = _numbers(given["fold"].to_numpy(), path)
    if shared := shared_patients(folds, patients):
        raise UserError(
            f"A patient belongs to one fold. {path.name} has {shared} patients in two or more. "
            "Make new folds, or mend the table."
        )
    return folds


def _read(path: Path) -> pd.DataFrame:
    table = read_table(path)
    if missing := [name for name in ("image", "fold") if name not in table]:
        raise UserError(
            f"A folds file needs the columns image, patient and fold. {path.name} lacks "
            f"{', '.join(missing)}. Take the folds.csv of an earlier run."
        )
    return table


def _check_images(given: pd.Index, images: np.ndarray, path: Path) -> None:
    if repeated := int(given.duplicated().sum()):
        raise UserError(
            f"A folds file names each image once. {path.name} repeats {repeated}. Drop the repeats."
        )
    if missing := np.setdiff1d(images, given).tolist():
        raise UserError(
            f"A folds file covers every image. {path.name} lacks {len(missing)} of {len(images)}, "
            f"first {missing[0]}. Use the file of this dataset, or make new folds."
        )
    if extra := np.setdiff1d(given, images).tolist():
        log.warning(
            "%s: %d rows name images that the dataset doesn't have, the first is %s; they are "
            "left out.",
            path.name,
            len(extra),
            extra[0],
        )


_OTHER = "has another picture for {}. Use the file of this dataset, or make new folds."
_KEYS = (
    "has another patient for {}. Where the dataset was prepared anew under another key, or with "
    "patients merged, prepare it as before or make new folds; drop the column patient only if "
    "these are the same films."
)


def _check_same(told: pd.Series, values: np.ndarray, path: Path, mend: str) -> None:
    differ = told.index[(told != "").to_numpy() & (told.to_numpy() != values)]
    if len(differ):
        named = ", ".join([*differ[:3], *["…"] * (len(differ) > 3)])
        which = f"{len(differ)} of {len(told)} images ({named})"
        raise UserError(
            f"A folds file is matched by image, patient and picture. {path.name} "
            + mend.format(which)
        )


def _numbers(names: np.ndarray, path: Path) -> np.ndarray:
    wrong = [name for name in np.unique(names) if name != "test" and not name.isdecimal()]
    folds = [] if wrong else [TEST if name == "test" else int(name) for name in names]
    used = sorted(set(folds) - {TEST})
    if wrong or len(used) < 2 or used != list(range(len(used))):
        found = ", ".join(str(name)[:20] for name in np.unique(names)[:8])
        raise UserError(
            f"Folds are numbered 0 to K-1, with K at least 2, or named test. {path.name} has "
            f"{found}. Renumber them."
        )
    return np.array(folds)
