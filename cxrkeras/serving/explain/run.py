"""One call of explanation: inputs are decoded while the model loads, then explained."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cxrkeras.evaluation.rules import Rule
from cxrkeras.evaluation.scores.operating import thresholds_of
from cxrkeras.serving.explain.choice import check_choice
from cxrkeras.serving.explain.inputs import Inputs, file_inputs
from cxrkeras.serving.predict.film_names import unique_names
from cxrkeras.serving.predict.films import FilmStream
from cxrkeras.serving.predictor.card import Card, one_picture
from data_prep.errors import UserError
from data_prep.films.admission import DEFAULT, Admission
from data_prep.say import say

if TYPE_CHECKING:
    from cxrkeras.serving.explain.folds import Explainers, Explanation
    from cxrkeras.serving.explain.job import Outcome
    from cxrkeras.serving.predictor.predictor import Predictor

Load = Callable[[], "Predictor"]


def explain_inputs(
    card: Card,
    inputs: Inputs,
    out: Path,
    rule: Rule,
    *,
    method: str | None = None,
    wanted: str = "positive",
    opacity: float = 0.6,
    pictures: bool = True,
    dicom: bool = False,
    tolerance: float = 0.0,
    check_seed: int | None = None,
    key_file: Path | None = None,
    admission: Admission = DEFAULT,
    workers: int | None = None,
) -> "Outcome":
    """Explain inputs and write overlays, sheets, maps and tables into a folder.

    Args:
        card: of the model.
        inputs: what to explain.
        out: the folder.
        rule: of the operating points.
        method: how maps are made, see `ways.way_of`.
        wanted: the labels to make pictures of, see `choice.choose`.
        opacity: of a map's highest value over the film, in [0, 1].
        pictures: whether to make any.
        dicom: whether to write those of DICOM films as Secondary Captures too.
        tolerance: of the pointing game, pixels.
        check_seed: of the randomisation check; None for none.
        key_file: of the secret key by which results of DICOM films are named.
        admission: what is accepted as a film.
        workers: decoding processes; the machine's cores if None; 0 decodes in this process.

    Returns:
        What came of it.

    Raises:
        UserError: there is nothing to explain, or the model, labels or kind of map can't be used.
    """
    one_picture(card)
    points = card.operating_points(rule)
    check_choice(wanted, card.labels)
    if not inputs.files:
        raise UserError(f"There is no image to explain{inputs.reason}. Give other files.")
    if card.alone:
        say(f"{card.alone} The logit of a {card.studies} is a weighted mean of its films' logits.")
    with _ready(card, inputs, method, admission, workers, None) as (stream, explainers):
        from cxrkeras.serving.explain.job import Job, carry_out
        from cxrkeras.serving.reporting.captures import Captures
        from cxrkeras.serving.reporting.said import algorithm_of

        job = Job(
            out=out,
            labels=card.labels,
            thresholds=thresholds_of(points, card.labels),
            origin=str(rule),
            wanted=wanted,
            opacity=opacity,
            pictures=pictures,
            tolerance=tolerance,
            check_seed=check_seed,
            names=unique_names(inputs.files, key_file),
            captures=Captures(algorithm_of(card, rule), card.labels) if dicom else None,
        )
        return carry_out(job, explainers, card.image_size, stream, inputs)


def explain_film(
    card: Card,
    file: Path,
    *,
    method: str | None = None,
    admission: Admission = DEFAULT,
    workers: int | None = None,
    table: Path | None = None,
    load: Load | None = None,
) -> "Explanation":
    """Explain one film, and write nothing.

    Args:
        card: of the model.
        file: the film.
        method: how the map is made, see `ways.way_of`.
        admission: what is accepted as a film.
        workers: as for `explain_inputs`.
        table: see `inputs.file_inputs`.
        load: gives the loaded model; the card's is loaded if None.

    Raises:
        UserError: the film can't be read, or the model or kind of map can't be used.
    """
    one_picture(card)
    inputs = file_inputs(card, [str(file)], None, table)
    if len(inputs.files) != 1:
        raise UserError(
            f"Only one film can be explained at a time. Received: {file}{inputs.reason}."
        )
    with _ready(card, inputs, method, admission, workers, load) as (stream, explainers):
        from cxrkeras.serving.explain.folds import Explanation, explain_films

        (told,) = explain_films(explainers, card.image_size, stream, inputs.own)
    if not isinstance(told, Explanation):
        raise UserError(f"{file} can't be read: {told.reason}.")
    return told


@contextmanager
def _ready(
    card: Card,
    inputs: Inputs,
    method: str | None,
    admission: Admission,
    workers: int | None,
    load: Load | None,
) -> "Iterator[tuple[FilmStream, Explainers]]":
    settings = {"admission": admission, "workers": workers, "digests": bool(inputs.own.digests)}
    settings |= {"extras": card.extras, "table": inputs.told}
    side = inputs.preparation.image_size
    with FilmStream(inputs.files, inputs.preparation, side, **settings) as stream:
        from cxrkeras import runtime

        runtime.start()  # while the first files are being decoded
        from cxrkeras.serving.explain.folds import Explainers
        from cxrkeras.serving.predictor.loaded import load_card

        yield stream, Explainers(load() if load else load_card(card), method)
