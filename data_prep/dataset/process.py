"""What a worker process does: one item after the other, each within limits, until nobody waits."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from multiprocessing.connection import wait

from data_prep.films.admission import Limits

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None

LIMITED = resource is not None
READY = "ready"


@dataclass(frozen=True)
class Died:
    """The outcome of an item that its process couldn't finish."""

    reason: str = "the decoder crashed on this file"

    @property
    def crashed(self) -> bool:
        """Whether it died without a known reason."""
        return self.reason == Died.reason


def work_on(connection, limits: Limits | None) -> None:
    """The process: leaves Ctrl-C to its parent, and ends with it (even killed).

    Args:
        connection: gives (work, item), and takes `READY`, then what `outcome_of` gives for each.
        limits: of each item.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection.send(READY)
    while True:
        try:
            work, item = connection.recv()
            _send(connection, outcome_of(work, item, limits), limits)
        except (EOFError, OSError):  # nobody waits any more
            return


def outcome_of(work: Callable, item: object, limits: Limits | None) -> tuple[bool, object]:
    """(whether it was raised, outcome or error)."""
    try:
        if limits:
            _limit(limits)
        return False, work(item)
    except MemoryError:
        return False, _greedy(limits)
    except Exception as error:
        return True, error


def _greedy(limits: Limits | None) -> Died:
    return Died(limits.too_greedy) if limits else Died("memory is short")


def unless_raised(raised: bool, outcome: object) -> object:
    """The outcome; an error that was raised is raised again."""
    if raised:
        raise outcome
    return outcome


def _send(connection, told: tuple[bool, object], limits: Limits | None) -> None:
    try:
        connection.send(told)
    except OSError:
        raise
    except MemoryError:
        connection.send((False, _greedy(limits)))
    except Exception as error:  # it can't be pickled
        connection.send((True, RuntimeError(f"no outcome of a process: {type(error).__name__}")))


def _limit(limits: Limits) -> None:
    """The limits of the next item, on top of what the process has taken so far."""
    if resource is None:
        return
    _set("RLIMIT_CORE", 0)
    taken = _address_space()
    if taken is not None:
        _set("RLIMIT_AS", taken + limits.memory)
    used = resource.getrusage(resource.RUSAGE_SELF)
    _set("RLIMIT_CPU", ceil(used.ru_utime + used.ru_stime) + limits.seconds)


def _address_space() -> int | None:
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:  # not Linux, where alone the limit is kept
        return None


def _set(name: str, wanted: int) -> None:
    kind = getattr(resource, name)
    _, most = resource.getrlimit(kind)
    soft = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(kind, (soft, most))


def _end_with_parent() -> None:
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
