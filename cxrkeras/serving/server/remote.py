"""Files to decisions by a server: decoded here, sent as bare grey PNG, scored there."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from cxrkeras.data.inputs import KNOWN
from cxrkeras.data.preparation import Preparation
from cxrkeras.evaluation.rules import Rule
from cxrkeras.serving.predict.films import none_readable
from cxrkeras.serving.predict.predict import Answer, Row, answer
from cxrkeras.serving.predict.told import Told, Unknown, as_arrays, of_header, of_table
from cxrkeras.serving.predictor.card import Card
from cxrkeras.serving.server.client import Remote, ServerRefusal, grey_png, predict_remote
from data_prep.dataset.pool import Died, cores, spread
from data_prep.errors import RejectedFile
from data_prep.films.admission import DEFAULT, Admission
from data_prep.films.film import read_film
from data_prep.progress import Steps

_UNUSABLE = "the server can't use this image"


class _Exported(Rule):
    """Whatever rule the model was exported with."""

    def __str__(self) -> str:
        return "server"


_RULE = _Exported()


def ask(
    server: str,
    name: str,
    files: Sequence[Path],
    refused: Sequence[Row] = (),
    *,
    table: Path | None = None,
    admission: Admission = DEFAULT,
    batch_size: int = 16,
    workers: int | None = None,
) -> Answer:
    """What a served model says of files, at the operating points that it was exported with.

    Args:
        server: its address, as `predict_remote` takes it.
        name: the model's name there.
        files: N DICOM, PNG, JPEG or TIFF files.
        refused: what stands in the answer after them, unread.
        table: as for `predict_words`. Only what the model takes leaves the house.
        admission: what is accepted as a film.
        batch_size: images in one request.
        workers: decoding processes; the machine's cores if None; 0 decodes in this process.

    Raises:
        UserError: no file can be read, the table can't be used, or as `predict_remote`.
    """
    rows: list[Row] = []
    told: list[tuple[list[int], Remote]] = []
    batch: dict[int, tuple[bytes, Told]] = {}
    tabled = of_table(table, files, tuple(KNOWN)) if table is not None and files else None
    asking = _Asking(server, name)
    with Steps("predicted", len(files), shown=len(files) > batch_size) as steps:
        for number, (content, row, header) in enumerate(_decoded(files, admission, workers)):
            rows.append(row)
            if content:
                batch[number] = (content, {**header, **(tabled[number] if tabled else {})})
            if len(batch) == batch_size or (batch and number == len(files) - 1):
                for places, answered in asking.of(batch):
                    if isinstance(answered, Remote):
                        told.append((places, answered))
                    else:
                        rows[places[0]] = Row(files[places[0]], str(answered), ())
                batch = {}
            steps.step()
    rows += refused
    asking.unknown.say()
    if not told:
        raise none_readable(len(rows), rows[0].reason)
    return _answer(name, rows, told)


class _Asking:
    """Asks a model, and tells it beside the images what it takes, which its first answer says."""

    def __init__(self, server: str, name: str):
        self._server, self._name = server, name
        self._extras: tuple[str, ...] | None = None
        self.unknown = Unknown(())

    def of(
        self, batch: Mapping[int, tuple[bytes, Told]]
    ) -> Iterator[tuple[list[int], Remote | ServerRefusal]]:
        """A batch's answer; of a refused one those of its halves, so that only what is refused
        alone is lost.
        """
        places = list(batch)
        try:
            yield places, self._answer(batch)
        except ServerRefusal as refusal:
            if len(places) == 1:
                yield places, refusal
                return
            middle = len(places) // 2
            for part in (places[:middle], places[middle:]):
                yield from self.of({place: batch[place] for place in part})

    def _answer(self, batch: Mapping[int, tuple[bytes, Told]]) -> Remote:
        contents, told = zip(*batch.values(), strict=True)
        if self._extras is None:
            found = predict_remote(self._server, self._name, contents)
            self._extras, self.unknown = found.inputs, Unknown(found.inputs)
            if not found.inputs:
                return found
        known = as_arrays(told, self._extras)
        found = predict_remote(self._server, self._name, contents, known=known)
        for one in told if self._extras else ():
            self.unknown.add(one)
        return found


def _decoded(
    files: Sequence[Path], admission: Admission, workers: int | None
) -> Iterator[tuple[bytes, Row, Told]]:
    """A file's PNG, its row, and what its header tells; no PNG where the row has a reason. In the
    files' order.
    """
    work = partial(_png, admission=admission)
    workers = min(cores() if workers is None else workers, len(files))
    waiting: dict[int, tuple[bytes, Row, Told]] = {}
    following = 0
    for (number, path), outcome in spread(work, enumerate(files), workers, admission.limits):
        died = isinstance(outcome, Died)
        waiting[number] = (b"", Row(path, outcome.reason, ()), {}) if died else outcome
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def _png(item: tuple[int, Path], admission: Admission) -> tuple[bytes, Row, Told]:
    try:
        film = read_film(item[1], admission=admission)
        row = Row(item[1], "", film.remarks)
        return grey_png(film.pixels), row, of_header(film.header, tuple(KNOWN))
    except RejectedFile as refusal:
        return b"", Row(item[1], str(refusal), ()), {}


def _answer(name: str, rows: list[Row], told: list[tuple[list[int], Remote]]) -> Answer:
    labels, thresholds = told[0][1].labels, told[0][1].thresholds
    scores = np.full((len(rows), len(labels)), np.nan)
    for places, part in told:
        for place, probability, valid in zip(places, part.probability, part.valid, strict=True):
            if valid:
                scores[place] = probability
            else:
                rows[place] = Row(rows[place].path, _UNUSABLE, ())
    points = {
        label: {"threshold": None if np.isnan(value) else float(value), "from": "the server"}
        for label, value in zip(labels, thresholds, strict=True)
    }
    facts = {
        "labels": list(labels),
        "training_prevalence": dict.fromkeys(labels),
        "operating_points": {str(_RULE): points},
    }
    card = Card(Path(name), facts, Preparation())
    return answer(card, _RULE, None, rows, scores)
