"""What one visitor has open: some films, in memory, until the page is closed."""

import secrets
import threading
import time
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from cxrkeras.serving.app.judge import Finding
from cxrkeras.serving.app.picture import field_of_view
from cxrkeras.serving.app.reading import Seen

FILMS = 16  # of one visitor
DESKS = 32  # visitors at once; whoever was away longest makes room
_HELD = 160  # films of all visitors, for which they make room too
_SECONDS = 3600.0  # an abandoned desk is cleared


@dataclass
class Pane:
    """One film, and what the model says of it.

    Attributes:
        number: by which people know it.
        seen: the film.
        findings: K of them.
        unlike: how unlike the training films it is, in a sentence; "" where not known.
        heats: the maps that were asked for, by label.
    """

    number: int
    seen: Seen
    findings: tuple[Finding, ...]
    unlike: str = ""
    heats: dict[str, np.ndarray] = field(default_factory=dict)

    @cached_property
    def inside(self) -> np.ndarray:
        """(H, W) bool: its field of view."""
        return field_of_view(self.seen.film)


@dataclass
class Desk:
    """A visitor's films by number, in the order in which they came."""

    key: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    panes: dict[int, Pane] = field(default_factory=dict)
    touched: float = field(default_factory=time.monotonic)
    _count: int = 0

    def open(self, seen: Seen, findings: tuple[Finding, ...], unlike: str = "") -> Pane:
        """Lay a film down, under a number that none had before it: what a page still shows under
        the number of a film that was closed can't be taken for this one.
        """
        self._count += 1
        pane = self.panes[self._count] = Pane(self._count, seen, findings, unlike)
        return pane


class Desks:
    """The desks of all visitors, by their session; also found by the desk's own key."""

    def __init__(self) -> None:
        self._desks: dict[str, Desk] = {}
        self._lock = threading.Lock()

    def of(self, session: str) -> Desk:
        """The visitor's desk, a new one at first, with room for a film."""
        with self._lock:
            desk = self._used(session)
            if desk is None:
                desk = self._desks[session] = Desk(touched=time.monotonic())
            while len(self._desks) > DESKS or (len(self._desks) > 1 and self._films() >= _HELD):
                self._desks.pop(next(iter(self._desks)))
            return desk

    def find(self, key: str) -> Desk | None:
        """The desk with this key; None if there is none, or no longer."""
        with self._lock:
            held = ((name, desk) for name, desk in self._desks.items() if desk.key == key)
            session, _ = next(held, ("", None))
            return self._used(session)

    def _used(self, session: str) -> Desk | None:
        now = time.monotonic()
        self._clear(now)
        desk = self._desks.pop(session, None)
        if desk is not None:
            desk.touched = now
            self._desks[session] = desk  # the last again
        return desk

    def drop(self, session: str) -> None:
        """Forget the visitor's films."""
        with self._lock:
            self._desks.pop(session, None)

    def __len__(self) -> int:
        return len(self._desks)

    def _films(self) -> int:
        return sum(len(desk.panes) for desk in self._desks.values())

    def _clear(self, now: float) -> None:
        old = [name for name, desk in self._desks.items() if now - desk.touched > _SECONDS]
        for name in old:
            del self._desks[name]
