"""What a visitor can save: a sheet, or JSON. Neither names a file or a person."""

import io
import json
from dataclasses import asdict
from datetime import date
from textwrap import wrap

from PIL import Image, ImageDraw

from cxrkeras.serving.app.desk import Desk, Pane
from cxrkeras.serving.app.judge import Finding, Judge
from cxrkeras.serving.app.picture import picture
from cxrkeras.serving.app.words import DECISIONS
from cxrkeras.serving.explain.overlay import WARNING, shown, write

DPI = 150
WIDTH, HEIGHT = 1240, 1754  # A4
_MARGIN, _ROW = 80, 40
_INK, _SOFT, _LINE, _PAPER = (23, 33, 43), (88, 101, 115), (221, 226, 232), (255, 255, 255)
_ACCENT, _WARN = (11, 101, 128), (163, 35, 26)
FORMAT = 1


def as_json(desk: Desk, judge: Judge) -> bytes:
    """Everything that the page shows, as numbers; the same words as `cxrkeras predict --json`."""
    films = desk.shown()
    content = {
        "format": FORMAT,
        "notice": f"{WARNING}.",
        "model": {"name": judge.name, "about": list(judge.about)},
        "operating_point": judge.rule,
        "decision": "positive where probability > threshold",
        "films": [
            {
                "film": slot,
                "warnings": list(pane.seen.warnings),
                "window": asdict(pane.window),
                "labels": {finding.label: _as_json(finding) for finding in pane.findings},
            }
            for slot, pane in films
        ],
    }
    if len(films) == 2:
        content["difference"] = dict(_differences(*(pane for _, pane in films)))
    return (json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def as_png(desk: Desk, judge: Judge) -> bytes:
    """The sheet as a picture."""
    return _saved(draw_sheet(desk, judge), "PNG")


def as_pdf(desk: Desk, judge: Judge) -> bytes:
    """The sheet as one A4 page."""
    return _saved(draw_sheet(desk, judge), "PDF", resolution=DPI, title="cxrkeras", quality=92)


WRITERS = {
    "pdf": (as_pdf, "application/pdf"),
    "png": (as_png, "image/png"),
    "json": (as_json, "application/json"),
}


def draw_sheet(desk: Desk, judge: Judge) -> Image.Image:
    """Films as they are shown now, and the table; a longer page where labels are many.

    Returns:
        (W, H) RGB, A4 in proportion unless it is longer.
    """
    films = desk.shown()
    labels = len(films[0][1].findings)
    side = (WIDTH - 2 * _MARGIN - 30) // 2 if len(films) == 2 else 720
    height = max(HEIGHT, 2 * _MARGIN + 180 + side + 150 + _ROW * (labels + 2))
    page = Image.new("RGB", (WIDTH, height), _PAPER)
    draw = ImageDraw.Draw(page)
    _write(draw, (_MARGIN, _MARGIN - 20), "Chest radiograph, as a model sees it", 34)
    _write(draw, (_MARGIN, _MARGIN + 28), WARNING, 24, _WARN)
    about = wrap(" ".join([f"Model: {judge.name}.", *judge.about]), 125, max_lines=3)
    for number, line in enumerate(about):
        _write(draw, (_MARGIN, _MARGIN + 64 + 24 * number), line, 17, _SOFT)
    top = _MARGIN + 86 + 24 * len(about)
    for place, (slot, pane) in enumerate(films):
        corner = _MARGIN + place * (side + 30), top
        _draw_film(page, corner, side, slot, pane, desk, judge)
    _draw_table(draw, top + side + 80, films, judge)
    foot = f"cxrkeras, {date.today().isoformat()}. {WARNING}."
    _write(draw, (_MARGIN, height - _MARGIN), foot, 17, _SOFT)
    return page


def _draw_film(
    page: Image.Image,
    corner: tuple[int, int],
    side: int,
    slot: str,
    pane: Pane,
    desk: Desk,
    judge: Judge,
) -> None:
    heat = pane.heats.get(desk.label) if desk.label else None
    pad = judge.preparation.pad
    image = picture(pane.seen.film, pane.window, heat, desk.opacity, pad=pad).convert("RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    share = min(side / image.width, side / image.height)
    if share > 1:
        size = round(image.width * share), round(image.height * share)
        image = image.resize(size, Image.Resampling.BICUBIC)
    page.paste(image, corner)
    draw = ImageDraw.Draw(page)
    below = corner[1] + image.height + 8
    over = f", heat map of {desk.label}" if heat is not None else ""
    window = f"level {pane.window.level:g} %, width {pane.window.width:g} %"
    _write(draw, (corner[0], below), f"Film {slot}{over}", 19, width=side)
    told = "; ".join([f"Window: {window}", *pane.seen.warnings])
    _write(draw, (corner[0], below + 25), told, 16, _SOFT, width=side)


def _draw_table(
    draw: ImageDraw.ImageDraw, top: int, films: list[tuple[str, Pane]], judge: Judge
) -> None:
    two = len(films) == 2
    columns = (400, 740) if two else (400,)
    long = 170 if two else 480
    titles = [(f"Film {slot}", x) for (slot, _), x in zip(films, columns, strict=True)]
    for text, x in [("Label", _MARGIN), *titles, *([("B - A", 1080)] if two else [])]:
        _write(draw, (x, top), text, 18, _SOFT)
    y = top + 32
    for k, finding in enumerate(films[0][1].findings):
        draw.line([(_MARGIN, y), (WIDTH - _MARGIN, y)], fill=_LINE)
        _write(draw, (_MARGIN, y + 9), finding.label, 19, width=columns[0] - _MARGIN - 16)
        for (_, pane), x in zip(films, columns, strict=True):
            _draw_bar(draw, (x, y), long, pane.findings[k])
        if two:
            change = films[1][1].findings[k].probability - finding.probability
            _write(draw, (1080, y + 9), f"{change:+.3f}", 19)
        y += _ROW
    draw.line([(_MARGIN, y), (WIDTH - _MARGIN, y)], fill=_LINE)
    note = f"Upright mark: the operating point ({judge.rule}). Positive: a probability above it."
    _write(draw, (_MARGIN, y + 12), note, 16, _SOFT)
    doubted = [finding.label for finding in films[0][1].findings if finding.doubt]
    if doubted:
        told = f"Doubtful operating points, as the page and the JSON say: {', '.join(doubted)}."
        _write(draw, (_MARGIN, y + 36), told, 16, _WARN)


def _draw_bar(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], long: int, finding: Finding
) -> None:
    x, y = corner
    _write(draw, (x, y + 9), shown(finding.probability), 19)
    left, end = x + 75, x + 75 + long
    draw.rectangle([left, y + 15, end, y + 25], fill=_LINE)
    ink = _ACCENT if finding.positive else _SOFT
    draw.rectangle([left, y + 15, left + long * finding.probability, y + 25], fill=ink)
    if finding.threshold is not None:
        mark = left + long * min(max(finding.threshold, 0), 1)
        draw.line([(mark, y + 10), (mark, y + 30)], fill=_INK, width=3)
    told = DECISIONS[finding.positive]
    if long > 200 and finding.threshold is not None:
        told += f" (at {shown(finding.threshold)})"
    elif finding.positive is not True:
        told = ""
    _write(draw, (end + 12, y + 10), told, 16, _INK if finding.positive else _SOFT)


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
        "from": finding.origin,
        "doubt": finding.doubt,
        "positive": finding.positive,
    }


def _differences(first: Pane, second: Pane):
    for one, other in zip(first.findings, second.findings, strict=True):
        yield one.label, other.probability - one.probability
