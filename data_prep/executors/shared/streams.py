"""What a Ray cluster works on: generators, whose results come one by one."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from data_prep.executors.shared.child import Ended

PATIENCE = 0.5  # seconds between looks at the keyboard
_GRACE = 5.0  # seconds to remove copies in


def started(ray: Any, function: Callable, cpus: float, gpus: float) -> Any:
    """A generator whose results come one by one. Ray doesn't retry what is lost: callers do."""
    return ray.remote(function).options(
        num_returns="streaming",
        num_cpus=cpus,
        num_gpus=gpus,
        max_retries=0,
        scheduling_strategy="SPREAD",
    )


def following(ray: Any, results: Any) -> Any:
    """The next result of such a generator, or that whoever made them was lost."""
    try:
        return ray.get(next(results))
    except StopIteration:
        return Ended(reason="It ended without an outcome.", again=True)
    except ray.exceptions.RayTaskError as error:
        kind = type(error.cause).__name__ if error.cause else type(error).__name__
        return Ended(
            reason=f"Unforeseen {kind} on the cluster, as where its machines have other versions "
            "of this package.",
            again=True,
        )
    except ray.exceptions.RayError as error:
        return Ended(reason=f"Its machine was lost ({type(error).__name__}).", again=True)


def stop(ray: Any, going: Sequence[Any]) -> None:
    """End what still goes on, by force if it hasn't tidied up within some seconds."""
    left, deadline = list(going), time.monotonic() + _GRACE
    for results in left:
        _cancel(ray, results)
    while left and time.monotonic() < deadline:
        ready, _ = ray.wait(left, num_returns=1, timeout=PATIENCE)
        left = [results for results in left if results not in ready or _goes_on(ray, results)]
    for results in left:
        _cancel(ray, results, force=True)


def _cancel(ray: Any, results: Any, *, force: bool = False) -> None:
    with suppress(Exception):  # it has ended, or its machine is gone
        ray.cancel(results, force=force)


def _goes_on(ray: Any, results: Any) -> bool:
    try:
        ray.get(next(results))
    except (StopIteration, ray.exceptions.RayError):
        return False
    return True
