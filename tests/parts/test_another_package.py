"""A package that isn't ours brings a part of every kind, a file each (`tests/plugins`).

pip installs it into a folder of its own, and every process here finds it there.
"""

import json
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxrkeras.registry import KINDS
from data_prep.readers.shared.example import write_film, write_table
from tests.conftest import ROOT
from tests.other_package import said_to
from tests.plugins.installed import PACKAGE, install

BOXES = [8, 8, 40, 56]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The folder that pip installed the package into."""
    return install(tmp_path_factory.mktemp("installed"))


@pytest.fixture
def commands(site, tmp_path):
    """`commands(words, ...)`: what `cxrkeras` says to each, in one process; each must succeed."""
    places = os.pathsep.join([str(site), str(ROOT)])

    def run(*commands) -> list[str]:
        ended = said_to(commands, tmp_path, places)
        for words, (code, said) in zip(commands, ended, strict=True):
            assert code == 0, (words, said)
        return [" ".join(said.split()) for _, said in ended]

    return run


def names(site) -> dict[str, str]:
    """{the group: the one part}, as the package's own file says."""
    (noted,) = site.glob("*.dist-info")
    lines = (noted / "entry_points.txt").read_text().split("\n")
    return {
        group.strip("[]"): part.partition(" ")[0]
        for group, part in pairwise(lines)
        if group.startswith("[")
    }


def test_each_part_is_listed_with_its_options(site, commands):
    brought = names(site)
    assert set(brought) == {kind.package for kind in KINDS}
    kinds = {kind.package: kind.kind.replace(" ", "-") for kind in KINDS}
    shown = commands(
        *(["parts", kinds[group]] for group in brought),
        *(["parts", kinds[group], name] for group, name in brought.items()),
        *(["cv", "--help-all"], ["predict", "--help-all"], ["prep", "--help"]),
    )
    many = len(brought)
    cv, predict, prep = shown[2 * many :]
    for name, listed, alone in zip(brought.values(), shown[:many], shown[many:], strict=False):
        assert f" {name} " in f" {listed}"
        assert f"({PACKAGE})" in listed
        assert f"{name}, a" in alone
        assert f"of {PACKAGE}" in alone
    flat = cv.replace(" ", "")
    for group, option in _OPTIONS.items():
        said = flat.partition(option)[2]
        many = f"cxrkerasparts{kinds[group]}`liststhem"
        assert brought[group] in said or many in said.partition("--")[0], option
    assert brought["cxrkeras.evaluation.rules"] in predict
    assert brought["data_prep.readers"] in prep


_OPTIONS = {
    "cxrkeras.models.heads": "--head",
    "cxrkeras.models.views": "--views",
    "cxrkeras.models.losses": "--loss",
    "cxrkeras.training.optimizers": "--optimizer",
    "cxrkeras.training.recipes": "--recipe",
    "cxrkeras.data.augmentation": "--augment",
    "cxrkeras.data.transforms": "--transform",
    "cxrkeras.data.labels.policies": "--uncertain",
}


def write_archive(raw: Path, films: int = 24) -> None:
    """Films with two findings, each drawn by one of two readers, by both or by none."""
    rng = np.random.default_rng(0)
    rows = [
        ["image_id", "class_name", "rad_id", "x_min", "y_min", "x_max", "y_max", "width", "height"],
    ]
    for number in range(films):
        write_film(raw / f"f{number}.png", number)
        for reader in ("R1", "R2"):
            for finding in ("Cardiomegaly", "Nodule"):
                drew = rng.random() < 0.6
                place = BOXES if drew else [""] * 4
                named = finding if drew else "No finding"
                rows.append([f"f{number}", named, reader, *place, 64, 64])
    write_table(raw / "train.csv", rows)


@pytest.mark.slow
def test_from_prep_to_export_with_its_parts_alone(commands, tmp_path):
    raw, data, run = tmp_path / "raw", tmp_path / "data", tmp_path / "run"
    write_archive(raw)
    chosen = {
        "backbone": "small_resnet:width=4",
        "head": "log_sum_exp:width=8",
        "views": "mirrored",
        "loss": "learned_focal",
        "optimizer": "lion",
        "recipe": "head_first",
        "augment": "bedside",
        "transform": "erase",
        "uncertain": "middle",
    }
    options = [word for name, value in chosen.items() for word in (f"--{name}", value)]
    small = ["--image-size", 64, "--folds", 2, "--epochs", 2, "--batch-size", 8]
    commands(
        ["prep", "vindr_png", raw, "--agree", 2, "--out", data, "--image-size", 64, "--workers", 0],
        ["cv", "--data", data, *options, *small, "--validation-fraction", 0, "--out", run],
    )
    facts = json.loads((run / "folds" / "0" / "model.json").read_text())
    assert facts["package"] == ["example_parts.log_sum_exp"]
    assert set(facts["distortion"]) == {"Cardiomegaly", "Nodule"}
    report = (run / "report.html").read_text()
    for name in ("small_resnet", "log_sum_exp", "learned_focal", "head_first"):
        assert name in report

    # Another process, which doesn't know yet where the model's layers come from.
    film, out = raw / "f0.png", tmp_path / "exported"
    rule = ["--operating-point", "f_score:beta=2"]
    shifted = shutil.copytree(run / "folds" / "0", tmp_path / "shifted")
    (shifted / "model.json").write_text(json.dumps({**facts, "kind": "shifted", "shift": 3}))
    *_, exported = commands(
        ["report", run],
        ["predict", run, film, *rule, "--out", tmp_path / "run.csv"],
        ["predict", run / "folds" / "0", film, "--out", tmp_path / "one.csv"],
        ["predict", shifted, film, "--out", tmp_path / "shifted.csv"],
        ["explain", run, film, "--labels", "all", "--out", tmp_path / "why"],
        ["explain", shifted, film, "--labels", "all", "--out", tmp_path / "why_shifted"],
        ["export", run, *rule, "--out", out, "--format", "saved-model", "--format", "onnx"],
    )
    one, moved = (pd.read_csv(tmp_path / name) for name in ("one.csv", "shifted.csv"))
    assert len(one) == len(moved) == 1
    assert one["prob_Cardiomegaly"][0] != moved["prob_Cardiomegaly"][0]
    assert len(pd.read_csv(tmp_path / "run.csv")) == 1
    assert list((tmp_path / "why").rglob("*.png"))
    assert list(out.rglob("saved_model.pb"))
    assert list(out.rglob("model.onnx"))
    assert "onnx" in exported


@pytest.mark.slow
def test_its_parts_pass_the_shared_tests(site):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/parts"],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]),
            "CXRKERAS_PARTS_OF": PACKAGE,
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    passed = int(done.stdout.rpartition(" passed")[0].split()[-1])
    assert passed >= len(KINDS) * 4
