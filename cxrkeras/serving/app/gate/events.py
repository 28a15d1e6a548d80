"""What a browser may tell the page: known events, with plain values of the page's own parts.

Gradio copies each file that an event names, wherever in its body, so that no event of ours may name
one: what is handed on is written anew from the plain values that were understood.
"""

from collections.abc import Callable, Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_STRICT = ConfigDict(strict=True, extra="forbid")
Text = Annotated[str, Field(max_length=1000)]


class _Sent(BaseModel):
    """What `upload.js` says of a film."""

    model_config = _STRICT

    ticket: Text


class _Told(BaseModel):
    """An event as Gradio's client sends it."""

    model_config = _STRICT

    fn_index: int
    session_hash: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    data: list[float | Text | None]
    event_data: _Sent | None = None
    trigger_id: int | None = None


class Events:
    """The events of one page.

    Args:
        config: what Gradio tells browsers of it (`Blocks.get_config_file`).
    """

    def __init__(self, config: Mapping):
        fits = {part["id"]: _fits(part) for part in config["components"]}
        self._events = {
            event["id"]: (event["collects_event_data"], [fits[part] for part in event["inputs"]])
            for event in config["dependencies"]
            if not any(kind == "unload" for _, kind in event["targets"])  # the server's own
        }

    def understood(self, body: bytes) -> bytes | None:
        """The event in our own writing; None where it isn't one of the page."""
        try:
            told = _Told.model_validate_json(body)
        except ValidationError:
            return None
        sends, inputs = self._events.get(told.fn_index, (None, []))
        if sends is not (told.event_data is not None) or len(inputs) != len(told.data):
            return None
        if not all(fits(value) for fits, value in zip(inputs, told.data, strict=True)):
            return None
        return told.model_dump_json(exclude={"trigger_id"}).encode()


def _fits(part: Mapping) -> Callable[[object], bool]:
    """Whether a value can be of a part of the page."""
    if part["type"] == "slider":  # a number typed beyond its ends, or a box that was cleared
        return lambda value: value is None or isinstance(value, float)
    return lambda value: False  # no other part is asked
