"""Fits a bag of visual words: a vocabulary, histograms, a machine for each label."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.cluster import MiniBatchKMeans

from cxrkeras.data.distortion import Factor
from cxrkeras.data.folds.folds import make_folds
from cxrkeras.data.labels.targets import Targets
from cxrkeras.data.pipeline import image_batches
from cxrkeras.models.words import FILE
from cxrkeras.models.words.bag import MAPPED, Bag, Vocabulary, mapped_parts
from cxrkeras.models.words.sift import Grid, dense_sift
from cxrkeras.models.words.svm import Machine, fit_machine
from cxrkeras.training.recipes import Fitter, Learned
from cxrkeras.training.session import Session
from data_prep.errors import UserError
from data_prep.progress import Steps

_BATCH = 16
_MOST = 20_000  # images, of which the kernel has an entry for each pair: 3.2 GB
_FILMS, _DESCRIPTORS = 200, 100_000  # from which words are made


class Bagging(Fitter):
    """A `Fitter` without a network. It has no epochs: its history is one row.

    Args:
        session: what is to be learnt.
        grid: of the descriptors.
        words: their number.
        levels: of the pyramid.
        c: of the machines.
        folds: of the sigmoids.
    """

    whole = False

    def __init__(
        self,
        session: Session,
        grid: Grid,
        *,
        words: int,
        levels: tuple[int, ...],
        c: float,
        folds: int,
    ):
        self._images, self._target = session.images, session.target
        self._grid, self._words, self._levels = grid, words, levels
        self._c, self._folds = c, folds
        self.facts: dict = {}

    def fit(self, train, validation, targets: Targets, *, seed, title, **how) -> Learned:
        """See `Fitter.fit`; nothing steers it, and a killed fit starts again."""
        taught = targets[train]
        _check(taught, len(train))
        vocabulary = self._vocabulary(train, seed, title)
        histograms = self._histograms(vocabulary, train, f"{title}, histograms")
        folds = self._inner_folds(taught, train, seed)
        kernel, machines = _kernel(histograms), []
        with Steps(f"{title}, machines", taught.values.shape[1]) as steps:
            for truth in taught.known.T.astype(np.float64):
                machines.append(fit_machine(kernel, truth, folds, self._c))
                steps.step()
        self._bag = _bag(vocabulary, histograms, machines)
        self.facts = {"words": self._words, "histogram": vocabulary.width}
        history = pd.DataFrame(
            {"epoch": [1], "inner_log_loss": [_log_loss(machines, taught.known)]}
        )
        return Learned(history, taught, Factor(np.ones(len(machines))))

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """See `Fitter.predict`."""
        histograms = self._histograms(self._bag.vocabulary, rows, "scoring")
        return self._bag.scores_of(histograms)

    def save(self, folder: Path) -> dict:
        """See `Fitter.save`."""
        self._bag.save(folder / FILE)
        return {"kind": "phow", "head": None}

    def _vocabulary(self, train: np.ndarray, seed: int, title: str) -> Vocabulary:
        rng = np.random.default_rng(seed)
        rows = np.sort(rng.choice(train, min(_FILMS, len(train)), replace=False))
        found, each = [], _DESCRIPTORS // len(rows)
        for image in self._each(rows, f"{title}, words"):
            descriptors = np.concatenate([part for part, _ in dense_sift(image, self._grid)])
            chosen = rng.choice(len(descriptors), min(each, len(descriptors)), replace=False)
            found.append(descriptors[chosen])
        descriptors = np.concatenate(found)
        if len(descriptors) < self._words:
            raise UserError(
                f"--recipe phow makes words of descriptors: {len(rows)} images have "
                f"{len(descriptors):,}. Received: words={self._words}. Give fewer words."
            )
        rule = {"n_init": 1, "batch_size": 4096, "random_state": seed}
        means = MiniBatchKMeans(self._words, **rule).fit(descriptors)
        words = np.ascontiguousarray(means.cluster_centers_, np.float32)
        return Vocabulary(words, self._grid, self._levels)

    def _histograms(self, vocabulary: Vocabulary, rows: np.ndarray, title: str) -> np.ndarray:
        found = np.empty((len(rows), vocabulary.width), np.float32)
        for number, image in enumerate(self._each(rows, title)):
            found[number] = vocabulary.histograms(image[None])[0]
        return found

    def _each(self, rows: np.ndarray, title: str) -> Iterator[np.ndarray]:
        """(S, S) float32, image by image."""
        with Steps(title, len(rows)) as steps:
            for batch in image_batches(self._images, rows, _BATCH):
                for image in np.asarray(batch)[..., 0]:
                    yield image
                    steps.step()

    def _inner_folds(self, taught: Targets, train: np.ndarray, seed: int) -> np.ndarray:
        """(n,) by patient."""
        patients = self._target.dataset.patients[train]
        known = pd.Series(patients)
        persons = known[known != ""].nunique() + int((known == "").sum())
        if persons < 2:
            return np.zeros(len(train), int)  # no machine for the sigmoid: the prior's
        return make_folds(taught.values, patients, min(self._folds, persons), seed)


def _check(taught: Targets, count: int) -> None:
    if count > _MOST:
        raise UserError(
            f"--recipe phow learns from at most {_MOST:,} images at once. Received: {count:,}. "
            "Prepare a part of them, or give another --recipe."
        )
    if taught.three_way.any():
        raise UserError(
            "--recipe phow has two classes for a label. Received: a policy that makes uncertain a "
            "third. Give another --uncertain."
        )


def _kernel(histograms: np.ndarray) -> np.ndarray:
    """(N, N) float64."""
    kernel = np.zeros((len(histograms), len(histograms)))
    for _, mapped in mapped_parts(histograms):
        kernel += mapped @ mapped.T
    return kernel


def _bag(vocabulary: Vocabulary, histograms: np.ndarray, machines: list[Machine]) -> Bag:
    """The machines' weights, from those of the images that they learnt from."""
    duals = np.stack([machine.dual for machine in machines])
    parts = [
        (duals @ mapped).reshape(len(machines), MAPPED, -1)
        for _, mapped in mapped_parts(histograms)
    ]
    single = {
        name: np.array([getattr(machine, name) for machine in machines], np.float32)
        for name in ("bias", "slope", "offset")
    }
    return Bag(vocabulary, np.concatenate(parts, axis=2).astype(np.float32), **single)


def _log_loss(machines: list[Machine], known: np.ndarray) -> float:
    """The mean over what is known of the log loss by machines that hadn't learnt from it."""
    odds = np.stack([machine.told for machine in machines], axis=1)
    losses = np.logaddexp(0, odds) - known * odds
    return float(np.nanmean(losses)) if np.isfinite(losses).any() else 0.0
