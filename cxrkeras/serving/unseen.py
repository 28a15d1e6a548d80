"""Which model of a run has not seen an image: each image of its own data, in one fold only."""

import json
from collections.abc import Sequence
from pathlib import Path

from cxrkeras.data.dataset import PreparedDataset, load_dataset
from cxrkeras.evaluation.predictions import TEST_FOLD
from cxrkeras.evaluation.settings import data_of
from data_prep.errors import UserError
from data_prep.tables import read_table


def held_out_by(
    run: Path, labels: Sequence[str], files: Sequence[Path], dataset: Path | None = None
) -> list[int | None]:
    """The fold that held each file out of training; None for what no fold has learnt from.

    An image is the run's own when it lies in the prepared dataset that the run names, or in
    `dataset` where that has the content with which the run was begun (`environment.json` keeps a
    fingerprint of labels, codes, patients and pixels), so that a copy is recognised too. Its fold
    stands in `folds.csv`. Raw files of which the dataset was prepared aren't recognised.

    Args:
        run: the run folder.
        labels: the run's, in its order.
        files: image files.
        dataset: a prepared dataset's folder, where the files are known to be its images.

    Returns:
        For each file the fold's number; None = not the run's own, or held out as test.
    """
    roots = [root for root in (data_of(run), dataset) if root is not None]
    folds = _folds(run)
    own = {}
    for root in dict.fromkeys(root.resolve() for root in roots):
        if root == _resolved(data_of(run)) or _is_copy(run, labels, root):
            own |= {root / image: fold for image, fold in folds.items()}
    return [own.get(file.resolve()) for file in files]


def _resolved(root: Path | None) -> Path | None:
    return root and root.resolve()


def _folds(run: Path) -> dict[str, int]:
    table = read_table(run / "folds.csv")
    pairs = zip(table["image"], table["fold"], strict=True)
    return {image: int(fold) for image, fold in pairs if fold != TEST_FOLD}


def _is_copy(run: Path, labels: Sequence[str], root: Path) -> bool:
    try:
        begun = json.loads((run / "environment.json").read_text(encoding="utf-8"))["data"]
        dataset: PreparedDataset = load_dataset(root)
        known = (dataset, dataset.with_labels(labels))
    except (OSError, ValueError, KeyError, TypeError, UserError):
        return False
    return begun in [one.fingerprint for one in known]
