"""Threshold rules, one per file: the score above which a label is positive.

A label is positive if its score *exceeds* the threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from cxrkeras.registry import RULES, Part
from data_prep.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from cxrkeras.evaluation.scores.curve import Curve

_LEAST = 0.1  # of the shares that somebody means: 2 isn't 2%


class Rule(Part):
    """How a threshold is chosen: a `PrevalenceRule` or a `FittedRule`.

    Its text, `NAME` or (with a main option) `NAME=VALUE`, is its key in `operating_points.json` and
    `model.json`.

    Attributes:
        example: options with which the shared tests run it.
    """

    example: ClassVar[Mapping[str, Any]] = {}

    def __str__(self) -> str:
        changed = self.model_dump(exclude_defaults=True)
        if list(changed) == [self.main]:
            return f"{self.part_name()}={changed[self.main]!r}"
        return super().__str__()


class PrevalenceRule(Rule):
    """A rule that needs no predictions.

    Attributes:
        needs_distortion: whether it must know what the loss makes of probabilities.
    """

    needs_distortion: ClassVar[bool] = False

    def threshold(
        self, prevalence: np.ndarray, distort: Callable[[np.ndarray], np.ndarray] | None
    ) -> np.ndarray:
        """Thresholds, elementwise.

        Args:
            prevalence: share of positives in the training part, in [0, 1]; NaN if unknown.
            distort: function from probabilities to the scores that the loss makes of them, of the
                same shape; None if unknown, which never reaches a rule that needs it.

        Returns:
            The thresholds, float64, of the same shape; NaN if there is none.
        """
        raise NotImplementedError

    def origin(self) -> str:
        """Where a threshold comes from, in words."""
        raise NotImplementedError


class FittedRule(Rule):
    """A rule that is fitted on predictions whose truth is known."""

    def threshold(self, curve: Curve) -> float:
        """The threshold for one label.

        Args:
            curve: its scores and truth, with both classes. `curve.after(step)` is the threshold
                that only its first `step` levels exceed.
        """
        raise NotImplementedError

    def origin(self) -> str:
        """What is fitted, in words, e.g. `sensitivity 0.95`; ` on 200 predictions` follows."""
        raise NotImplementedError


def parse_rule(text: str) -> Rule:
    """Read a rule as the command line has it, e.g. `youden` or `sensitivity=0.95`.

    Raises:
        UserError: there is no such rule, or an option is unknown or out of bounds.
    """
    name, equals, value = text.partition("=")
    if not equals or ":" in name:
        return RULES.make(text)
    part = RULES.load(name)
    if not part.main:
        raise UserError(
            f"{RULES.argument} {part.part_name()} takes no value. Received: {text!r}. "
            f"`cxrkeras parts rules {part.part_name()}` lists its options."
        )
    try:
        return RULES.of(part, {part.main: value})
    except UserError as error:
        share = _share(part, value)
        raise (UserError(f"{error} Write {name}={share:g}.") if share else error) from None


def _share(part: type[Rule], value: str) -> float | None:
    """What a percentage is as the share that the rule takes; None if neither is what it is."""
    try:
        share = float(value.strip().removesuffix("%")) / 100
        RULES.of(part, {part.main: share})
    except (UserError, ValueError):
        return None
    return share if share >= _LEAST else None
