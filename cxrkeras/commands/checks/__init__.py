"""What `cxrkeras doctor` looks at: each check says what it found, and the cure."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

OK, WARNING, FAULT = "ok", "warning", "fault"


@dataclass(frozen=True)
class Found:
    """What a check found.

    Attributes:
        name: what was checked.
        state: `ok`; `warning`, where the rest works; `fault`, where something essential doesn't.
        said: what was found, in a few words without patient data.
        cure: the next thing to do; "" if nothing is.
    """

    name: str
    state: Literal["ok", "warning", "fault"]
    said: str
    cure: str = ""


Check = Callable[[], Iterable[Found]]


def carried_out(checks: Iterable[tuple[str, Check]]) -> Iterator[Found]:
    """What the checks find, one after the other; one that breaks is a fault itself.

    Args:
        checks: each with the name under which its breaking is told.
    """
    for name, check in checks:
        try:
            yield from check()
        except Exception as error:  # what is checked may be broken in any way
            kind = type(error).__name__
            yield Found(name, FAULT, f"{kind}: it can't be checked", "Install cxrkeras again.")
