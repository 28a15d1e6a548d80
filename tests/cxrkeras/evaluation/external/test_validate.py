"""A model elsewhere, held against itself out of fold: differences, and thresholds carried over."""

import re
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cxrkeras.evaluation.external.report import as_lines, is_external, write_external
from cxrkeras.evaluation.external.validate import Side, validate
from cxrkeras.evaluation.scores.predictions import Predictions

LABELS = ("Mass", "Edema", "Hernia")


def side(seed: int, count: int, gain: float) -> Side:
    rng = np.random.default_rng(seed)
    truth = (rng.random((count, 3)) < 0.3).astype(float)
    truth[:, 2] = 0
    truth[::7, 0] = np.nan
    prob = np.clip(0.3 + gain * np.nan_to_num(truth) + rng.normal(0, 0.12, (count, 3)), 0.01, 0.99)
    patients = tuple(f"{seed}-{n // 2}" for n in range(count))
    images = tuple(f"{seed}-{n}" for n in range(count))
    found = Predictions(images, patients, ("0",) * count, LABELS, prob, truth)
    return Side(found, prob)


POINT = {"threshold": 0.4, "from": "x", "cross_fitted": {"sensitivity": 0.5, "specificity": 0.6}}
POINTS = {"youden": {**dict.fromkeys(LABELS, POINT), "Edema": {"threshold": None, "from": "x"}}}
ABOUT = {
    "model": "run",
    "data": "other",
    "rule": "youden",
    "undistorted": True,
    "ranks_only": False,
    "lacking": ["Nodule"],
    "beside": [],
    "uncertain": "ignore",
    "blank": "zeros",
    "unlike": {"limit": 0.99, "flagged": 1, "share": 0.01, "promised": 0.01, "median": 0.5},
    "left_out": {"target": 1, "copies": 0, "patients": 2},
    "notes": [],
}


@pytest.fixture(scope="module")
def found():
    return validate(side(0, 160, 0.1), side(1, 240, 0.3), POINTS, ABOUT)


def test_the_difference_is_of_two_aurocs_on_independent_patients(found):
    here, before = side(0, 160, 0.1).predictions, side(1, 240, 0.3).predictions
    one = found["per_label"]["Edema"]["auroc"]
    aurocs = [roc_auc_score(s.truth[:, 1], s.prob[:, 1]) for s in (here, before)]
    assert one["difference"]["value"] == pytest.approx(aurocs[0] - aurocs[1], abs=1e-12)
    width = one["difference"]["high"] - one["difference"]["low"]
    parts = [one[name]["high"] - one[name]["low"] for name in ("here", "before")]
    assert width == pytest.approx(np.hypot(*parts), rel=0.12)  # their variances add up
    assert one["difference"]["high"] < 0
    assert found["macro"]["labels"] == ["Mass", "Edema"]


def test_thresholds_are_carried_over_as_they_are(found):
    own = side(0, 160, 0.1).predictions
    hits = positives = 0
    for truth, prob in zip(own.truth[:, 0], own.prob[:, 0], strict=True):
        positives += truth == 1
        hits += truth == 1 and prob > 0.4
    point = found["per_label"]["Mass"]["points"]["youden"]
    assert point["here"]["sensitivity"]["value"] == pytest.approx(hits / positives, abs=1e-12)
    assert point["before"] == {"sensitivity": 0.5, "specificity": 0.6}
    assert found["per_label"]["Edema"]["points"]["youden"]["here"]["sensitivity"] is None


def test_a_label_of_one_class_has_a_prevalence_and_no_more(found):
    one = found["per_label"]["Hernia"]
    assert one["prevalence"]["here"]["value"] == 0
    assert one["calibration"] == {"here": None, "before": None}
    assert one["recalibrated"] is None
    assert one["auroc"]["difference"]["value"] is None


def test_the_page_and_the_lines_say_it(found, tmp_path):
    page = write_external(tmp_path, found, side(0, 160, 0.1).predictions).read_text("utf-8")
    lines = "\n".join(as_lines(found))
    for text in (page, lines):
        assert "Not scored, since these data have no such label: Nodule." in text
        assert "1 films that are the run" in text
        assert "AUROC lower here than out of fold (intervals exclude 0): Mass -0." in text
        assert "By luck alone, 0.1 of 2 labels would be named." in text
        assert "Recalibration in the large moves all of a label" in text
    legend, table = lines.split("\n\n")[:2]
    assert "out of fold, then here" in legend
    assert re.search(r"\d\.\d{3} -> \d\.\d{3}", table)
    assert is_external(tmp_path)
    assert "nan" not in (tmp_path / "external.json").read_text().lower()


def test_few_positives_and_points_at_chance_are_warned_of(found, tmp_path):
    one = found["per_label"]["Mass"]
    bare = {"low": None, "high": None}
    shares = {"sensitivity": {"value": 0.5, **bare}, "specificity": {"value": 0.52, **bare}}
    points = {"youden": one["points"]["youden"] | {"here": shares}}
    rare = {**found["per_label"], "Mass": {**one, "positives": 4, "points": points}}
    doubtful = {**found, "per_label": rare}
    page = write_external(tmp_path, doubtful, side(0, 160, 0.1).predictions).read_text("utf-8")
    assert "<h2>Before you believe a number</h2>" in page
    assert "<li>Fewer than 10 positives in all: Mass (4)." in page
    told = "\n".join(as_lines(doubtful))
    assert "Before you believe it: Fewer than 10 positives in all: Mass (4)." in told
    assert "Before you believe it: No better than chance" in told
    assert "Mass 0.500 + 0.520" in told
    assert "Fewer than" not in "\n".join(as_lines(found))


def test_without_out_of_fold_films_nothing_is_compared():
    alone = validate(side(0, 160, 0.1), None, POINTS, ABOUT)
    assert alone["macro"]["difference"] is None
    assert any("nothing is compared" in line for line in as_lines(alone))


def test_mean_ranks_have_no_calibration(tmp_path):
    sides = [side(0, 160, 0.1), side(1, 240, 0.3)]
    here, before = (Side(replace(s.predictions, ranks_only=True), s.meant) for s in sides)
    found = validate(here, before, POINTS, ABOUT | {"ranks_only": True})
    one = found["per_label"]["Mass"]
    assert one["calibration"] == {"here": None, "before": None}
    assert one["recalibrated"] is None
    assert one["auroc"]["difference"]["value"] is not None
    page = write_external(tmp_path, found, here.predictions).read_text("utf-8")
    for text in (page, "\n".join(as_lines(found))):
        assert "mean ranks, not probabilities" in text
        assert "Recalibration in the large" not in text
