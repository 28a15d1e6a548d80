"""Which images a model has learnt from, and which model of a run hasn't seen them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from cxrkeras.data.dataset import PreparedDataset, load_dataset
from cxrkeras.evaluation.evidence.settings import data_of
from cxrkeras.evaluation.scores.predictions import TEST_FOLD
from cxrkeras.serving.predict.films import Prepared
from cxrkeras.serving.predictor.card import Card, run_above
from data_prep.errors import UserError
from data_prep.tables.table import read_table

_NOBODY = -1  # in the place of a fold: no model is left that hasn't seen the image


@dataclass(frozen=True)
class OwnImages:
    """The images that a model has learnt from, by place and by content; see `own_images`.

    Args:
        places: {resolved path of a prepared image: the fold that held it out, or `_NOBODY`}.
        digests: {`sha256` of the picture that it was prepared from: the same}.
    """

    places: Mapping[Path, int] = field(default_factory=dict, repr=False)
    digests: Mapping[str, int] = field(default_factory=dict, repr=False)

    def fold_at(self, file: Path) -> int | None:
        """As `fold_of`, for the path of a prepared image."""
        return _fold(self.places.get(file.resolve())) if self.places else None

    def fold_of(self, film: Prepared) -> int | None:
        """The fold whose model alone hasn't seen a file; None where there is no such model, or
        where all models haven't.
        """
        return _fold(self._known(film))

    def learnt(self, film: Prepared) -> bool:
        """Whether the model, or all models of a run but one, learnt from a file."""
        return self._known(film) is not None

    def _known(self, film: Prepared) -> int | None:
        known = self.places.get(film.path.resolve()) if self.places else None
        return self.digests.get(film.digest) if known is None else known


def _fold(known: int | None) -> int | None:
    return None if known == _NOBODY else known


def own_images(card: Card, files: Iterable[Path] = (), dataset: Path | None = None) -> OwnImages:
    """Those that a run, one of its folds or a final model has learnt from.

    They lie in the prepared dataset that the run names, or in another folder of the same films
    under the same names, so that copies are recognised too, with other labels or prepared in
    another way: a fingerprint of the films is kept in a run's `environment.json` and a final
    model's `model.json`. The raw files of which such a dataset was prepared are recognised by their
    pixels' digest in `manifest.csv`.

    Args:
        card: of the model.
        files: image files; of those in prepared datasets, these are looked at.
        dataset: a prepared dataset to look at too.
    """
    origin = _origin(card)
    if origin is None:
        return OwnImages()
    above = {file.resolve().parent.parent for file in files} | {dataset and dataset.resolve()}
    roots = {root for root in above if root and (root / "manifest.csv").is_file()}
    places: dict[Path, int] = {}
    digests: dict[str, int] = {}
    for root in roots | {origin.data and origin.data.resolve()} - {None}:
        folds = _folds_in(root, origin)
        places |= {root / image: fold for image, fold in folds.items()}
        digests |= _digests(root, folds)
    return OwnImages(places, digests)


class _Origin(NamedTuple):
    """The data behind a model.

    Args:
        films: fingerprints of the data's films.
        whole: of these, those that all models learnt from.
        data: where the others lay; None where that isn't known.
        folds: {image: fold, or `_NOBODY`} of those it learnt from; None for all of them.
    """

    films: frozenset[str]
    whole: frozenset[str]
    data: Path | None
    folds: Mapping[str, int] | None


def _origin(card: Card) -> _Origin | None:
    known, whole = map(frozenset, (card.learnt_from, card.learnt_whole))
    if card.run is not None:
        return _Origin(known, whole, data_of(card.run), _folds(card.run))
    home = card.home.resolve()
    run = run_above(home)
    if run is not None and home.name.isdecimal() and (run / "folds.csv").is_file():
        seen = {image: _NOBODY for image, k in _folds(run).items() if k != int(home.name)}
        return _Origin(known, whole, data_of(run), seen)
    return _Origin(known, whole, None, None) if known else None


def _folds(run: Path) -> dict[str, int]:
    table = read_table(run / "folds.csv")
    pairs = zip(table["image"], table["fold"], strict=True)
    return {image: int(fold) for image, fold in pairs if fold != TEST_FOLD}


def _folds_in(root: Path, origin: _Origin) -> Mapping[str, int]:
    """{image: fold} of the images below `root` that the model has learnt from."""
    if origin.data is not None and root == origin.data.resolve():
        return origin.folds or {}
    try:
        dataset: PreparedDataset = load_dataset(root)
    except UserError:
        return {}
    if dataset.films not in origin.films:
        return {}
    if origin.folds is None or dataset.films in origin.whole:
        return dict.fromkeys(dataset.images.tolist(), _NOBODY)
    return origin.folds


def _digests(root: Path, folds: Mapping[str, int]) -> dict[str, int]:
    try:
        table = read_table(root / "manifest.csv")
        pairs = zip(table["image"], table["sha256"], strict=True)
        return {digest: folds[image] for image, digest in pairs if digest and image in folds}
    except (UserError, KeyError):
        return {}  # moved away, or from before manifests had it: paths must do
