"""Files to decisions by a server: decoded here, sent as bare grey PNG, scored there."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from cxrkeras.data.preparation import Preparation
from cxrkeras.evaluation.operating import Rule
from cxrkeras.serving.card import Card
from cxrkeras.serving.client import Remote, ServerRefusal, as_png, predict_remote
from cxrkeras.serving.films import none_readable
from cxrkeras.serving.predict import Answer, Row, answer
from data_prep.errors import RejectedFile
from data_prep.pool import CRASHED, cores, spread
from data_prep.progress import Steps

_RULE = Rule("server")
_UNUSABLE = "the server can't use this image"


def ask(
    server: str,
    name: str,
    files: Sequence[Path],
    refused: Sequence[Row] = (),
    *,
    any_body_part: bool = False,
    batch_size: int = 16,
    workers: int | None = None,
) -> Answer:
    """What a served model says of files, at the operating points that it was exported with.

    Args:
        server: its address, as `predict_remote` takes it.
        name: the model's name there.
        files: N DICOM, PNG, JPEG or TIFF files.
        refused: what stands in the answer after them, unread.
        any_body_part: take DICOM files whose header names another body part.
        batch_size: images in one request.
        workers: decoding processes; the machine's cores where None; 0 decodes in this process.

    Raises:
        UserError: no file can be read, or as `predict_remote`.
    """
    rows: list[Row] = []
    told: list[tuple[list[int], Remote]] = []
    batch: dict[int, bytes] = {}
    with Steps("predicted", len(files), shown=len(files) > batch_size) as steps:
        for number, (content, reason) in enumerate(_decoded(files, any_body_part, workers)):
            rows.append(Row(files[number], reason, ()))
            if content:
                batch[number] = content
            if len(batch) == batch_size or (batch and number == len(files) - 1):
                for places, answered in _asked(server, name, batch):
                    if isinstance(answered, Remote):
                        told.append((places, answered))
                    else:
                        rows[places[0]] = Row(files[places[0]], str(answered), ())
                batch = {}
            steps.step()
    rows += refused
    if not told:
        raise none_readable(len(rows), rows[0].reason)
    return _answer(name, rows, told)


def _asked(
    server: str, name: str, batch: Mapping[int, bytes]
) -> Iterator[tuple[list[int], Remote | ServerRefusal]]:
    """A batch's answer; of a refused one those of its halves, so that only what is refused alone
    is lost.
    """
    places = list(batch)
    try:
        yield places, predict_remote(server, name, list(batch.values()))
    except ServerRefusal as refusal:
        if len(places) == 1:
            yield places, refusal
            return
        middle = len(places) // 2
        for part in (places[:middle], places[middle:]):
            yield from _asked(server, name, {place: batch[place] for place in part})


def _decoded(
    files: Sequence[Path], any_body_part: bool, workers: int | None
) -> Iterator[tuple[bytes, str]]:
    """(PNG, "") or (nothing, reason), in the files' order."""
    work = partial(_png, any_body_part=any_body_part)
    workers = min(cores() if workers is None else workers, len(files))
    waiting: dict[int, tuple[bytes, str]] = {}
    following = 0
    for (number, _), outcome in spread(work, enumerate(files), workers):
        crashed = (b"", "the decoder crashed on this file")
        waiting[number] = crashed if outcome is CRASHED else outcome
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def _png(item: tuple[int, Path], any_body_part: bool) -> tuple[bytes, str]:
    try:
        return as_png(item[1], any_body_part=any_body_part), ""
    except RejectedFile as refusal:
        return b"", str(refusal)


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
        "inflation": dict.fromkeys(labels, 1.0),
        "training_prevalence": dict.fromkeys(labels),
        "operating_points": {str(_RULE): points},
    }
    card = Card(Path(name), (), facts, Preparation(), None)
    return answer(card, _RULE, None, rows, scores)
