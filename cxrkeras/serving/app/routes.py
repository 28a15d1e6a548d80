"""Our own ways in and out beside Gradio's: films in; pictures, maps, answers and sheets out.

What a visitor has open is found by its desk's key, which only the visitor's page knows.
"""

import asyncio
import base64
import json
import zlib
from typing import Annotated

import numpy as np
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import JSONResponse, PlainTextResponse

from cxrkeras.serving.app import answers, words
from cxrkeras.serving.app.desk import Desk, Desks, Pane
from cxrkeras.serving.app.gate.bodies import Refused, whole
from cxrkeras.serving.app.gate.gate import EVENT, refused
from cxrkeras.serving.app.inbox import Inbox
from cxrkeras.serving.app.judge import Judge
from cxrkeras.serving.app.picture import Window, outline_width, placed
from cxrkeras.serving.app.sheet import WRITERS, View
from cxrkeras.serving.explain.overlay import outlines

_QUEUE = 30.0  # seconds that an upload waits for room before it is sent away
_OWN = {"cache-control": "no-store"}


def add(app: FastAPI, inbox: Inbox, desks: Desks, judge: Judge) -> None:
    """Take films in, and give out what is made of them."""
    turn = asyncio.Lock()  # of maps: who waits for it keeps no thread

    @app.post("/film")
    async def film(request: Request) -> Response:
        # Without a stated length it may become the largest.
        size = int(request.headers.get("content-length") or inbox.limit)
        if not await _room(inbox, size):
            return refused(503)
        try:
            body = await whole(request.receive, inbox.limit)
        except Refused as too:
            return refused(too.status)
        finally:
            inbox.release(size)
        ticket = inbox.put(body)
        asyncio.get_running_loop().call_later(inbox.seconds, inbox.take, ticket)
        return PlainTextResponse(ticket)

    @app.get("/desk/{key}/films")
    def films(key: str) -> Response:
        desk = desks.find(key)
        return _gone() if desk is None else JSONResponse(_listed(desk), headers=_OWN)

    @app.get("/desk/{key}/grey/{number}")
    def grey(key: str, number: str) -> Response:
        _, pane = _open(desks, key, number)
        if pane is None:
            return _gone()
        return _packed(pane.seen.film.astype("<u2").tobytes(), "application/octet-stream")

    @app.get("/desk/{key}/map/{number}/{label}")
    async def heat(key: str, number: str, label: str) -> Response:
        _, pane = _open(desks, key, number)
        if pane is None or judge.no_maps or not _whole(label, len(judge.labels)):
            return _gone()
        async with turn:
            told = await run_in_threadpool(_map, pane, judge, int(label))
        return _packed(json.dumps(told).encode(), "application/json")

    @app.get("/desk/{key}/answers/{number}")
    @app.get("/desk/{key}/answers/{number}/{beside}")
    def answered(key: str, number: str, beside: str | None = None) -> Response:
        found = [_open(desks, key, one)[1] for one in (number, beside) if one is not None]
        if None in found:
            return _gone()
        return PlainTextResponse(
            answers.answers(found, judge), headers=_OWN, media_type="text/html"
        )

    @app.post("/desk/{key}/close/{number}")
    def close(key: str, number: str) -> Response:
        desk, pane = _open(desks, key, number)
        if pane is None:
            return _gone()
        desk.panes.pop(pane.number, None)
        return JSONResponse(_listed(desk), headers=_OWN)

    @app.post("/desk/{key}/cxrkeras.{kind}")
    async def sheet(key: str, kind: str, request: Request) -> Response:
        try:
            asked = _Asked.model_validate_json(await whole(request.receive, EVENT))
        except Refused as too:
            return refused(too.status)
        except ValidationError:
            return refused(422)
        desk, (write, media) = desks.find(key), WRITERS.get(kind, (None, ""))
        view = asked.view(judge)
        if desk is None or write is None or not view.panes(desk):
            return _gone()
        content = await run_in_threadpool(write, desk, judge, view)
        disposition = f'attachment; filename="cxrkeras.{kind}"'
        return Response(content, headers=_OWN | {"content-disposition": disposition},
                        media_type=media)  # fmt: skip


_STRICT = ConfigDict(strict=True, extra="forbid")


class _Window(BaseModel):
    model_config = _STRICT

    film: Annotated[int, Field(ge=1, le=9999)]
    level: Annotated[float, Field(ge=0, le=100)]
    width: Annotated[float, Field(ge=1, le=200)]
    inverted: bool


class _Asked(BaseModel):
    """What the page says of itself for a sheet: the films that are shown, the first one first."""

    model_config = _STRICT

    films: Annotated[list[_Window], Field(min_length=1, max_length=2)]
    label: Annotated[int, Field(ge=0)] | None
    opacity: Annotated[float, Field(ge=0, le=100)]
    words: Annotated[str, Field(max_length=200)]

    def view(self, judge: Judge) -> View:
        """The same in our own terms."""
        windows = {one.film: Window(one.level, one.width, one.inverted) for one in self.films}
        known = self.label is not None and self.label < len(judge.labels)
        label = judge.labels[self.label] if known else None
        return View(tuple(windows), windows, label, self.opacity / 100, self.words)


def _gone() -> Response:
    return PlainTextResponse(words.FORGOTTEN, 404)


def _whole(text: str, below: int) -> bool:
    return text.isdecimal() and text.isascii() and len(text) < 5 and int(text) < below


def _open(desks: Desks, key: str, number: str) -> tuple[Desk | None, Pane | None]:
    """The visitor's desk and one of its films; None where there is none, or no longer."""
    desk = desks.find(key)
    if desk is None or not _whole(number, 10_000):
        return desk, None
    return desk, desk.panes.get(int(number))


def _listed(desk: Desk) -> list[dict]:
    """The open films, for the page's script."""
    return [
        {
            "number": pane.number,
            "name": answers.film_name(pane),
            "rows": pane.seen.film.shape[0],
            "columns": pane.seen.film.shape[1],
            "notes": answers.notes(pane),
        }
        for pane in list(desk.panes.values())
    ]


def _map(pane: Pane, judge: Judge, k: int) -> dict:
    """A label's map over the film: how much colour, where its outline runs, and words on it."""
    label = judge.labels[k]
    if label not in pane.heats:
        pane.heats[label] = judge.heat(pane.seen, label)
    heat = pane.heats[label]
    share = placed(heat, pane.inside, pad=judge.preparation.pad)
    light, dark = outlines(share, outline_width(share.shape))
    whole = placed(heat, np.ones_like(pane.inside), pad=judge.preparation.pad)
    seen = bool(pane.inside[np.unravel_index(whole.argmax(), whole.shape)])
    lines = np.where(light, 1, np.where(dark, 2, 0)).astype(np.uint8)
    return {
        "told": answers.map_words(heat, pane.findings[k], seen, judge.unit),
        "share": base64.b64encode(np.rint(share * 255).astype(np.uint8)).decode(),
        "lines": base64.b64encode(lines).decode(),
    }


def _packed(content: bytes, media: str) -> Response:
    """Compressed on its way: every browser takes that."""
    headers = _OWN | {"content-encoding": "deflate"}
    return Response(zlib.compress(content, 1), headers=headers, media_type=media)


async def _room(inbox: Inbox, size: int) -> bool:
    """Wait for room; whether there is."""
    for _ in range(round(_QUEUE / 0.1)):
        if inbox.reserve(size):
            return True
        await asyncio.sleep(0.1)
    return False
