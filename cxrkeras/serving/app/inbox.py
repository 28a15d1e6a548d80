"""Uploads on their way from the browser to the page: held in memory, handed over once."""

import secrets
import threading
from dataclasses import dataclass, field

_ROOM = 512 << 20  # bytes of all uploads at once


@dataclass
class Inbox:
    """Bodies by ticket, and the room for those that are still arriving.

    Args:
        limit: bytes of one body.
        room: bytes of all bodies, at least one of which fits.
        seconds: a body that nobody fetched is then forgotten; films before it are read meanwhile.
    """

    limit: int
    room: int = _ROOM
    seconds: float = 300.0
    _bodies: dict[str, bytes] = field(default_factory=dict, repr=False)
    _used: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def reserve(self, size: int) -> bool:
        """Keep room for a body that arrives; whether there is any."""
        with self._lock:
            fits = self._used + size <= max(self.room, self.limit)
            self._used += size if fits else 0
            return fits

    def release(self, size: int) -> None:
        """Give reserved room back."""
        with self._lock:
            self._used -= size

    def put(self, body: bytes) -> str:
        """Keep a body until its ticket comes."""
        ticket = secrets.token_urlsafe(16)
        with self._lock:
            self._bodies[ticket] = body
            self._used += len(body)
        return ticket

    def take(self, ticket: str) -> bytes | None:
        """The ticket's body, which is forgotten here; None for an unknown ticket."""
        with self._lock:
            body = self._bodies.pop(ticket, None)
            self._used -= len(body or b"")
            return body
