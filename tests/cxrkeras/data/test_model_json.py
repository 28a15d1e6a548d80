"""`model.json` and its like from anybody: what doesn't fit is refused in one line, by its field."""

import json
import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrkeras.data.checked_json import Facts, checked, read_checked
from cxrkeras.data.model_json import read_model_json, write_model_json
from cxrkeras.data.preparation import Preparation, preparation_of
from data_prep.errors import UserError
from data_prep.files import LARGEST_JSON

LABELS = ["Mass", "Ödem & Co"]
POINT = {"threshold": 0.3, "from": "Youden on 90 predictions, 9 positive"}
REACHED = {"sensitivity": 0.8, "specificity": None}
HELD_OUT = REACHED | {"n": 9, "positives": 1}
SCORE = {"value": 0.8, "low": 0.7, "high": 0.85}
GROUP = {"what": "sex", "name": "female", "images": 40, "labels": 2, "auroc": 0.8}
FITTED = {"temperature": {"temperature": 1.5, "bias": -0.1}, "isotonic": None}
FACTS = {
    "labels": LABELS,
    "image_size": 64,
    "trained_on": "ours",
    "training_prevalence": {"Mass": 0.2, "Ödem & Co": None},
    "inflation": dict.fromkeys(LABELS, 4),
    "preparation": {"image_size": 96, "pad": True, "stretch": [1, 99.5]},
    "operating_points": {
        "youden": {
            "Mass": POINT
            | {"cross_fitted": REACHED, "held_out": REACHED | {"n": 9, "positives": 1}},
            "Ödem & Co": POINT | {"threshold": None},
        }
    },
    "calibration": dict.fromkeys(LABELS, FITTED | {"n": 90, "positives": 9, "from": "90"}),
    "performance": {
        "how": "Out of fold",
        "level": 0.95,
        "images": 90,
        "patients": 80,
        "per_label": {
            "Mass": {"n": 90, "positives": 9, "auroc": SCORE, "average_precision": SCORE}
        },
        "macro": {"auroc": SCORE, "average_precision": SCORE},
        "subgroups": [GROUP | {"low": None, "high": None}],
    },
    "run": {"data": "0a", "with_test": False, "experiment": {"source": [["imagenet"]], "seed": 0}},
    "a key of tomorrow": {"anything": [1, None]},
}


def refusal(path) -> str:
    with pytest.raises(UserError) as caught:
        read_model_json(path)
    said = str(caught.value)
    assert "\n" not in said
    assert path.name in said
    assert "Give a run folder" in said
    return said


def changed(place: str, value: object) -> dict:
    """A copy in which the field at `place`, its keys joined by dots, is another."""
    facts = json.loads(json.dumps(FACTS))
    *above, last = [int(key) if key.isdigit() else key for key in place.split(".")]
    table = facts
    for key in above:
        table = table[key]
    table[last] = value
    return facts


def written(tmp_path, facts) -> object:
    path = tmp_path / "model.json"
    path.write_text(json.dumps(facts), encoding="utf-8")
    return path


def test_what_fits_is_kept_as_it_is_with_keys_of_later_versions(tmp_path):
    assert read_model_json(written(tmp_path, FACTS)) == FACTS
    write_model_json(tmp_path / "new", FACTS)
    assert json.loads((tmp_path / "new/model.json").read_text()) == FACTS


@pytest.mark.parametrize(
    ("place", "value", "received"),
    [
        ("labels", [], "a list of 0"),
        ("labels", "Mass", "text"),
        ("labels", ["Mass", "Mass"], "a list of 2"),
        ("labels.1", "", "text"),
        ("labels.1", " ", "text"),
        ("labels.1", "two\nlines", "text"),
        ("labels.1", "M" * 501, "text"),
        ("labels.1", 5, "5"),
        ("image_size", 0, "0"),
        ("image_size", 1e9, "1e+09"),
        ("image_size", 64.5, "64.5"),
        ("image_size", True, "true"),
        ("image_size", "64", "text"),
        ("training_prevalence", [0.2, 0.2], "a list of 2"),
        ("training_prevalence.Mass", 7, "7"),
        ("training_prevalence.Mass", -0.1, "-0.1"),
        ("training_prevalence.Mass", math.nan, "NaN"),
        ("inflation.Mass", 0, "0"),
        ("inflation.Mass", math.inf, "a huge number"),
        ("inflation.Mass", 10**400, "a huge number"),
        ("inflation.Mass", None, "null"),
        ("inflation.Mass", "4", "text"),
        ("operating_points", [], "a list of 0"),
        ("operating_points.youden", 3, "3"),
        ("operating_points.youden.Mass", [], "a list of 0"),
        ("operating_points.youden.Mass.threshold", "0.3", "text"),
        ("operating_points.youden.Mass.threshold", math.nan, "NaN"),
        ("operating_points.youden.Mass.threshold", 2, "2"),
        ("operating_points.youden.Mass.cross_fitted.sensitivity", 1.5, "1.5"),
        ("operating_points.youden.Mass.held_out.n", -1, "-1"),
        ("operating_points.youden.Mass.held_out", HELD_OUT | {"positives": 10}, "a table"),
        ("operating_points.youden.Mass.held_out", REACHED | {"n": 9}, "a table"),
        ("operating_points.youden.Mass", POINT | {"n": 1, "positives": 2}, "a table"),
        ("calibration.Mass.temperature.temperature", 0, "0"),
        ("calibration.Mass.temperature.bias", -math.inf, "a huge number"),
        ("calibration.Mass.isotonic", {"x": [0, 1], "y": [1]}, "a table"),
        ("calibration.Mass.isotonic", {"x": [1, 0], "y": [0, 1]}, "a table"),
        ("performance.macro.auroc", 0.8, "0.8"),
        ("performance.macro.auroc.value", "0.8", "text"),
        ("performance.macro.auroc", SCORE | {"value": None}, "a table"),
        ("performance.macro.auroc", SCORE | {"high": None}, "a table"),
        ("performance.subgroups.0", GROUP | {"low": None, "high": 0.9}, "a table"),
        ("performance.subgroups.0.auroc", [], "a list of 0"),
        ("run.experiment.source", [5], "5"),
        ("preparation", [], "a list of 0"),
        ("preparation.image_size", 10**6, "1e+06"),
        ("preparation.stretch", [99, 1], "a list of 2"),
        ("preparation.stretch", [1, 101], "a list of 2"),
        ("preparation.stretch", [1, "99"], "text"),
    ],
)
def test_a_field_that_can_t_be_is_named_with_the_kind_of_what_stands_there(
    tmp_path, place, value, received
):
    said = refusal(written(tmp_path, changed(place, value)))
    assert f": {place}" in said
    assert f"Received: {received}." in said


@pytest.mark.parametrize("name", ["labels", "image_size", "training_prevalence"])
def test_what_every_model_needs_is_missed_by_name(tmp_path, name):
    facts = {key: value for key, value in FACTS.items() if key != name}
    assert f"{name} is missing" in refusal(written(tmp_path, facts))


@pytest.mark.parametrize(
    "name",
    ["training_prevalence", "inflation", "calibration", "operating_points.youden"],
)
def test_every_table_by_label_has_every_label(tmp_path, name):
    facts = changed(name, {})
    assert f"{name} must have every label, but lacks Mass" in refusal(written(tmp_path, facts))


def test_an_unknown_key_of_the_preparation_is_refused(tmp_path):
    """Here what it stands for would be left out, and the scores would be of other pixels."""
    said = refusal(written(tmp_path, changed("preparation.sharpen", 2)))
    assert "preparation.sharpen is unknown to this version" in said


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "isn't JSON"),
        (b"{\xff", "isn't UTF-8"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (b"[]", "must be a table"),
        (b'{"image_size": ' + b"9" * 5000 + b"}", "isn't JSON"),
        (b" " * (LARGEST_JSON + 1), "larger than 32 MB"),
    ],
)
def test_what_is_no_table_at_all_is_refused(tmp_path, content, why):
    path = tmp_path / "model.json"
    path.write_bytes(content)
    assert why in refusal(path)


def test_a_number_that_json_hasn_t_is_refused_under_any_key(tmp_path):
    assert "NaN" in refusal(written(tmp_path, FACTS | {"a key of tomorrow": [math.nan]}))


def test_an_absurd_key_is_shortened_in_the_error(tmp_path):
    said = refusal(written(tmp_path, changed("inflation", {"\x1b[2J\n" + "x" * 10_000: 0})))
    assert len(said) < 1000
    assert said.isprintable()


@pytest.mark.parametrize("place", ["labels", "inflation.Mass", "preparation.stretch"])
def test_what_wouldn_t_be_read_isn_t_written(tmp_path, place):
    with pytest.raises(UserError, match=place):
        write_model_json(tmp_path, changed(place, [3.5]))
    assert not (tmp_path / "model.json").exists()


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
places = st.sampled_from(
    [
        *FACTS,
        *(f"{name}.Mass" for name in ("training_prevalence", "inflation", "calibration")),
        *(f"operating_points.youden.Mass.{name}" for name in ("threshold", "from", "held_out")),
        "operating_points.youden",
        "preparation.stretch",
        "performance.subgroups",
        "run.experiment",
    ]
)


@given(places, trees)
def test_whatever_stands_there_it_is_taken_or_refused(tmp_path_factory, place, value):
    path = written(tmp_path_factory.mktemp("any"), changed(place, value))
    with suppress(UserError):
        read_model_json(path)


def test_a_schema_says_what_it_lacks(tmp_path):
    class Small(Facts):
        count: int

    with pytest.raises(UserError, match=r"x\.json: count is missing\. Do it again\."):
        checked({}, Small, tmp_path / "x.json", "Do it again.")
    with pytest.raises(FileNotFoundError):
        read_checked(tmp_path / "x.json", Small, "")


def test_a_preparation_is_read_back(tmp_path):
    for preparation in (Preparation(), Preparation(64, True, (0.5, 99.0))):
        assert Preparation.from_json(json.loads(json.dumps(preparation.as_json()))) == preparation


def test_a_dataset_s_preparation_is_checked_too(tmp_path):
    assert preparation_of(tmp_path) is None
    description = tmp_path / "dataset.json"
    description.write_text('{"name": "x"}')
    assert preparation_of(tmp_path) is None
    description.write_text('{"image_size": 40, "stretch": [1, 99], "labels": ["A"]}')
    assert preparation_of(tmp_path) == Preparation(40, False, (1.0, 99.0))
    description.write_text('{"image_size": 40, "stretch": [99, 1]}')
    with pytest.raises(UserError, match=r"dataset\.json: stretch must be two percentiles"):
        preparation_of(tmp_path)
