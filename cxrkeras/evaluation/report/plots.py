"""Small figures as inline SVG. Colours and line widths come from the page's style sheet, by class.

Every function returns markup with `role="img"` and a text alternative.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup, escape

STRIP = (150.0, 22.0, 6.0)  # width, height and margin of a dot plot in a table cell
WIDE = (300.0, 22.0, 12.0)


@dataclass
class Panel:
    """One set of axes. Lengths are in SVG user units, about a pixel."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    width: float = 240
    height: float = 244
    log_y: bool = False
    left: float = 38
    right: float = 10
    top: float = 24
    bottom: float = 36
    parts: list[str] = field(default_factory=list)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Data to SVG coordinates."""
        across = _share(x, self.x_range)
        up = _share(math.log10(y), _logs(self.y_range)) if self.log_y else _share(y, self.y_range)
        return (
            self.left + across * (self.width - self.left - self.right),
            self.height - self.bottom - up * (self.height - self.top - self.bottom),
        )

    def axes(
        self, x_ticks: Sequence[float], y_ticks: Sequence[float], x_name: str, y_name: str
    ) -> None:
        """Grid lines, tick labels and the names of both axes."""
        (x0, x1), (y0, y1) = self.x_range, self.y_range
        for tick in y_ticks:
            self.line([(x0, tick), (x1, tick)], "grid")
            x, y = self.at(x0, tick)
            self._text(x - 6, y + 3.5, tick_text(tick), "tick end")
        for tick in x_ticks:
            self.line([(tick, y0), (tick, y1)], "grid")
            x, y = self.at(tick, y0)
            self._text(x, y + 14, tick_text(tick), "tick middle")
        middle = self.left + (self.width - self.left - self.right) / 2
        self._text(middle, self.height - 5, x_name, "axis middle")
        # the name of the upright axis stands above it, level, where it can be read
        self._text(self.left - 26, self.top - 11, y_name, "axis start")

    def line(self, points: Iterable[Sequence[float]], kind: str, title: str = "") -> None:
        """A polyline through data points; a single point becomes a dot, so that it shows."""
        shown = [self.at(*point) for point in points]
        if len(shown) == 1:
            self._dot(*shown[0], f"dot {kind}", title, 3)
            return
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in shown)
        self.parts.append(f'<polyline class="{kind}" points="{path}">{_title(title)}</polyline>')

    def band(self, x: Sequence[float], low: Sequence[float], high: Sequence[float]) -> None:
        """The area between two lines; what lies outside the axes stands on their edge."""
        (y0, y1), edges = self.y_range, (*zip(x, high, strict=True),)
        edges += (*zip(reversed(x), reversed(low), strict=True),)
        shown = [self.at(across, min(max(up, y0), y1)) for across, up in edges]
        path = " ".join(f"{across:.1f},{up:.1f}" for across, up in shown)
        self.parts.append(f'<polygon class="band" points="{path}"/>')

    def dots(self, points: Iterable[Sequence[float]], kind: str, radius: float = 3) -> None:
        """A dot at each data point."""
        for point in points:
            self._dot(*self.at(*point), f"dot {kind}", "", radius)

    def svg(self, alternative: str) -> Markup:
        """The finished figure."""
        return _svg(self.width, self.height, self.parts, alternative)

    def _dot(self, x: float, y: float, kind: str, title: str, radius: float) -> None:
        circle = f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}">'
        self.parts.append(f"{circle}{_title(title)}</circle>")

    def _text(self, x: float, y: float, text: str, kind: str) -> None:
        self.parts.append(f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>')


def unit_panel(
    lines: Sequence[tuple[np.ndarray, str, str]],
    chance: Sequence[tuple[float, float]],
    names: tuple[str, str],
    alternative: str,
) -> Markup:
    """A curve figure on the unit square.

    Args:
        lines: (points (P, 2), CSS class, hover text), the last one on top.
        chance: the line of a random classifier, as points.
        names: of the level and the upright axis.
        alternative: what a reader who can't see the figure should know.
    """
    panel = Panel((0, 1), (0, 1))
    panel.axes((0, 0.5, 1), (0, 0.5, 1), *names)
    panel.line(chance, "chance", "chance")
    for points, kind, title in lines:
        panel.line(points, kind, title)
    return panel.svg(alternative)


def reliability_panel(
    raw: np.ndarray,
    mended: np.ndarray | None,
    limit: float,
    alternative: str,
    bins: Sequence[Mapping] = (),
) -> Markup:
    """Observed share of positives against the mean score, with and without the loss's inflation.

    Args:
        raw: (B, 2) points of the scores as they are.
        mended: the same without the inflation; None where there is none.
        limit: of both axes.
        alternative: the text alternative.
        bins: of the last of these two, with intervals (`journal.reliability`), drawn as a band.
    """
    panel = Panel((0, limit), (0, limit))
    ticks = nice_ticks(0, limit, 3)
    panel.axes(ticks, ticks, "mean score", "share of positives")
    if bins:
        panel.band(*([one[name] for one in bins] for name in ("probability", "low", "high")))
    panel.line([(0, 0), (limit, limit)], "chance", "perfect calibration")
    for points, kind in ((raw, "val" if mended is not None else "pooled"), (mended, "pooled")):
        if points is not None:
            panel.line(points, f"{kind} thin")
            panel.dots(points, kind)
    return panel.svg(alternative)


def benefit_panel(curve: Mapping, alternative: str) -> Markup:
    """A decision curve: net benefit over threshold probabilities, of a model, of all and of none.

    Args:
        curve: see `journal.net_benefit.decision_curve`.
        alternative: the text alternative.
    """
    x, top = curve["thresholds"], max(max(curve["model"]), curve["all"][0], 0.001)
    y_range = (-top / 3, top * 1.15)
    panel = Panel((0, x[-1]), y_range, left=46)
    ticks = [t for t in nice_ticks(*y_range, 4) if t >= 0]
    panel.axes(nice_ticks(0, x[-1], 4), ticks, "threshold probability", "net benefit")
    if curve["low"]:
        panel.band(x, curve["low"], curve["high"])
    panel.line([(0, 0), (x[-1], 0)], "chance", "deciding for none")
    everyone = [(t, value) for t, value in zip(x, curve["all"], strict=True) if value >= y_range[0]]
    panel.line(everyone, "val", "deciding for all")
    model = [max(value, y_range[0]) for value in curve["model"]]
    panel.line(zip(x, model, strict=True), "pooled", "deciding by the model")
    return panel.svg(alternative)


def history_panel(
    lines: Sequence[tuple[np.ndarray, str, str]],
    name: str,
    alternative: str,
    *,
    reference: float | None = None,
    log_y: bool = False,
) -> Markup:
    """A quantity over epochs.

    Args:
        lines: (points (E, 2) of epoch and value, CSS class, hover text).
        name: of the quantity.
        alternative: the text alternative.
        reference: a level to draw as a dashed line.
        log_y: whether the upright axis is logarithmic.
    """
    points = np.concatenate([line[0] for line in lines])
    values = np.append(points[:, 1], [] if reference is None else [reference])
    y_range, y_ticks = _log_axis(values) if log_y else _axis(values)
    last = max(float(points[:, 0].max()), 2)
    panel = Panel((1, last), y_range, width=264, height=196, log_y=log_y, left=44, top=10)
    panel.axes([t for t in nice_ticks(1, last, 5) if t == int(t)], y_ticks, "epoch", "")
    if reference is not None:
        panel.line([(1, reference), (last, reference)], "chance", f"{reference:.3f}")
    for line in lines:
        panel.line(*line)
    return panel.svg(alternative)


def strip(
    value: float | None,
    folds: Sequence[float],
    reference: float | None,
    limits: tuple[float, float],
    alternative: str,
    *,
    interval: Mapping | None = None,
    wide: bool = False,
) -> Markup:
    """A dot plot for a table cell: folds as small dots, pooled as a large one, chance as a bar.

    Args:
        value: the pooled score; None is not drawn.
        folds: each fold's.
        reference: where chance, or no difference, stands; None is not drawn.
        limits: of the axis; what lies outside stands on its end.
        alternative: the text alternative.
        interval: `low` and `high` of the pooled score, drawn as a line with ends; None or bounds of
            None are not drawn.
        wide: twice as long, for a table with room.
    """
    width, height, edge = WIDE if wide else STRIP

    def x(v: float) -> float:
        share = min(max(_share(v, limits), 0.0), 1.0)
        return edge + share * (width - 2 * edge)

    middle = height / 2
    parts = [f'<line class="rail" x1="{edge}" x2="{width - edge}" y1="{middle}" y2="{middle}"/>']
    if reference is not None:
        at = f"{x(reference):.1f}"
        parts.append(f'<line class="tickmark" x1="{at}" x2="{at}" y1="3" y2="19"/>')
    parts += [f'<circle class="dot fold" cx="{x(v):.1f}" cy="{middle}" r="3"/>' for v in folds]
    if interval is not None and interval["low"] is not None:
        low, high = x(interval["low"]), x(interval["high"])
        ends = f"M{low:.1f} {middle - 4}v8M{high:.1f} {middle - 4}v8"
        parts.append(f'<path class="whisker" d="M{low:.1f} {middle}H{high:.1f}{ends}"/>')
    if value is not None:
        parts.append(f'<circle class="dot pooled" cx="{x(value):.1f}" cy="{middle}" r="5"/>')
    return _svg(width, height, parts, alternative, "strip")


def strip_axis(limits: tuple[float, float]) -> Markup:
    """The ends of a wide strip's axis, and its middle, as text above the strips of a table."""
    width, _, edge = WIDE
    middle = (limits[0] + limits[1]) / 2
    places = (
        (edge, limits[0], ""),
        (width / 2, middle, "middle"),
        (width - edge, limits[1], "end"),
    )
    parts = []
    for x, value, kind in places:
        text = tick_text(round(value, 3)).replace("-", "−")
        parts.append(f'<text class="{kind}" x="{x:g}" y="14">{text}</text>')
    return _svg(width, 18, parts, f"axis from {limits[0]:g} to {limits[1]:g}", "ticks")


def nice_ticks(low: float, high: float, wanted: int) -> list[float]:
    """About `wanted` round numbers within [low, high]."""
    step = (high - low) / max(wanted, 1)
    power = 10 ** math.floor(math.log10(step))
    step = next(m for m in (1, 2, 2.5, 5, 10) if m * power >= step * 0.999) * power
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def tick_text(value: float) -> str:
    """A short number: 0.5, 12, 1e-4."""
    if value and abs(value) < 0.001:
        mantissa, exponent = f"{value:.0e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{value:g}"


def _axis(values: np.ndarray) -> tuple[tuple[float, float], list[float]]:
    low, high = float(values.min()), float(values.max())
    room = (high - low) * 0.06 or max(abs(high) * 0.1, 0.01)
    bounds = (max(low - room, 0.0) if low >= 0 else low - room, high + room)
    return bounds, nice_ticks(*bounds, 4)


def _log_axis(values: np.ndarray) -> tuple[tuple[float, float], list[float]]:
    low = math.floor(math.log10(values.min()) + 1e-6)
    high = math.ceil(math.log10(values.max()) - 1e-6)
    step = max(1, round((high - low) / 5))
    # a third of a decade of air, so that no line runs along the frame
    return (10 ** (low - 0.3), 10 ** (high + 0.3)), [10.0**k for k in range(low, high + 1, step)]


def _share(value: float, bounds: tuple[float, float]) -> float:
    return (value - bounds[0]) / (bounds[1] - bounds[0])


def _logs(bounds: tuple[float, float]) -> tuple[float, float]:
    return math.log10(bounds[0]), math.log10(bounds[1])


def _title(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""


def _svg(width: float, height: float, parts: list[str], alternative: str, kind: str = "") -> Markup:
    head = f'<svg class="{kind or "figure"}" viewBox="0 0 {width:g} {height:g}" role="img"'
    return Markup(f'{head} aria-label="{escape(alternative)}">{"".join(parts)}</svg>')
