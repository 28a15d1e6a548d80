"""What one visitor has open: at most two films, in memory, until the page is closed."""

import secrets
import threading
import time
from dataclasses import dataclass, field

import numpy as np

from cxrkeras.serving.app.judge import Finding
from cxrkeras.serving.app.picture import FULL, Window
from cxrkeras.serving.app.reading import Seen

SLOTS = ("A", "B")
DESKS = 32  # visitors at once; whoever was away longest makes room
_SECONDS = 3600.0  # an abandoned desk is cleared


@dataclass
class Pane:
    """One film, what the model says of it, and how it is shown."""

    seen: Seen
    findings: tuple[Finding, ...]
    window: Window = FULL
    heats: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass
class Desk:
    """A visitor's films by slot, the label whose map is shown, and its opacity in [0, 1]."""

    key: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    panes: dict[str, Pane] = field(default_factory=dict)
    label: str | None = None
    opacity: float = 0.5
    touched: float = field(default_factory=time.monotonic)

    def shown(self) -> list[tuple[str, Pane]]:
        """The films in order."""
        return [(slot, self.panes[slot]) for slot in SLOTS if slot in self.panes]


class Desks:
    """The desks of all visitors, by their session; also found by the desk's own key."""

    def __init__(self) -> None:
        self._desks: dict[str, Desk] = {}
        self._lock = threading.Lock()

    def of(self, session: str) -> Desk:
        """The visitor's desk, a new one at first."""
        with self._lock:
            desk = self._used(session)
            if desk is None:
                desk = self._desks[session] = Desk(touched=time.monotonic())
            while len(self._desks) > DESKS:
                self._desks.pop(next(iter(self._desks)))
            return desk

    def known(self, session: str) -> Desk | None:
        """The visitor's desk; None if there is none, or no longer."""
        with self._lock:
            return self._used(session)

    def _used(self, session: str) -> Desk | None:
        now = time.monotonic()
        self._clear(now)
        desk = self._desks.pop(session, None)
        if desk is not None:
            desk.touched = now
            self._desks[session] = desk  # the last again
        return desk

    def find(self, key: str) -> Desk | None:
        """The desk with this key."""
        with self._lock:
            self._clear(time.monotonic())
            return next((desk for desk in self._desks.values() if desk.key == key), None)

    def drop(self, session: str) -> None:
        """Forget the visitor's films."""
        with self._lock:
            self._desks.pop(session, None)

    def __len__(self) -> int:
        return len(self._desks)

    def _clear(self, now: float) -> None:
        old = [name for name, desk in self._desks.items() if now - desk.touched > _SECONDS]
        for name in old:
            del self._desks[name]
