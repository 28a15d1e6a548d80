"""Work spread over processes that may crash: a decoder's segfault costs one file, not the run."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.connection import wait as wait_for
from typing import TypeVar

from data_prep.errors import UserError

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
CRASHED = object()  # the outcome of an item on which the process died, even alone
_AHEAD = 4  # items handed out per worker: enough to keep it busy, few enough to retry singly


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(
    work: Callable[[Item], Outcome], items: Iterable[Item], workers: int
) -> Iterator[tuple[Item, Outcome | object]]:
    """Apply `work` to the items in several processes.

    Args:
        work: a picklable function.
        items: what to apply it to; consumed as the work goes on, so memory stays flat.
        workers: processes; 0 works in this one.

    Yields:
        (item, outcome), as they are done; the outcome is `CRASHED` where the process died of it.

    Raises:
        UserError: no process can be started.
        Exception: whatever `work` raises.
    """
    if workers == 0:
        yield from ((item, work(item)) for item in items)
        return
    items = iter(items)
    while True:
        suspects: list[Item] = []
        yield from _until_broken(work, items, workers, suspects)
        if not suspects:
            return
        for item in suspects:
            yield item, _alone(work, item)


def _until_broken(work, items, workers: int, suspects: list) -> Iterator[tuple]:
    """Work with one pool; where it breaks, leave in `suspects` what was under way."""
    pool = start_pool(workers)
    running: dict[Future, object] = {}

    def refill() -> None:
        for item in islice(items, workers * _AHEAD - len(running)):
            suspects[:] = [item]  # under way even where submitting it fails
            running[_submit(pool, work, item)] = item
            suspects.clear()

    try:
        refill()
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                outcome = future.result()
                yield running.pop(future), outcome
            refill()
    except BrokenProcessPool:
        suspects.extend(running.values())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, work, *items) -> Future:
    try:
        return pool.submit(work, *items)
    except (OSError, RuntimeError) as error:  # what a pool says that breaks at this very moment
        raise BrokenProcessPool from error


def _alone(work, item) -> object:
    with start_pool(1) as pool:
        try:
            _submit(pool, os.getpid).result()
        except BrokenProcessPool:
            raise UserError(
                "Worker processes can't be started here: memory is short, or a script lacks "
                "`if __name__ == '__main__':`. Mend that, or work without them (--workers 0)."
            ) from None
        try:
            return _submit(pool, work, item).result()
        except BrokenProcessPool:
            return CRASHED


def start_pool(workers: int) -> ProcessPoolExecutor:
    """Processes that leave Ctrl-C to this one and end with it."""
    # Never fork: the caller may hold threads and locks. A forkserver starts workers faster.
    methods = multiprocessing.get_all_start_methods()
    method = "forkserver" if "forkserver" in methods else "spawn"
    context = multiprocessing.get_context(method)
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and end when the parent is gone (even killed)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    wait_for([multiprocessing.parent_process().sentinel])
    os._exit(1)
