"""Uploads on their way from the browser to the page: held in memory, handed over once."""

import secrets
import threading
import time
from dataclasses import dataclass, field

_WAITING = 8  # uploads that may wait at once
_SECONDS = 60.0  # an upload that nobody fetched is forgotten


@dataclass
class Inbox:
    """Bodies by ticket.

    Args:
        limit: bytes of one body.
    """

    limit: int
    _bodies: dict[str, tuple[float, bytes]] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def put(self, body: bytes) -> str:
        """Keep a body until its ticket comes; the oldest makes room."""
        ticket = secrets.token_urlsafe(16)
        now = time.monotonic()
        with self._lock:
            fresh = [(t, kept) for t, kept in self._bodies.items() if now - kept[0] < _SECONDS]
            self._bodies = dict([*fresh, (ticket, (now, body))][-_WAITING:])
        return ticket

    def take(self, ticket: str) -> bytes | None:
        """The ticket's body, which is forgotten here; None for an unknown ticket."""
        with self._lock:
            return self._bodies.pop(ticket, (0.0, None))[1]
