"""One call of prediction: words that mean files go in, an answer comes out."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cxrkeras import runtime
from cxrkeras.data.inputs import IMAGE
from cxrkeras.evaluation.rules import Rule
from cxrkeras.models.familiar.films import LIMIT
from cxrkeras.registry import PREDICTORS
from cxrkeras.serving.predict.caution import abstention, check_limit
from cxrkeras.serving.predict.films import FilmStream, find_films
from cxrkeras.serving.predict.parts import scored_in_parts
from cxrkeras.serving.predict.predict import Answer, Row, answer, predict_films
from cxrkeras.serving.predict.together import asked_of_headers, asked_of_tables, together
from cxrkeras.serving.predict.told import of_table
from cxrkeras.serving.predict.unseen import OwnImages, own_images
from cxrkeras.serving.predictor.card import Card, check_extras
from cxrkeras.serving.predictor.predictor import worth_tracing
from data_prep.errors import UserError
from data_prep.executors import Executor
from data_prep.executors.local import Part as Local
from data_prep.films.admission import DEFAULT, Admission

if TYPE_CHECKING:
    from cxrkeras.serving.predictor.predictor import Predictor

BATCH = 16
_HERE = Local()


def predict_words(
    card: Card,
    words: Sequence[str],
    rule: Rule,
    *,
    calibration: str | None = None,
    batch_size: int = BATCH,
    admission: Admission = DEFAULT,
    workers: int | None = None,
    table: Path | None = None,
    load: "Callable[[], Predictor] | None" = None,
    executor: Executor = _HERE,
    limit: float = LIMIT,
    abstain: float | None = None,
) -> Answer:
    """What a model says of files, folders and patterns.

    Args:
        card: of the model.
        words: as `films.find_films` takes them.
        rule: of the operating points.
        calibration: a key of `calibration.METHODS`, or None.
        batch_size: images at a time.
        admission: what is accepted as a film.
        workers: decoding processes; the machine's cores if None; 0 decodes in this process.
        table: what the model is told beside the images, see `told.of_table`; it goes over headers.
        load: gives the loaded model; the card's is loaded if None.
        executor: where parts of many files are worked on, with the same result.
        limit: see `predict.answer`.
        abstain: see `predict.answer`.

    Returns:
        The answer; files that can't be used stand in it with the reason, the last those that there
        aren't.

    Raises:
        UserError: the model lacks the operating points or the calibration, or is damaged; the
            table can't be used. What it lacks is said before the work.
    """
    check_extras(card)
    check_limit(limit)
    card.operating_points(rule)
    if calibration:
        card.calibration()
    if abstain is not None:
        abstention(card, rule, abstain)
    files, refused = find_films(words)
    settings = {"admission": admission, "workers": workers, **told_by(card, files, table)}
    rows, scores = _scored(card, files, batch_size, settings, load, executor)
    if card.studies:
        studies = [None if row.reason else row.study for row in rows]
        scores = together(card, studies, scores)
    rows += rows_of(refused)
    missing = np.full((len(refused), len(card.labels)), np.nan)
    scores = np.concatenate([scores, missing])
    return answer(card, rule, calibration, rows, scores, limit=limit, abstain=abstain)


def told_by(card: Card, files: Sequence[Path], table: Path | None) -> dict:
    """What `FilmStream` needs to know of the inputs beside the image.

    Raises:
        UserError: a table for a model that takes the image alone, or one that can't be used.
    """
    of_header = (*card.extras, *asked_of_headers(card.studies))
    if table is None:
        return {"extras": of_header}
    names = (*card.extras, *asked_of_tables(card.studies))
    if not names:
        raise UserError(f"--table: {card.path} takes the image alone. Leave --table out.")
    told = of_table(table, files, names) if files else None
    return {"extras": of_header, "table": told}


def rows_of(refused: Sequence) -> list[Row]:
    """The rows of what isn't even a file."""
    return [Row(film.path, film.reason, ()) for film in refused]


def _scored(
    card: Card,
    files: list[Path],
    batch_size: int,
    settings: dict,
    load: Callable | None,
    executor: Executor,
) -> tuple[list[Row], np.ndarray]:
    if not files:
        return [], np.empty((0, len(card.labels)))
    own = own_images(card, files)
    more = {name: one.preparation for name, one in card.pictures.items() if name != IMAGE}
    settings = {**settings, "digests": bool(own.digests), "more": more}
    batches = -(-len(files) // batch_size)
    size, traced = -(-len(files) // batches), worth_tracing(batches)
    if executor.spreads and batches > 1:
        return scored_in_parts(executor, card, files, own, settings, size, traced=traced)
    return scored(card, files, own, settings, size, traced, load)


def scored(
    card: Card,
    files: Sequence[Path],
    own: OwnImages,
    settings: dict,
    size: int,
    traced: bool,
    load: Callable | None = None,
) -> tuple[list[Row], np.ndarray]:
    """Score files in this process, a task's or the caller's.

    Args:
        card: of the model.
        files: N.
        own: images that the model learnt from.
        settings: of `FilmStream`.
        size: images per batch.
        traced: whether a graph is worth its tracing.
        load: see `predict_words`.

    Returns:
        N rows and (N, K) float64 scores, see `predict_films`; of a model that answers for studies
        the (N, W) numbers from which `together.together` makes them.
    """
    with FilmStream(files, card.preparation, card.image_size, **settings) as stream:
        runtime.start()  # while the first files are being decoded
        from cxrkeras.serving.predictor.loaded import load_card

        model = load() if load else load_card(card)

        width = PREDICTORS.make(card.kind).width(card) if card.studies else len(card.labels)

        def score(batch, size):
            return model.run_all(batch, traced=traced, size=size)

        return predict_films(score, stream, width, size, own, card.extras, card.studies)
