import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.guard.differences import Verdict, verdicts

STAGE = "stages/a-{}/history.csv"


@pytest.fixture
def sides(tmp_path):
    for name in ("before", "after"):
        (tmp_path / name).mkdir()
    return tmp_path / "before", tmp_path / "after"


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, np.ndarray) and path.suffix == ".png":
        Image.fromarray(content).save(path)
    elif isinstance(content, np.ndarray):
        np.save(path, content)
    elif isinstance(content, str):
        path.write_text(content)
    else:
        path.write_text(json.dumps(content))


def _judged(sides, name: str, *contents: object) -> Verdict:
    for side, content in zip(sides, contents, strict=True):
        _write(side / name, content)
    (verdict,) = verdicts(*sides)
    return verdict


GREY = np.zeros((2, 2), "uint8")


@pytest.mark.parametrize(
    ("name", "before", "after", "word", "said"),
    [
        ("predictions.csv", "a,b\n1,0.5\n", "a,b\n1,0.5\n", "equal", ""),
        ("p.csv", "a,b\n1,0.5\n", "a,b\n1,0.50000001\n", "differs", "1 of 2 numbers differ by up"),
        ("p.csv", "a\n0.5\n", "a\n0.50\n", "differs", "written otherwise: 0/a: '0.5' -> '0.50'"),
        ("p.csv", "a\n1\n2\n", "a\n2\n1\n", "differs", "the same rows in another order"),
        ("p.csv", "a\n1\n", "a\n1\n2\n", "differs", "1 rows before, 2 after"),
        ("p.csv", "a,b\n1,2\n", "b,a\n2,1\n", "differs", "the same fields in another order"),
        (
            "p.csv",
            "a,b\n1,2\n",
            "a,c\n1,2\n",
            "differs",
            "1 fields only before: 0/b; 1 fields only",
        ),
        ("p.csv", "a\nx\n", "a\ny\n", "differs", "'x' -> 'y'"),
        ("s.csv", "seconds,a\n3,1\n", "seconds,a\n4,1\n", "excused", "seconds"),
        (
            "s.csv",
            "reuse,c\nlayers,layers-a\n",
            "recipe,c\nfrozen,frozen-a\n",
            "excused",
            "reuse, layers",
        ),
        ("m.json", {"a": [1, 2.0]}, {"a": [1, 2.5]}, "differs", "5.0e-01 (relative 2.0e-01)"),
        ("m.json", {"a": 1}, {"a": 1.0}, "differs", "/a: 1 -> 1.0"),
        ("m.json", {"a": 1}, {"a": None}, "differs", "/a: 1 -> None"),
        ("m.json", {"a": 1}, {"a": True}, "differs", "/a: 1 -> True"),
        ("m.json", {"a": 1, "b": 2}, {"b": 2, "a": 1}, "differs", "in another order"),
        ("m.json", '{"a": 1}', '{"a":1}', "differs", "the same content in other bytes"),
        ("m.json", {"a": '{"b": 1}'}, {"a": '{"b": 3}'}, "differs", "/a/b: 1.0 -> 3.0"),
        ("m.json", {"a": "[x"}, {"a": "[y"}, "differs", "'text [x' -> 'text [y'"),
        ("m.json", {"a": 70 * "x"}, {"a": 1}, "differs", "xxx... -> 1"),
        ("m.json", {"a": []}, {"a": {}}, "differs", "'[]' -> '{}'"),
        ("m.json", {"a": float("nan")}, {"a": 1.0}, "differs", "inf"),
        ("m.json", {"b": {"seconds": 1}}, {"b": {"seconds": 2}}, "excused", "seconds"),
        ("m.json", {"a": 1, "seconds": 1}, {"a": 1, "seconds": 2}, "excused", "seconds"),
        ("s.json", {"stages": {"a-1": 1}}, {"stages": {"a-2": 3}}, "excused", "stages"),
        ("x.npy", np.float32([1, 2]), np.float32([1, 2]), "equal", ""),
        ("x.npy", np.float32([1, 2]), np.float32([1, 3]), "differs", "1 of 2 values differ by"),
        ("x.npy", np.float32([1, 2]), np.float64([1, 2]), "differs", "float32(2,) before, float64"),
        ("x.npy", np.float32([np.nan]), np.float32([1]), "differs", "1 of 1 values differ"),
        ("x.png", GREY, GREY + np.uint8(3), "differs", "4 of 4 values differ by up to 3.0e+00"),
        ("x.txt", "a", "b", "differs", "other bytes"),
        ("run/report.html", "a", "b", "excluded", "a page for people"),
    ],
)
def test_a_file_that_differs_says_how_far(sides, name, before, after, word, said):
    verdict = _judged(sides, name, before, after)
    assert (verdict.word, verdict.path.as_posix()) == (word, name)
    assert said in verdict.said


def test_files_that_one_side_lacks_are_named(sides):
    _write(sides[0] / "a.csv", "x\n1\n")
    _write(sides[1] / "b.csv", "x\n1\n")
    assert [(v.path.name, v.word, v.alike) for v in verdicts(*sides)] == [
        ("a.csv", "only before", False),
        ("b.csv", "only after", False),
    ]


def test_a_stage_is_found_under_another_key_and_a_cell_under_its_new_name(sides):
    _write(sides[0] / "runs/layers-net-a" / STAGE.format("0123ab"), "x\n1\n")
    _write(sides[1] / "runs/frozen-net-a" / STAGE.format("ba3210"), "x\n2\n")
    (verdict,) = verdicts(*sides)
    assert verdict.word == "differs"
    assert verdict.path.as_posix() == "runs/frozen-net-a/stages/a-ba3210/history.csv"


def test_two_stages_that_could_be_either_are_not_paired(sides):
    for side, keys in zip(sides, (("000000", "111111"), ("222222", "333333")), strict=True):
        for key in keys:
            _write(side / STAGE.format(key), "x\n1\n")
    assert [v.word for v in verdicts(*sides)] == ["only before"] * 2 + ["only after"] * 2


def test_a_model_file_is_left_out_whatever_time_it_holds(sides):
    for side, year in zip(sides, (2001, 2002), strict=True):
        with zipfile.ZipFile(side / "model.keras", "w") as file:
            file.writestr(zipfile.ZipInfo("a", (year, 1, 1, 0, 0, 0)), "x")
    (verdict,) = verdicts(*sides)
    assert (verdict.word, verdict.alike) == ("excluded", True)
