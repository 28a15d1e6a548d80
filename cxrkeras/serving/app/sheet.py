"""What a visitor can save: a sheet, or JSON. Neither names a file, or a person nobody typed."""

import io
import json
from dataclasses import asdict, dataclass, field
from datetime import date
from textwrap import wrap

from PIL import Image, ImageDraw

from cxrkeras.serving.app.answers import DECISIONS, film_name
from cxrkeras.serving.app.desk import Desk, Pane
from cxrkeras.serving.app.judge import Finding, Judge
from cxrkeras.serving.app.picture import FULL, Window, nearly_flat, picture, placed
from cxrkeras.serving.explain.overlay import WARNING, shown, write

DPI = 150
WIDTH, HEIGHT = 1240, 1754  # A4
_MARGIN, _ROW = 80, 40
_INK, _SOFT, _LINE, _PAPER = (23, 33, 43), (88, 101, 115), (221, 226, 232), (255, 255, 255)
_ACCENT, _WARN = (11, 101, 128), (163, 35, 26)
FORMAT = 2


@dataclass(frozen=True)
class View:
    """How the films are shown.

    Args:
        shown: numbers of the one or two films.
        windows: theirs by number.
        label: whose map lies over them; None for none.
        opacity: of the map's highest value, in [0, 1].
        words: what the visitor typed for the sheet.
    """

    shown: tuple[int, ...]
    windows: dict[int, Window] = field(default_factory=dict)
    label: str | None = None
    opacity: float = 0.5
    words: str = ""

    def panes(self, desk: Desk) -> list[Pane]:
        """Those that are still open."""
        return [desk.panes[number] for number in self.shown if number in desk.panes]


def as_json(desk: Desk, judge: Judge, view: View) -> bytes:
    """All open films, as numbers; the same words as `cxrkeras predict --json`."""
    panes = view.panes(desk)
    content = {
        "format": FORMAT,
        "notice": f"{WARNING}.",
        "words": view.words,
        "model": {"name": judge.name, "about": list(judge.about)},
        "operating_point": judge.rule,
        "decision": "positive where probability > threshold",
        "shown": "adjusted" if judge.distorted else "probability",
        "sensitivity_and_specificity": judge.reached,
        "films": [
            {
                "film": pane.number,
                "view": pane.seen.view,
                "warnings": list(pane.seen.warnings),
                "unlike": pane.unlike,
                "window": asdict(view.windows.get(pane.number, FULL)),
                "labels": {finding.label: _as_json(finding) for finding in pane.findings},
            }
            for pane in list(desk.panes.values())
        ],
    }
    if len(panes) == 2:
        films = [pane.number for pane in panes]
        content["difference"] = {"films": films, "labels": dict(_differences(*panes))}
    return (json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def as_png(desk: Desk, judge: Judge, view: View) -> bytes:
    """The sheet as a picture."""
    return _saved(draw_sheet(desk, judge, view), "PNG")


def as_pdf(desk: Desk, judge: Judge, view: View) -> bytes:
    """The sheet as one A4 page."""
    sheet = draw_sheet(desk, judge, view)
    return _saved(sheet, "PDF", resolution=DPI, title="cxrkeras", quality=92)


WRITERS = {
    "pdf": (as_pdf, "application/pdf"),
    "png": (as_png, "image/png"),
    "json": (as_json, "application/json"),
}


def draw_sheet(desk: Desk, judge: Judge, view: View) -> Image.Image:
    """Films as they are shown now, and the table; a longer page where labels are many.

    Returns:
        (W, H) RGB, A4 in proportion unless it is longer.
    """
    panes = view.panes(desk)
    side = (WIDTH - 2 * _MARGIN - 30) // 2 if len(panes) == 2 else 720
    height = max(HEIGHT, 2 * _MARGIN + 230 + side + 150 + _ROW * (len(judge.labels) + 2))
    page = Image.new("RGB", (WIDTH, height), _PAPER)
    draw = ImageDraw.Draw(page)
    _write(draw, (_MARGIN, _MARGIN - 20), view.words or "Chest radiograph, as a model sees it", 34)
    _write(draw, (_MARGIN, _MARGIN + 28), WARNING, 24, _WARN)
    about = wrap(" ".join([f"Model: {judge.name}.", *judge.about]), 125, max_lines=3)
    for number, line in enumerate(about):
        _write(draw, (_MARGIN, _MARGIN + 64 + 24 * number), line, 17, _SOFT)
    top = _MARGIN + 86 + 24 * len(about)
    for place, pane in enumerate(panes):
        _draw_film(page, (_MARGIN + place * (side + 30), top), side, pane, view, judge)
    _draw_table(draw, top + side + 104, panes, judge)
    foot = f"cxrkeras, {date.today().isoformat()}. {WARNING}."
    _write(draw, (_MARGIN, height - _MARGIN), foot, 17, _SOFT)
    return page


def _draw_film(
    page: Image.Image,
    corner: tuple[int, int],
    side: int,
    pane: Pane,
    view: View,
    judge: Judge,
) -> None:
    heat = pane.heats.get(view.label) if view.label else None
    window = view.windows.get(pane.number, FULL)
    share = None if heat is None else placed(heat, pane.inside, pad=judge.preparation.pad)
    image = picture(pane.seen.film, window, share, view.opacity).convert("RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    larger = min(side / image.width, side / image.height)
    if larger > 1:
        size = round(image.width * larger), round(image.height * larger)
        image = image.resize(size, Image.Resampling.BICUBIC)
    page.paste(image, corner)
    draw = ImageDraw.Draw(page)
    below = corner[1] + image.height + 8
    over = ""
    if heat is not None:
        flat = ", nearly flat" if nearly_flat(heat, judge.unit) else ""
        over = f", heat map of {view.label}, {heat.shape[0]} x {heat.shape[1]} cells{flat}"
    _write(draw, (corner[0], below), f"{film_name(pane)}{over}", 19, width=side)
    inverted = ", inverted" if window.inverted else ""
    told = f"Window: level {window.level:g} %, width {window.width:g} %{inverted}"
    _write(draw, (corner[0], below + 25), told, 16, _SOFT, width=side)
    remarks = "; ".join(filter(None, [pane.unlike, *pane.seen.warnings]))
    _write(draw, (corner[0], below + 47), remarks, 16, _WARN, width=side)


def _draw_table(draw: ImageDraw.ImageDraw, top: int, panes: list[Pane], judge: Judge) -> None:
    two = len(panes) == 2
    columns = (400, 740) if two else (400,)
    long = 170 if two else 320
    titles = list(zip(map(film_name, panes), columns, strict=True))
    if two:
        titles.append((f"{panes[0].number} - {panes[1].number}", 1080))
    for text, x in [("Label", _MARGIN), *titles]:
        _write(draw, (x, top), text, 18, _SOFT)
    y = top + 32
    for k, finding in enumerate(panes[0].findings):
        draw.line([(_MARGIN, y), (WIDTH - _MARGIN, y)], fill=_LINE)
        _write(draw, (_MARGIN, y + 9), finding.label, 19, width=columns[0] - _MARGIN - 16)
        for pane, x in zip(panes, columns, strict=True):
            _draw_bar(draw, (x, y), long, pane.findings[k])
        if two:
            change = finding.meant - panes[1].findings[k].meant
            _write(draw, (1080, y + 9), f"{change:+.3f}", 19)
        y += _ROW
    draw.line([(_MARGIN, y), (WIDTH - _MARGIN, y)], fill=_LINE)
    figure = judge.figure.lower()
    note = f"Upright mark: the operating point ({judge.rule}). Positive: a {figure} above it."
    if judge.reached:
        note += f" Sensitivity and specificity {judge.reached}"
    for number, line in enumerate(wrap(note, 135, max_lines=2)):
        _write(draw, (_MARGIN, y + 12 + 22 * number), line, 16, _SOFT)
    doubted = [finding.label for finding in panes[0].findings if finding.doubt]
    if doubted:
        told = f"Doubtful operating points, as the page and the JSON say: {', '.join(doubted)}."
        _write(draw, (_MARGIN, y + 60), told, 16, _WARN)


def _draw_bar(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], long: int, finding: Finding
) -> None:
    x, y = corner
    _write(draw, (x, y + 9), shown(finding.meant), 19)
    left, end = x + 75, x + 75 + long
    draw.rectangle([left, y + 15, end, y + 25], fill=_LINE)
    ink = _ACCENT if finding.positive else _SOFT
    draw.rectangle([left, y + 15, left + long * finding.meant, y + 25], fill=ink)
    if finding.bound is not None:
        mark = left + long * min(max(finding.bound, 0), 1)
        draw.line([(mark, y + 10), (mark, y + 30)], fill=_INK, width=3)
    told = DECISIONS[finding.positive]
    if long > 200 and finding.bound is not None:
        told += f" (at {shown(finding.bound)}{_shares(finding)})"
    elif finding.positive is not True:
        told = ""
    _write(draw, (end + 12, y + 10), told, 16, _INK if finding.positive else _SOFT)


def _shares(finding: Finding) -> str:
    shares = {"sens.": finding.sensitivity, "spec.": finding.specificity}
    told = (f", {name} {value:.2f}" for name, value in shares.items() if value is not None)
    return "".join(told)


def _write(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    size: int,
    ink: tuple[int, int, int] = _INK,
    width: int = WIDTH - 2 * _MARGIN,
) -> None:
    write(draw, place, text, size, ink, width=width)


def _saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _as_json(finding: Finding) -> dict:
    return {
        "probability": finding.probability,
        "adjusted": finding.adjusted,
        "prevalence": finding.prevalence,
        "threshold": finding.threshold,
        "adjusted_threshold": finding.adjusted_threshold,
        "sensitivity": finding.sensitivity,
        "specificity": finding.specificity,
        "from": finding.origin,
        "doubt": finding.doubt,
        "positive": finding.positive,
    }


def _differences(film: Pane, beside: Pane):
    for one, other in zip(film.findings, beside.findings, strict=True):
        yield one.label, one.meant - other.meant
