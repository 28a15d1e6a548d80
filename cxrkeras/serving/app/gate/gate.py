"""The gate in front of the page: what is open, to whom, and what is refused unread."""

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response

from cxrkeras.serving.app.gate.bodies import Refused, whole
from cxrkeras.serving.app.gate.events import Events
from cxrkeras.serving.app.terms import Terms

RETRY = 5  # seconds after which one who was sent away may ask again
_LOCAL = ("127.0.0.1", "localhost", "[::1]")
EVENT = 1 << 16  # bytes of an event of the page; only films are larger
_BUSY = 512  # requests at once; each open page keeps one
_FILM, _RUN, _DESK = "/film", "/gradio_api/run/predict", "/desk/"
# What the page needs of Gradio. Not: upload and file (they use the disk), its queue, proxy, and the
# API's pages. By `app_id` a page that lost its server learns that it is there again.
_OPEN = ("/", "/theme.css", "/favicon.ico", "/manifest.json", "/gradio_api/app_id")
_OPEN_BELOW = ("/assets/", "/static/", "/gradio_api/heartbeat/", _DESK)
_TOLD = {
    408: "The body arrived too slowly.",
    413: "too large",
    422: "This isn't an event of the page.",
    503: "Too many requests at once. Try again in a moment.",
}
_HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data: blob:; "
    "style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "font-src 'self' data:; object-src 'none'; frame-ancestors 'none'; form-action 'self'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def refused(status: int) -> Response:
    """A refusal, in words; one for being busy says when to ask again."""
    headers = {"retry-after": str(RETRY)} if status == 503 else None
    return PlainTextResponse(_TOLD[status], status, headers)


class Gate:
    """Lets through what the page needs, and nothing that would reach a disk or come from afar.

    Args:
        app: what stands behind it.
        terms: what the page allows.
        events: of the page.
    """

    def __init__(self, app, terms: Terms, events: Events):
        self._app, self._terms, self._events = app, terms, events
        self._open = 0

    async def __call__(self, scope, receive, send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message):
            if message["type"] == "http.response.start":
                extra = [(k.encode(), v.encode()) for k, v in _HEADERS.items()]
                message["headers"] = [*message["headers"], *extra]
            await send(message)

        self._open += 1
        try:
            await self._answer(scope, receive, sending)
        except ClientDisconnect:
            pass  # nobody is left to answer to
        finally:
            self._open -= 1

    async def _answer(self, scope, receive, send) -> None:
        refusal = self._refusal(scope)
        if refusal is None and scope["path"] == _RUN:
            try:
                event = self._events.understood(await whole(receive, EVENT))
            except Refused as too:
                refusal = refused(too.status)
            else:
                refusal = refused(422) if event is None else None
                receive = _again(event, receive)
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope) -> Response | None:
        headers, path = Headers(scope=scope), scope["path"]
        host, origin = headers.get("host", ""), headers.get("origin")
        # Another site's page could send here, or have its name resolved to this computer.
        if self._terms.local and host.rpartition(":")[0] not in _LOCAL and host not in _LOCAL:
            return PlainTextResponse("This page is for this computer only.", 403)
        if origin is not None and origin.rpartition("//")[2] != host:
            return PlainTextResponse("Only the page itself may send requests.", 403)
        if not _is_open(scope["method"], path):
            return PlainTextResponse("There is nothing here.", 404)
        limit = self._terms.limit if path == _FILM else EVENT
        if int(headers.get("content-length") or 0) > limit:
            return refused(413)
        return refused(503) if self._open > _BUSY else None


def _is_open(method: str, path: str) -> bool:
    climbs = any(way in path for way in ("..", "//", "\\"))
    if method == "POST":
        return path in (_FILM, _RUN) or (path.startswith(_DESK) and not climbs)
    within = path.startswith(_OPEN_BELOW) and not climbs
    return method in ("GET", "HEAD") and (path in _OPEN or within)


def _again(body: bytes | None, receive):
    """`receive` that gives this body first."""
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def receiving():
        return parts.pop() if parts else await receive()

    return receiving
