"""The pointing game against counted pixels, SciPy's Wilson interval, and plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from cxrkeras.evaluation.boxes.localisation import Case
from cxrkeras.evaluation.boxes.pointing import _inside, covered, play
from cxrkeras.evaluation.scores.shares import wilson

SIDE = 32
BOX = st.tuples(
    st.integers(0, 20), st.integers(0, 20), st.integers(1, 12), st.integers(1, 12)
)  # within 32 pixels


def case(known, peak, *, name="a", patient="", finding="Mass", side=SIDE):
    return Case(name, finding, patient, np.array(known, float), np.empty((0, 4)), peak, side)


@given(st.lists(BOX, min_size=1, max_size=4), st.integers(0, 3))
def test_what_boxes_cover_is_counted_pixels(boxes, tolerance):
    painted = np.zeros((SIDE, SIDE), bool)
    for x, y, width, height in boxes:
        low_x, low_y = max(0, x - tolerance), max(0, y - tolerance)
        painted[low_y : y + height + tolerance, low_x : x + width + tolerance] = True
    assert covered(np.array(boxes), SIDE, tolerance) == pytest.approx(painted.mean())


def test_a_random_point_hits_as_often_as_chance_says():
    rng = np.random.default_rng(0)
    boxes = np.array([[2, 3, 10, 20], [8, 1, 20, 6]], float)
    cases = [case(boxes, tuple(rng.uniform(0, SIDE, 2)), name=str(n)) for n in range(1200)]
    played = play(cases)
    assert played.low <= played.chance <= played.high
    assert played.chance == pytest.approx(covered(boxes, SIDE))


def test_hits_and_tolerance():
    box = [[10, 10, 5, 5]]
    assert play([case(box, (12.0, 15.0))]).hits == 1
    assert play([case(box, (12.0, 17.0))]).hits == 0
    assert play([case(box, (12.0, 17.0))], tolerance=2).hits == 1
    level = play([case(box, None)])
    assert (level.hits, level.level, level.cases) == (0, 1, 1)
    with pytest.raises(ValueError, match="at least one"):
        play([])


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_one_case_per_patient_is_wilsons_interval(hits):
    expected = binomtest(sum(hits), len(hits)).proportion_ci(method="wilson")
    low, high = wilson(np.array(hits), np.arange(len(hits)))
    assert (low, high) == pytest.approx((expected.low, expected.high))


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(1, 5))
def test_cases_of_one_patient_that_are_all_alike_count_once(hits, images):
    once = wilson(np.array(hits), np.arange(len(hits)))
    again = wilson(np.repeat(hits, images), np.repeat(np.arange(len(hits)), images))
    assert again == pytest.approx(once)


def test_the_interval_covers_what_it_should():
    rng = np.random.default_rng(1)
    unit = np.repeat(np.arange(40), 3)
    covers = 0
    for _ in range(400):
        tends = rng.beta(2, 2, 40)  # patients differ; the mean is one half
        low, high = wilson(rng.random(120) < np.repeat(tends, 3), unit)
        covers += low <= 0.5 <= high
    assert 0.90 <= covers / 400 <= 0.99


def test_swapped_is_a_loop_over_other_patients_of_the_label():
    rng = np.random.default_rng(2)
    cases = []
    for n in range(30):
        side = int(rng.choice([32, 64]))
        boxes = rng.uniform(0, 0.7, (rng.integers(1, 3), 4)) * side / 2 + 1
        peak = None if n == 3 else tuple(rng.uniform(0, side, 2))
        who = {"name": str(n), "patient": str(n % 11), "finding": "AB"[n % 2]}
        cases.append(case(boxes, peak, side=side, **who))
    shares = []
    for own in cases:
        met = []
        for other in cases:
            if other.label == own.label and other.patient != own.patient:
                scale = other.side / own.side
                peak = own.peak and tuple(v * scale for v in own.peak)
                met.append(_inside(peak, other.known, 0.4))
        shares.append(np.mean(met))
    assert play(cases, 0.4).swapped == pytest.approx(np.mean(shares))


def test_swapped_needs_somebody_else():
    cases = [case([[0, 0, 5, 5]], (1.0, 1.0), name=str(n), patient="p") for n in range(2)]
    assert np.isnan(play(cases).swapped)
    assert play(cases).patients == 1
