"""Files to decisions: scores of a model, what they mean as probabilities, and the decisions."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np

from cxrkeras.data.inputs import IMAGE
from cxrkeras.evaluation.evidence.doubts import (
    LEARNT,
    LEARNT_BY_FOLDS,
    point_doubt,
    points_in_words,
)
from cxrkeras.evaluation.rules import Rule
from cxrkeras.evaluation.scores.abstention import withheld
from cxrkeras.evaluation.scores.operating import thresholds_of
from cxrkeras.models.familiar.films import LIMIT
from cxrkeras.serving.predict.caution import abstention
from cxrkeras.serving.predict.films import FilmStream, Prepared
from cxrkeras.serving.predict.together import study_of
from cxrkeras.serving.predict.told import Unknown, as_arrays
from cxrkeras.serving.predict.unseen import OwnImages
from cxrkeras.serving.predictor.card import Card
from cxrkeras.serving.predictor.predictor import Scored
from data_prep.progress import Steps

Score = Callable[[dict[str, np.ndarray], int], Scored]
"""A batch, by input (B, S, S, 1) uint8 or (B, 1) float32, and the size to fill it up to."""


@dataclass(frozen=True)
class Row:
    """One file of an answer.

    Args:
        path: the file.
        reason: why it couldn't be used; "" if it could.
        warnings: short lines.
        study: equal for films that are answered together, and no identifier; "" where unknown.
        unlike: in [0, 1), see `predictor.Scored`; NaN where it isn't known.
    """

    path: Path
    reason: str
    warnings: tuple[str, ...]
    study: str = field(default="", repr=False)
    unlike: float = float("nan")


@dataclass(frozen=True)
class Answer:
    """What a model says of N files; the rows of unusable ones are NaN.

    Args:
        card: of the model.
        rule: of the operating points.
        points: {label: operating point}.
        calibration: the method of `calibrated`, or None.
        rows: N, in the order of the files.
        probability: (N, K) the model's own output, which `positive` goes by.
        adjusted: (N, K) the same with the loss's distortion undone; equal if there is none
            or none is known.
        calibrated: (N, K) fitted out of fold, on `adjusted`; None where not asked for.
        positive: (N, K) 1 above the operating point, else 0; NaN if there is none, or if the
            decision is withheld.
        limit: from which a film is flagged as unlike the training films.
        abstain: the share of films on which decisions are withheld; None for none.
        abstention: {label: what `scores.abstention.fit_abstention` gives}; None for none.
        withheld: (N, K) bool.
    """

    card: Card
    rule: Rule
    points: dict[str, dict]
    calibration: str | None
    rows: tuple[Row, ...]
    probability: np.ndarray
    adjusted: np.ndarray
    calibrated: np.ndarray | None
    positive: np.ndarray
    limit: float = LIMIT
    abstain: float | None = None
    abstention: dict | None = None
    withheld: np.ndarray | None = None

    @property
    def unlike(self) -> np.ndarray:
        """(N,) in [0, 1): the share of out-of-fold films that are more like the training films.

        NaN where nobody noted which films the model knows, see `models.familiar`.
        """
        return np.array([row.unlike for row in self.rows], np.float64)

    @property
    def flagged(self) -> np.ndarray:
        """(N,) bool: the films that are unlike the training films."""
        return self.unlike >= self.limit

    @property
    def distorted(self) -> bool:
        """Whether `adjusted` says anything new."""
        return self.card.distorted

    @property
    def doubts(self) -> list[str]:
        """What must be said of the model and of these operating points, in sentences."""
        prevalence = self.card.facts["training_prevalence"]
        return [*self.card.doubts(), *points_in_words(self.points, prevalence)]

    def doubt(self, label: str) -> str:
        """What must be said of one label's operating point; "" where nothing is."""
        return str(point_doubt(self.points[label], self.card.facts["training_prevalence"][label]))

    @property
    def readable(self) -> list[int]:
        """The numbers of the rows that have probabilities."""
        return [number for number, row in enumerate(self.rows) if not row.reason]


def predict_films(
    score: Score,
    stream: FilmStream,
    labels: int,
    batch_size: int,
    own: OwnImages,
    extras: Sequence[str] = (),
    by: str = "",
) -> tuple[list[Row], np.ndarray]:
    """Score files batch by batch, while the next ones are being decoded.

    Args:
        score: what scores a batch.
        stream: the files, entered as a context already.
        labels: K, or as many numbers as `score` gives of a film.
        batch_size: images per batch; the last one is to be filled up to it.
        own: images that the model learnt from: their rows say so.
        extras: what the model takes beside images; a warning counts where it isn't known.
        by: what makes films a study, where rows are to say theirs; see `Card.studies`.

    Returns:
        N rows and (N, K) float64 scores in the files' order; NaN for unusable ones.
    """
    rows: list[Row] = []
    scores = np.full((len(stream), labels), np.nan)
    films, unknown = iter(stream), Unknown(extras)
    steps = Steps("predicted", len(stream), shown=len(stream) > batch_size)
    with steps, closing(_ahead(lambda: list(islice(films, batch_size)))) as batches:
        for batch in batches:
            first = len(rows)
            rows += [_row(film, own, by) for film in batch]
            used = [number for number, film in enumerate(batch) if film.image is not None]
            if used:
                told = [batch[number].told for number in used]
                inputs = _stacked(batch, used) | as_arrays(told, extras)
                found = score(inputs, batch_size)
                scores[first + np.array(used)] = found.scores
                for number, far in zip(used, found.unlike.tolist(), strict=True):
                    rows[first + number] = replace(rows[first + number], unlike=far)
                for one in told:
                    unknown.add(one)
            for _ in batch:
                steps.step()
    unknown.say()
    return rows, scores


def _ahead(following: Callable[[], list]) -> Iterator[list]:
    """What `following` gives until it gives nothing, each asked for while the one before is used.

    The wait for decoders and the resizing of squares then cost the model no time.
    """
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(following)
        while batch := waiting.result():
            waiting = thread.submit(following)
            yield batch


def answer(
    card: Card,
    rule: Rule,
    calibration: str | None,
    rows: list[Row],
    scores: np.ndarray,
    *,
    limit: float = LIMIT,
    abstain: float | None = None,
) -> Answer:
    """Put thresholds and calibration to scores.

    Args:
        card: of the model.
        rule: of the operating points.
        calibration: a key of `calibration.METHODS`, or None.
        rows: N files.
        scores: (N, K) float64, NaN for unusable files.
        limit: from which a film is flagged as unlike the training films.
        abstain: the share of films on which decisions are withheld; None for none.

    Raises:
        UserError: where the model lacks the operating points, the calibration, or the out-of-fold
            predictions that abstaining takes.
    """
    points = card.operating_points(rule)
    thresholds = thresholds_of(points, card.labels)
    adjusted = card.meant(scores)
    calibrated = None
    if calibration:
        # SciPy and scikit-learn come with it: seconds that only calibration needs.
        from cxrkeras.evaluation.scores.calibration import calibrate

        calibrated = calibrate(card.calibration(), card.labels, adjusted, calibration)
    unknown = np.isnan(scores) | np.isnan(thresholds)
    found = None if abstain is None else abstention(card, rule, abstain)
    held = None
    if found is not None:
        held = ~unknown & withheld(found, card.labels, thresholds, scores)
        unknown |= held
    positive = np.where(unknown, np.nan, scores > thresholds)
    return Answer(
        card,
        rule,
        points,
        calibration,
        tuple(rows),
        scores,
        adjusted,
        calibrated,
        positive,
        limit,
        abstain,
        found,
        held,
    )


def learnt_words(film: Prepared, own: OwnImages) -> tuple[str, ...]:
    """What is to be said of an image that the model learnt from; nothing of another."""
    if not own.learnt(film):
        return ()
    return (LEARNT if own.fold_of(film) is None else LEARNT_BY_FOLDS,)


def _row(film: Prepared, own: OwnImages, by: str) -> Row:
    told = learnt_words(film, own) if film.image is not None else ()
    return Row(film.path, film.reason, (*film.warnings, *told), study_of(film.told, by))


def _stacked(batch: list[Prepared], used: list[int]) -> dict[str, np.ndarray]:
    images = [{IMAGE: batch[number].image, **batch[number].more} for number in used]
    return {name: np.stack([one[name] for one in images])[..., None] for name in images[0]}
