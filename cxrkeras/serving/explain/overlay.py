"""Heat maps over films, as pictures with captions."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cxrkeras.evaluation.boxes.heat import enlarged, to_bytes_scale
from cxrkeras.evaluation.boxes.localisation import CUTS

WARNING = "Not for clinical use"
SIDE = 512  # pixels of the film in an overlay
TILE = 320  # and in a sheet
_INK, _PAPER, _SOFT = (24, 24, 27), (255, 255, 255), (95, 95, 105)
_PAD, _BAR, _SCALE = 12, 16, 74  # margin, width of the colour scale, and room for it
# Viridis, whose lightness rises all the way: it reads the same in grey, on paper and with any
# colour blindness (Nuñez, Anderton & Renslow, PLoS ONE 2018). Every sixteenth of matplotlib's 256
# colours (CC0), and straight lines between them.
_ANCHORS = (
    "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c "
    "1f9f88 27ad81 3dbc74 5cc863 81d34d aadc32 d5e21a fde725"
)
_TABLE = np.array([tuple(bytes.fromhex(anchor)) for anchor in _ANCHORS.split()], np.float64)


@dataclass(frozen=True)
class Heat:
    """One label's map, with what is to be said of it.

    Attributes:
        label: its name.
        values: (h, w) float; its cells tile the film.
        probability: in [0, 1].
        threshold: the operating point, or None if there is none.
        origin: where the operating point comes from, e.g. "youden".
        unit: what the map's values are, e.g. "logit".
        known: (B, 4) known boxes as parts of the side, drawn dashed; or None.
    """

    label: str
    values: np.ndarray
    probability: float
    threshold: float | None
    origin: str
    unit: str
    known: np.ndarray | None = None

    @property
    def positive(self) -> bool | None:
        """Whether the probability exceeds the operating point."""
        return None if self.threshold is None else self.probability > self.threshold

    def lines(self) -> tuple[str, str]:
        """The caption: the label with the model's score, and the decision with its origin."""
        head = f"{self.label}  score {shown(self.probability)}"
        if self.threshold is None:
            return head, "no operating point"
        sign, word = (">", "positive") if self.positive else ("<=", "negative")
        return head, f"{word}: {sign} {shown(self.threshold)} ({self.origin})"


def shown(probability: float) -> str:
    """A probability with three digits that mean something: 0.834, 0.0021."""
    return f"{probability:.3f}" if probability >= 0.01 else f"{probability:.2g}"


def blend(film: np.ndarray, heat: np.ndarray, side: int, opacity: float) -> Image.Image:
    """The map's colours over the film; the lower the value, the clearer the film.

    A line marks where the map's boxes are drawn: above 180 of 255 on the map's own scale.

    Args:
        film: (P, P) uint8.
        heat: (h, w) float.
        side: S of the picture, pixels.
        opacity: in [0, 1], of the highest value.

    Returns:
        An (S, S) picture in colour.
    """
    scaled = to_bytes_scale(enlarged(heat, side)) / 255
    return paint(np.asarray(_resized(film, side)), scaled, opacity)


def paint(grey: np.ndarray, scaled: np.ndarray, opacity: float, line: int = 1) -> Image.Image:
    """Colours over a film of any shape; see `blend`.

    Args:
        grey: (H, W) uint8.
        scaled: (H, W) float, a map in [0, 1].
        opacity: in [0, 1], of 1 in the map.
        line: pixels of either half of the outline.
    """
    share = opacity * scaled[..., None]
    mixed = (1 - share) * grey[..., None] + share * coloured(scaled)
    for tone, where in zip((255, 0), outlines(scaled, line), strict=True):
        mixed[where] = tone
    return Image.fromarray(np.rint(mixed).astype(np.uint8))


def outlines(scaled: np.ndarray, line: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The line around what is above 180 of 255: light within, dark without, seen on any ground.

    Args:
        scaled: (H, W) float, a map in [0, 1].
        line: pixels of either half.

    Returns:
        (H, W) bool of the light half, and of the dark one.
    """
    region = scaled > CUTS[1] / 255
    return _outline(region, 0, line), _outline(region, 1, line)


def coloured(values: np.ndarray) -> np.ndarray:
    """Numbers in [0, 1] as colours, dark violet to light yellow.

    Args:
        values: (...) float; what is beyond the ends takes their colour.

    Returns:
        (..., 3) uint8.
    """
    places = np.linspace(0, 1, len(_TABLE))
    channels = [np.interp(values, places, channel) for channel in _TABLE.T]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def _resized(film: np.ndarray, side: int) -> Image.Image:
    return Image.fromarray(film).resize((side, side), Image.Resampling.BICUBIC)


def _outline(region: np.ndarray, outside: int, line: int) -> np.ndarray:
    """The pixels along a region's border: its own last ones, or the first beyond."""
    inner = kept = region if not outside else ~region
    for _ in range(line):
        padded = np.pad(kept, 1, mode="edge")
        beside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        kept = kept & beside
    return inner & ~kept


def overlay(film: np.ndarray, heat: Heat, *, opacity: float, title: str, note: str) -> Image.Image:
    """One label's picture: film, map, caption, colour scale, warning.

    Args:
        film: (P, P) uint8.
        heat: the map.
        opacity: in [0, 1].
        title: the film's name.
        note: how the map was made.
    """
    page = _page(2 * _PAD + SIDE + _SCALE, 62 + SIDE + 46)
    draw = ImageDraw.Draw(page)
    head, decision = heat.lines()
    write(draw, (_PAD, 8), head, 22, width=SIDE)
    write(draw, (_PAD, 36), decision, 15, _SOFT, width=SIDE)
    corner = (_PAD, 62)
    page.paste(blend(film, heat.values, SIDE, opacity), corner)
    _draw_known(draw, heat.known, corner, SIDE)
    _draw_scale(page, heat, (_PAD + SIDE + 10, 62), SIDE, opacity)
    _foot(page, title, note)
    return page


def sheet(
    film: np.ndarray, heats: Sequence[Heat], *, opacity: float, title: str, note: str
) -> Image.Image:
    """The film beside each label's map; arguments as for `overlay`."""
    tiles = len(heats) + 1
    columns = min(tiles, 4 if tiles > 6 else 3)
    rows = -(-tiles // columns)
    wide, high = TILE + _SCALE + _PAD, 50 + TILE + _PAD
    page = _page(_PAD + columns * wide, _PAD + rows * high + 42)
    draw = ImageDraw.Draw(page)
    for place, heat in enumerate([None, *heats]):
        x, y = _PAD + place % columns * wide, _PAD + place // columns * high
        corner = (x, y + 44)
        if heat is None:
            write(draw, (x, y), "Film", 18, width=TILE)
            write(draw, (x, y + 22), "as the model sees it", 13, _SOFT, width=TILE)
            page.paste(_resized(film, TILE).convert("RGB"), corner)
            continue
        for line, (down, size, ink) in zip(
            heat.lines(), ((0, 18, _INK), (22, 13, _SOFT)), strict=True
        ):
            write(draw, (x, y + down), line, size, ink, width=TILE + _SCALE)
        page.paste(blend(film, heat.values, TILE, opacity), corner)
        _draw_known(draw, heat.known, corner, TILE)
        _draw_scale(page, heat, (x + TILE + 8, y + 44), TILE, opacity)
    _foot(page, title, note)
    return page


def _page(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), _PAPER)


def _draw_scale(
    page: Image.Image, heat: Heat, corner: tuple[int, int], side: int, opacity: float
) -> None:
    """The colours as they lie over middle grey, with the values at the ends and at the line."""
    draw = ImageDraw.Draw(page)
    low, high = float(heat.values.min()), float(heat.values.max())
    top, bottom = corner[1] + 20, corner[1] + side - 1
    x = corner[0]
    scaled = np.linspace(1, 0, bottom - top + 1)[:, None]
    strip = (1 - opacity * scaled) * 127 + opacity * scaled * coloured(scaled[:, 0])
    strip = np.repeat(strip[:, None], _BAR, axis=1)
    page.paste(Image.fromarray(np.rint(strip).astype(np.uint8)), (x, top))
    write(draw, (x, corner[1] - 2), heat.unit, 12, _SOFT, width=_SCALE - 8)
    line = round(top + (1 - CUTS[1] / 255) * (bottom - top))
    draw.line([(x - 3, line), (x + _BAR + 2, line)], fill=_INK, width=2)
    value = low + (high - low) * CUTS[1] / 255
    for y, number in ((top, high), (line - 7, value), (bottom - 14, low)):
        write(draw, (x + _BAR + 5, y), f"{number:+.2g}", 12, width=_SCALE - _BAR - 8)


def _draw_known(
    draw: ImageDraw.ImageDraw, known: np.ndarray | None, corner: tuple[int, int], side: int
) -> None:
    """Known boxes, dashed in white and black."""
    for x, y, width, height in [] if known is None else known * side:
        left, top = corner[0] + x, corner[1] + y
        right, bottom = left + width - 1, top + height - 1
        for start, stop in (
            ((left, top), (right, top)),
            ((left, bottom), (right, bottom)),
            ((left, top), (left, bottom)),
            ((right, top), (right, bottom)),
        ):
            _dashed(draw, np.array(start), np.array(stop))


def _dashed(draw: ImageDraw.ImageDraw, start: np.ndarray, stop: np.ndarray, dash: int = 6) -> None:
    length = float(np.abs(stop - start).sum())
    pieces = max(1, int(length // dash))
    points = [tuple(start + (stop - start) * k / pieces) for k in range(pieces + 1)]
    for number, pair in enumerate(pairwise(points)):
        draw.line(pair, fill=(255, 255, 255) if number % 2 else (0, 0, 0), width=2)


def _foot(page: Image.Image, title: str, note: str) -> None:
    draw = ImageDraw.Draw(page)
    write(draw, (_PAD, page.height - 40), WARNING, 16, (176, 0, 32), width=page.width)
    line = f"{title} | {note}"
    write(draw, (_PAD, page.height - 19), line, 12, _SOFT, width=page.width - 2 * _PAD)


def write(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    size: int,
    ink: tuple[int, int, int] = _INK,
    *,
    width: int,
) -> None:
    """One line, cut where it would be wider than `width` pixels."""
    font = ImageFont.load_default(size)
    text = _drawable(text)
    if draw.textlength(text, font) > width:
        while text and draw.textlength(text + "...", font) > width:
            text = text[:-1]
        text += "..."
    draw.text(place, text, fill=ink, font=font)


def _drawable(text: str) -> str:
    """The text in the letters that Pillow's own font has."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return plain if plain.strip() else "?" * len(text)
