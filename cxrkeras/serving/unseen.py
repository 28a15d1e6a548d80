"""Which model of a run has not seen an image: each image of its own data, in one fold only."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cxrkeras.data.dataset import PreparedDataset, load_dataset
from cxrkeras.evaluation.predictions import TEST_FOLD
from cxrkeras.evaluation.settings import data_of
from cxrkeras.serving.card import Card
from cxrkeras.serving.films import Prepared
from data_prep.errors import UserError
from data_prep.tables import read_table


@dataclass(frozen=True)
class OwnImages:
    """The images that a run was made with, by place and by content; see `own_images`.

    Args:
        places: {resolved path of a prepared image: the fold that held it out}.
        digests: {`sha256` of the picture that it was prepared from: the same}.
    """

    places: Mapping[Path, int] = field(default_factory=dict, repr=False)
    digests: Mapping[str, int] = field(default_factory=dict, repr=False)

    def at(self, file: Path) -> int | None:
        """The fold that held a prepared image out of training; None where no fold learnt from it:
        it is another file, or was held out as test.
        """
        return self.places.get(file.resolve()) if self.places else None

    def fold_of(self, film: Prepared) -> int | None:
        """The same for a file that was read with its digest, prepared or raw."""
        fold = self.at(film.path)
        return self.digests.get(film.digest) if fold is None else fold


def own_images(card: Card, dataset: Path | None = None) -> OwnImages:
    """Those of a run; none for a single model.

    An image is the run's own when it lies in the prepared dataset that the run names, or in
    `dataset` where that has the content with which the run was begun (`environment.json` keeps a
    fingerprint of labels, codes, patients and pixels), so that a copy is recognised too; or when it
    is a picture of which such a dataset was prepared, by its pixels' digest in `manifest.csv`.

    Args:
        card: of the run.
        dataset: a prepared dataset's folder, where files are known to be its images.
    """
    if card.run is None:
        return OwnImages()
    own, folds = data_of(card.run), _folds(card.run)
    roots = {root.resolve() for root in (own, dataset) if root is not None}
    places: dict[Path, int] = {}
    digests: dict[str, int] = {}
    for root in roots:
        if (own and root == own.resolve()) or _is_copy(card.run, card.labels, root):
            places |= {root / image: fold for image, fold in folds.items()}
            digests |= _digests(root, folds)
    return OwnImages(places, digests)


def _folds(run: Path) -> dict[str, int]:
    table = read_table(run / "folds.csv")
    pairs = zip(table["image"], table["fold"], strict=True)
    return {image: int(fold) for image, fold in pairs if fold != TEST_FOLD}


def _digests(root: Path, folds: Mapping[str, int]) -> dict[str, int]:
    try:
        table = read_table(root / "manifest.csv")
        pairs = zip(table["image"], table["sha256"], strict=True)
        return {digest: folds[image] for image, digest in pairs if digest and image in folds}
    except (UserError, KeyError):
        return {}  # moved away, or from before manifests had it: paths must do


def _is_copy(run: Path, labels: Sequence[str], root: Path) -> bool:
    try:
        begun = json.loads((run / "environment.json").read_text(encoding="utf-8"))["data"]
        dataset: PreparedDataset = load_dataset(root)
        known = (dataset, dataset.with_labels(labels))
    except (OSError, ValueError, KeyError, TypeError, UserError):
        return False
    return begun in [one.fingerprint for one in known]
