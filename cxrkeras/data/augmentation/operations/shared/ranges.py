"""An option that is a range, written `LOW..HIGH`."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer


def _pair(value: Any) -> Any:
    """Read `0.9..1.1`, or one number for both ends; a list and the like are pairs already."""
    if isinstance(value, str):
        low, dots, high = value.partition("..")
        return (low, high) if dots else (low, low)
    return (value, value) if isinstance(value, int | float) else value


def _in_order(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError("must be LOW..HIGH, the lower end first")
    return value


def above_nothing(value: tuple[float, float]) -> tuple[float, float]:
    """For a range that must not begin at 0."""
    if value[0] == 0:
        raise ValueError("must be greater than 0")
    return value


def at_most_one(value: tuple[float, float]) -> tuple[float, float]:
    """For a range of shares."""
    if value[1] > 1:
        raise ValueError("must be at most 1")
    return value


def _text(value: tuple[float, float]) -> str:
    low, high = value
    return str(low) if low == high else f"{low}..{high}"


_End = Annotated[float, Field(ge=0)]
Range = Annotated[
    tuple[_End, _End],
    BeforeValidator(_pair),
    AfterValidator(_in_order),
    PlainSerializer(_text, when_used="json"),
]
"""Lowest and highest value, neither below 0."""
