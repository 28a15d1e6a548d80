"""Pictures: colours that read in grey, maps that lie where they should, words that fit."""

import numpy as np
import pytest
from PIL import Image

from cxrkeras.serving.explain.overlay import SIDE, TILE, Heat, blend, coloured, overlay, sheet

FILM = np.full((64, 64), 100, np.uint8)
HOW = {"opacity": 0.6, "title": "film", "note": "CAM"}


def heat(values, **changes) -> Heat:
    facts = {"label": "Mass", "probability": 0.83, "threshold": 0.4, "origin": "youden"}
    return Heat(values=np.array(values, float), unit="logit", **{**facts, **changes})


def lightness(colour: np.ndarray) -> np.ndarray:
    """CIE L* of sRGB 0-255."""
    share = colour / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    y = linear @ [0.2126, 0.7152, 0.0722]
    return np.where(y > 216 / 24389, 116 * np.cbrt(y) - 16, y * 24389 / 27)


def seen_without_red_cones(colour: np.ndarray) -> np.ndarray:
    """Protanopia, Machado et al. 2009, on linear light left out: their matrix as it is used."""
    matrix = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216]]
    matrix.append([-0.003882, -0.048116, 1.051998])
    return np.clip(colour @ np.array(matrix).T, 0, 255)


def test_the_colours_grow_lighter_all_the_way_for_every_eye():
    table = coloured(np.linspace(0, 1, 256)).astype(float)
    for seen in (table, seen_without_red_cones(table)):
        light = lightness(seen)
        assert np.ptp(light) > 70
        assert np.diff(light[::8]).min() > 0.5
    assert coloured(np.array([-1.0, 2.0])).tolist() == [[68, 1, 84], [253, 231, 37]]


def test_the_map_lies_over_the_right_corner():
    hot = np.zeros((4, 4))
    hot[0, 3] = 5  # upper right
    painted = np.asarray(blend(FILM, hot, 80, 0.6)).astype(int)
    changed = np.abs(painted - 100).sum(axis=2)
    row, column = np.argwhere(changed > 60).mean(axis=0)
    assert row < 20
    assert column > 60
    assert not changed[40:, :40].any()


def test_the_film_stays_upright_and_clear_where_the_map_is_low():
    film = np.zeros((64, 64), np.uint8)
    film[:16] = 200
    clear = np.asarray(blend(film, np.zeros((2, 2)), 64, 1.0))
    np.testing.assert_array_equal(clear, np.repeat(film[..., None], 3, axis=2))


@pytest.mark.parametrize("side", ["top", "bottom"])
def test_the_line_encloses_what_is_above_180(side):
    values = np.zeros((8, 8))
    values[: 3 if side == "top" else 0] = 1
    values[8 if side == "top" else 5 :] = 1
    painted = np.asarray(blend(FILM, values, 80, 0.0)).astype(int)
    rows = np.flatnonzero((painted == 255).all(axis=(1, 2)))
    assert len(rows) == 1  # one light line across, a dark one beside it
    assert 20 <= (rows[0] if side == "top" else 79 - rows[0]) <= 30


def test_an_overlay_has_its_words_and_its_known_boxes():
    box = np.array([[0.25, 0.5, 0.25, 0.25]])
    with_box = overlay(FILM, heat(np.eye(3), known=box), **HOW)
    without = overlay(FILM, heat(np.eye(3)), **HOW)
    differing = np.argwhere((np.asarray(with_box) != np.asarray(without)).any(axis=2))
    (top, left), (bottom, right) = differing.min(axis=0), differing.max(axis=0)
    assert [top - 62, left - 12] == pytest.approx([SIDE / 2, SIDE / 4], abs=2)
    assert [bottom - top, right - left] == pytest.approx([SIDE / 4] * 2, abs=3)
    other = overlay(FILM, heat(np.eye(3), probability=0.12), **HOW)
    assert np.asarray(other)[:60].tobytes() != np.asarray(without)[:60].tobytes()


def test_what_the_caption_says():
    assert heat(np.eye(2)).lines() == ("Mass  score 0.830", "positive: > 0.400 (youden)")
    quiet = heat(np.eye(2), probability=0.0021)
    assert quiet.lines() == ("Mass  score 0.0021", "negative: <= 0.400 (youden)")
    assert heat(np.eye(2), threshold=None).lines()[1] == "no operating point"


def test_the_red_warning_stands_on_every_picture():
    for picture in (overlay(FILM, heat(np.eye(2)), **HOW), sheet(FILM, [], **HOW)):
        foot = np.asarray(picture)[-42:-20].astype(int)
        assert (foot[..., 0] - foot[..., 1] > 100).sum() > 200


@pytest.mark.parametrize("count", [0, 1, 3, 8])
def test_a_sheet_has_the_film_and_a_tile_for_each_label(count):
    gradient = np.tile(np.arange(64, dtype=np.uint8) * 2, (64, 1))
    page = np.asarray(sheet(gradient, [heat(np.eye(3))] * count, **HOW).convert("L"))
    film = np.asarray(Image.fromarray(gradient).resize((TILE, TILE), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(page[56 : 56 + TILE, 12 : 12 + TILE], film)
    assert page.shape[0] > (count // 4) * TILE


def test_words_of_any_script_and_length_fit():
    names = ("Ödem " * 40, "氣胸", "Pleural_Thickening")
    page = sheet(FILM, [heat(np.eye(2), label=name) for name in names], **HOW)
    assert page.size == sheet(FILM, [heat(np.eye(2))] * 3, **HOW).size
