"""A study's figures: scores of settings as dots, and differences between them around zero."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from cxrkeras.evaluation.report.plots import Panel, nice_ticks, tick_text

KINDS = ("pooled", "val", "train")
"""Classes of the style sheet, one colour each, reused in turn if there are more groups."""
ROW, TOP, BOTTOM, WIDTH = 30, 8, 36, 560


@dataclass(frozen=True)
class Mark:
    """One value and its spread.

    Args:
        value: None leaves it out.
        low: end of its interval, or None.
        high: the other end, or None.
        folds: the same score in each fold.
        group: number of its colour.
        title: hover text.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    folds: Sequence[float] = ()
    group: int = 0
    title: str = ""


def dot_figure(
    rows: Mapping[str, Sequence[Mark]], name: str, alternative: str, *, chance: float | None = None
) -> Markup | None:
    """Marks side by side in named rows, over one axis.

    Args:
        rows: the marks of each row, top to bottom.
        name: name name of the axis.
        alternative: alternative text for readers who can't see the figure.
        chance: a level drawn as a dashed line.
    """
    marks = [mark for row in rows.values() for mark in row if mark.value is not None]
    if not marks:
        return None
    ends = [v for m in marks for v in (m.value, m.low, m.high, *m.folds) if v is not None]
    ends += [] if chance is None else [chance]
    room = 0.04 * (max(ends) - min(ends)) or 0.01
    panel = Panel(
        (min(ends) - room, max(ends) + room),
        (len(rows), 0),
        width=WIDTH,
        height=TOP + ROW * len(rows) + BOTTOM,
        left=24 + 5.6 * max(map(len, rows)),  # 11 px letters are about half as wide
        right=14,
        top=TOP,
        bottom=BOTTOM,
    )
    _frame(panel, list(rows), name)
    if chance is not None:
        panel.line([(chance, 0), (chance, len(rows))], "chance", f"{chance:.3f}")
    for place, row in enumerate(rows.values()):
        for number, mark in enumerate(row):
            _mark(panel, mark, place + (number + 1) / (len(row) + 1))
    return panel.svg(alternative)


def _frame(panel: Panel, names: Sequence[str], axis: str) -> None:
    for tick in nice_ticks(*panel.x_range, 6):
        panel.line([(tick, 0), (tick, len(names))], "grid")
        x, y = panel.at(tick, len(names))
        _text(panel, x, y + 14, tick_text(tick), "tick middle")
    for place, name in enumerate(names):
        x, y = panel.at(panel.x_range[0], place + 0.5)
        _text(panel, x - 10, y + 3.5, name, "row end")
    _text(
        panel, (panel.left + panel.width - panel.right) / 2, panel.height - 5, axis, "axis middle"
    )


def _mark(panel: Panel, mark: Mark, height: float) -> None:
    if mark.value is None:
        return
    kind = KINDS[mark.group % len(KINDS)]
    if mark.low is not None:
        panel.line([(mark.low, height), (mark.high, height)], f"{kind} thin", mark.title)
    panel.dots([(value, height) for value in mark.folds], f"{kind} faint", 2)
    panel.dots([(mark.value, height)], kind, 4)


def _text(panel: Panel, x: float, y: float, text: str, kind: str) -> None:
    panel.parts.append(f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>')
