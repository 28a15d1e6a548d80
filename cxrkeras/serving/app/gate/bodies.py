"""Request bodies, limited in size and slowness, so that none fills memory or waits for ever."""

import asyncio

from starlette.requests import ClientDisconnect

_PATIENCE = 20.0  # seconds until a body must have begun, or a paused one go on
_PACE = 1 << 16  # bytes per second that a body must keep up on average


class Refused(Exception):
    """A body that isn't accepted.

    Args:
        status: of HTTP, which says why.
    """

    def __init__(self, status: int):
        super().__init__(status)
        self.status = status


async def whole(receive, limit: int) -> bytes:
    """The body of an ASGI request.

    Args:
        receive: of the request.
        limit: bytes.

    Raises:
        Refused: larger (413) or too slow (408).
        ClientDisconnect: it broke off.
    """
    body, begun = bytearray(), asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(_PATIENCE) as clock:
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > limit:
                    raise Refused(413)
                clock.reschedule(begun + _PATIENCE + len(body) / _PACE)
    except TimeoutError:
        raise Refused(408) from None
    return bytes(body)
