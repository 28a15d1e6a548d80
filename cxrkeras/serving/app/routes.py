"""Our own ways in and out beside Gradio's: films in, sheets out."""

import asyncio

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse

from cxrkeras.serving.app.desk import Desks
from cxrkeras.serving.app.gate.bodies import Refused, whole
from cxrkeras.serving.app.gate.gate import refused
from cxrkeras.serving.app.inbox import Inbox
from cxrkeras.serving.app.judge import Judge
from cxrkeras.serving.app.sheet import WRITERS

_QUEUE = 30.0  # seconds that an upload waits for room before it is sent away


def add(app: FastAPI, inbox: Inbox, desks: Desks, judge: Judge) -> None:
    """Take films in, and give sheets out."""

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

    @app.get("/sheet/{key}/{name}")
    async def sheet(key: str, name: str) -> Response:
        desk = desks.find(key)
        write, kind = WRITERS.get(name.rpartition(".")[2], (None, ""))
        if desk is None or write is None or not desk.panes:
            return PlainTextResponse("There is no such sheet: the page was closed.", 404)
        content = await run_in_threadpool(write, desk, judge)
        disposition = f'attachment; filename="cxrkeras.{name.rpartition(".")[2]}"'
        headers = {"content-disposition": disposition, "cache-control": "no-store"}
        return Response(content, media_type=kind, headers=headers)


async def _room(inbox: Inbox, size: int) -> bool:
    """Wait for room; whether there is."""
    for _ in range(round(_QUEUE / 0.1)):
        if inbox.reserve(size):
            return True
        await asyncio.sleep(0.1)
    return False
