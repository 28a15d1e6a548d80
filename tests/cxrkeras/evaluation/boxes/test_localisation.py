"""Boxes against scikit-image, overlaps against counted pixels, a table against one by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import label, regionprops

from cxrkeras.evaluation.boxes.heat import enlarged, to_bytes_scale
from cxrkeras.evaluation.boxes.known_boxes import read_known_boxes
from cxrkeras.evaluation.boxes.localisation import (
    Case,
    boxes_from_map,
    by_label,
    intersections,
    iobb,
    iou,
    localise,
)
from cxrkeras.evaluation.boxes.localisation_table import ALL, as_json, as_text, rows, score

SIDE = 32
BOX = st.tuples(
    st.integers(0, 20), st.integers(0, 20), st.integers(1, 12), st.integers(1, 12)
)  # within 32 pixels


def case(known, found, *, name="a", finding="Mass", peak=(1.0, 1.0), patient=""):
    known, found = (np.array(boxes, float).reshape(-1, 4) for boxes in (known, found))
    return Case(name, finding, patient, known, found, peak, SIDE)


def mask(box) -> np.ndarray:
    x, y, width, height = box
    painted = np.zeros((SIDE, SIDE), bool)
    painted[y : y + height, x : x + width] = True
    return painted


@pytest.mark.parametrize("cut", [60, 180])
@pytest.mark.parametrize("seed", range(8))
def test_boxes_are_those_of_scikit_image(seed, cut):
    heat = np.random.default_rng(seed).normal(size=(7, 7))
    grey = to_bytes_scale(enlarged(heat, SIDE))
    expected = []
    for region in regionprops(label(grey > cut, connectivity=2), intensity_image=grey):
        top, left, bottom, right = region.bbox
        expected.append(
            ((left, top, right - left, bottom - top), region.intensity_max, region.area)
        )
    found = boxes_from_map(heat, SIDE, cuts=(cut,))
    assert [(box.corners, box.highest) for box in found] == [e[:2] for e in expected]
    (largest,) = boxes_from_map(heat, SIDE, cuts=(cut,), largest=True)
    assert largest.corners == max(expected, key=lambda e: e[2])[0]


def test_one_hot_cell_gives_a_box_around_it_for_each_cut():
    heat = np.zeros((4, 4))
    heat[1, 2] = 1
    wide, narrow = boxes_from_map(heat, SIDE)
    assert (wide.cut, narrow.cut) == (60, 180)
    for box in (wide, narrow):
        assert box.x + box.width / 2 == pytest.approx(20)
        assert box.y + box.height / 2 == pytest.approx(12)
        assert box.highest == 255
    assert wide.width > narrow.width
    assert boxes_from_map(np.ones((4, 4)), SIDE) == []


@given(one=BOX, other=BOX)
def test_overlaps_are_counted_pixels(one, other):
    common, union = (mask(one) & mask(other)).sum(), (mask(one) | mask(other)).sum()
    pair = np.array([one]), np.array([other])
    assert intersections(*pair) == common
    assert iou(*pair) == pytest.approx(common / union)
    assert iobb(*pair) == pytest.approx(common / mask(one).sum())


def test_overlaps_in_closed_form():
    known = np.array([[0, 0, 10, 10]])
    shifted, inner = np.array([[5, 0, 10, 10]]), np.array([[2, 2, 4, 4]])
    assert iou(shifted, known) == pytest.approx(1 / 3)
    assert iobb(shifted, known) == pytest.approx(1 / 2)
    assert iobb(inner, known) == 1  # within the known box, however small
    assert iobb(known, inner) == pytest.approx(0.16)


def test_the_table_of_cases_done_by_hand():
    cases = [
        case([(0, 0, 10, 10)], [(0, 0, 10, 10), (20, 20, 4, 4)]),  # met exactly, one false
        case([(0, 0, 10, 10), (20, 20, 10, 10)], [(5, 0, 10, 10)]),  # one of two by a half
        case([(0, 0, 10, 10)], []),
    ]
    table = localise(cases)
    assert (table.images, table.boxes, table.found) == (3, 4, 3)
    assert table.accuracy["IoBB"][0.25] == 2 / 4
    assert table.accuracy["IoBB"][0.5] == 1 / 4  # a half doesn't exceed a half
    assert table.accuracy["IoU"][0.3] == 2 / 4
    assert table.accuracy["IoU"][0.4] == 1 / 4
    assert table.false_positives["IoBB"][0.25] == pytest.approx(1 / 3)
    assert table.false_positives["IoBB"][0.5] == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="at least one"):
        localise([])


@given(st.lists(st.tuples(BOX, st.lists(BOX, max_size=3)), min_size=1, max_size=5))
def test_no_threshold_is_met_more_often_than_a_lower_one(pairs):
    table = localise([case([known], found) for known, found in pairs])
    for name, shares in table.accuracy.items():
        values = list(shares.values())
        alarms = list(table.false_positives[name].values())
        assert values == sorted(values, reverse=True)
        assert alarms == sorted(alarms)
        # one known box per image: a found box is false or true
        assert all(alarm <= table.found / table.images for alarm in alarms)


def test_every_label_has_its_scores_and_the_text_says_how_many():
    cases = [
        case([(0, 0, 10, 10)], [(0, 0, 10, 10)], peak=(5.0, 5.0)),
        case([(0, 0, 10, 10)], [], finding="Nodule", name="b", peak=(30.0, 30.0)),
    ]
    assert list(by_label(cases, ["Nodule", "Edema", "Mass"])) == ["Nodule", "Mass"]
    scores = score(cases, ["Mass", "Nodule", "Edema"])
    assert list(scores) == ["Mass", "Nodule", ALL]
    assert as_json(scores)["Mass"]["boxes"]["accuracy"]["IoBB"][0.9] == 1
    assert as_json(scores)["Mass"]["pointing"]["swapped"] is None
    assert ("Mass", 1, 1, "IoBB", 0.9, 1.0, 0.0) in rows(scores)
    text = as_text(scores, tolerance=3)
    assert ["Mass", "Nodule", *ALL.split()] in [line.split() for line in text.splitlines()]
    assert ["boxes", "1", "1", "2"] in [line.split() for line in text.splitlines()]
    assert "3 px of tolerance" in text
    assert "T(IoBB) = 0.1  Acc.       1.000     0.000       0.500" in text


@pytest.mark.real
def test_knowing_where_a_finding_usually_lies_reaches_published_figures(real):
    """NIH's boxes met by one box per label, the median one, as the paper's table counts them."""
    known = read_known_boxes(real("metadata", "BBox_List_2017.csv.gz"), 1024)
    cases = []
    for name in known.labels:
        boxes = [(key[0], one) for key, one in known.of.items() if key[1] == name]
        corners = np.concatenate([np.hstack([b[:, :2], b[:, :2] + b[:, 2:]]) for _, b in boxes])
        left, top, right, bottom = np.median(corners, axis=0)
        usual = np.array([[left, top, right - left, bottom - top]])
        cases += [Case(image, name, "", one, usual, None, 1) for image, one in boxes]
    scores = score(cases, known.labels)
    assert {name: one.boxes.boxes for name, one in scores.items()}[ALL] == 984
    at_a_tenth = {name: one.boxes.accuracy["IoBB"][0.1] for name, one in scores.items()}
    assert at_a_tenth["Cardiomegaly"] > 0.99  # Wang et al.: .993
    assert at_a_tenth["Pneumonia"] > 0.75  # .750
    assert at_a_tenth["Nodule"] < 0.02  # .165
    assert {one.boxes.found / one.boxes.images for one in scores.values()} == {1.0}
