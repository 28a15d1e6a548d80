"""Our own ways in and out beside Gradio's, and the gate before both."""

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

from cxrkeras.serving.app.desk import Desks
from cxrkeras.serving.app.inbox import Inbox
from cxrkeras.serving.app.judge import Judge
from cxrkeras.serving.app.sheet import WRITERS
from cxrkeras.serving.app.terms import Terms

_LOCAL = ("127.0.0.1", "localhost", "[::1]")
_EVENT = 1 << 16  # bytes of an event of the page; only films are larger
# What the page needs of Gradio. Not: upload and file (they use the disk), proxy, the API's pages.
_OPEN = (
    "/theme.css",
    "/config",
    "/favicon.ico",
    "/manifest.json",
    "/gradio_api/info",
    "/gradio_api/startup-events",
    "/gradio_api/queue/join",
    "/gradio_api/queue/data",
    "/gradio_api/reset",
    "/gradio_api/cancel",
)
_OPEN_BELOW = ("/assets/", "/static/", "/gradio_api/heartbeat/", "/gradio_api/run/", "/sheet/")
_HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data: blob:; "
    "style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "font-src 'self' data:; object-src 'none'; frame-ancestors 'none'; form-action 'self'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def add(app: FastAPI, inbox: Inbox, desks: Desks, judge: Judge) -> None:
    """Take films in, and give sheets out."""

    @app.post("/film")
    async def film(request: Request) -> Response:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > inbox.limit:
                return PlainTextResponse("too large", 413)
        return PlainTextResponse(inbox.put(bytes(body)))

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


class Gate:
    """Lets through what the page needs, and nothing that would reach a disk or come from afar.

    Args:
        app: what stands behind it.
        terms: what the page allows.
    """

    def __init__(self, app, terms: Terms):
        self._app, self._terms = app, terms

    async def __call__(self, scope, receive, send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)

        async def sending(message):
            if message["type"] == "http.response.start":
                extra = [(k.encode(), v.encode()) for k, v in _HEADERS.items()]
                message["headers"] = [*message["headers"], *extra]
            await send(message)

        if scope["path"] != "/film":  # which counts for itself, and answers
            receive = _up_to(_EVENT, receive)
        await (refusal or self._app)(scope, receive, sending)

    def _refusal(self, scope) -> Response | None:
        headers, path = Headers(scope=scope), scope["path"]
        host, origin = headers.get("host", ""), headers.get("origin")
        # Another site's page could send here, or have its name resolved to this computer.
        if self._terms.local and host.rpartition(":")[0] not in _LOCAL and host not in _LOCAL:
            return PlainTextResponse("This page is for this computer only.", 403)
        if origin is not None and origin.rpartition("//")[2] != host:
            return PlainTextResponse("Only the page itself may ask.", 403)
        if path not in ("/", "/film", *_OPEN) and not path.startswith(_OPEN_BELOW):
            return PlainTextResponse("There is nothing here.", 404)
        limit = self._terms.limit if path == "/film" else _EVENT
        if int(headers.get("content-length") or 0) > limit:
            return PlainTextResponse("too large", 413)
        return None


def _up_to(limit: int, receive):
    """`receive`, which ends where a body without a stated length grows beyond the limit."""
    size = 0

    async def receiving():
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        return message if size <= limit else {"type": "http.disconnect"}

    return receiving
