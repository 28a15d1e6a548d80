"""Numbers as options take them."""

import math
from typing import Any

import click


class Finite(click.FloatRange):
    """A range of floats; `nan`, which compares with nothing, and `inf` are no numbers of it."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """As `FloatRange`; fails with one line."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number
