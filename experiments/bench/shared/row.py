"""A row of the table: what was measured, against what, and what was wanted."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Row:
    """A row of `docs/performance.md`.

    Args:
        work: what was done, of how much: `500 files`.
        unit: of the figures: `s`, `images/s`, `MB`.
        ours: a figure of each repeat.
        peer: the peer's, pair by pair in the same repeats; empty where there is none.
        against: the peer, in words.
        at_least, at_most: what is wanted: of ours / peer where there is a peer, else of ours.
        note: what must be said beside it; a paragraph below the table.
    """

    work: str
    unit: str
    ours: Sequence[float]
    peer: Sequence[float] = ()
    against: str = ""
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def ratios(self) -> list[float]:
        """Ours / peer, of each repeat."""
        return [a / b for a, b in zip(self.ours, self.peer, strict=True)] if self.peer else []

    @property
    def met(self) -> bool | None:
        """Whether the median is what is wanted; None where nothing is."""
        if self.at_least is None and self.at_most is None:
            return None
        middle = median(self.ratios or self.ours)
        low = self.at_least is None or middle >= self.at_least
        return low and (self.at_most is None or middle <= self.at_most)

    def cells(self) -> list[str]:
        """As the table shows it: work, ours, the peer's, ratio, wanted."""
        against = f"{spread(self.peer)} {self.unit}, {self.against}" if self.peer else self.against
        return [
            self.work,
            f"{spread(self.ours)} {self.unit}".rstrip(),
            against,
            spread(self.ratios) if self.peer else "",
            self._wanted(),
        ]

    def _wanted(self) -> str:
        if self.met is None:
            return ""
        bounds = [
            f"{word} {figure(bound)}"
            for word, bound in (("≥", self.at_least), ("≤", self.at_most))
            if bound is not None
        ]
        return f"{' and '.join(bounds)}: {'yes' if self.met else 'no'}"


def spread(figures: Sequence[float]) -> str:
    """Median and range: `6.1 (5.9 to 6.4)`."""
    middle, low, high = (figure(f(figures)) for f in (median, min, max))
    return middle if low == high else f"{middle} ({low} to {high})"


def figure(value: float) -> str:
    """Three digits: 1,234, 56.7, 8.91, 0.0123."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}" if abs(value) >= 1 or value == 0 else f"{value:.3g}"
