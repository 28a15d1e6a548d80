"""Preset recipes: each file is whole, and its choices lie below all others."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from cxrkeras.registry import RECIPES
from cxrkeras.runs import presets
from cxrkeras.runs.description import make_experiment, read_experiment, write_experiment
from cxrkeras.runs.experiment import OPTIONS
from cxrkeras.runs.presets import (
    everyday,
    everyday_line,
    everyday_names,
    preset_line,
    preset_names,
    preset_text,
    recipe_name,
    with_preset,
)
from cxrkeras.study.file import read_study
from cxrkeras.study.plan import plan_cells
from cxrkeras.training.begin import run_choices
from cxrkeras.training.plan import resolve
from data_prep.errors import UserError
from tests.conftest import ROOT

HEADER = ("What", "Source", "Published", "Ours", "Cost", "Command")
WIDTH = 130


@pytest.fixture(autouse=True)
def _data(tmp_path, monkeypatch):
    """`x` may be taken for a prepared dataset."""
    monkeypatch.chdir(tmp_path)
    Path("x").mkdir()
    for name in ("dataset.json", "manifest.csv"):
        Path("x", name).touch()


every_preset = pytest.mark.parametrize("name", preset_names())


def written(folder: Path, monkeypatch, **texts: str) -> None:
    """Presets of the test's own in place of all others."""
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text)
    monkeypatch.setattr(presets, "_PLACES", (folder,))


@every_preset
def test_it_describes_a_run_that_can_be_resolved(name):
    experiment = make_experiment({"recipe": name, "data": "data/ours"})
    assert experiment.preset == name
    resolve(experiment)
    assert recipe_name(name.replace("_", "-")) == name
    assert name not in RECIPES.names()


@every_preset
def test_it_says_nothing_of_the_data_nor_of_what_is_scored(name):
    said = {key.replace("-", "_") for key in tomllib.loads(preset_text(name))}
    evidence = {n for n, f in OPTIONS.items() if f.json_schema_extra["section"] == "Evidence"}
    assert not said & ({"data"} | evidence - {"validation_fraction"})


@every_preset
def test_its_header_is_whole(name):
    lines = preset_text(name).split("\n\n")[0].splitlines()
    assert all(line.startswith("#") and len(line) <= WIDTH for line in lines)
    parts = "\n".join(lines).split("\n#\n")
    assert [part.removeprefix("# ").partition(":")[0] for part in parts] == list(HEADER)
    assert preset_line(name) == lines[0].removeprefix("# What: ")
    assert preset_line(name).endswith(".")
    of = dict(zip(HEADER, parts, strict=True))
    assert "Split:" in of["Published"] or "official list" in of["Published"]
    assert "GFLOPs" in of["Cost"]
    assert f"--recipe {name} " in of["Command"]


def test_what_is_given_goes_over_the_file_and_that_over_the_preset(tmp_path, monkeypatch):
    text = '# What: x.\nbackbone = "resnet50"\nrecipe = "frozen:copies=2"\nepochs = 7\nseed = 3\n'
    written(tmp_path, monkeypatch, own_system=text + 'image-size = 64\nsource = ["imagenet"]\n')
    config = tmp_path / "config.txt"
    config.write_text('recipe = "own-system"\nepochs = 8\nseed = 4\nlearning-rate = 1\n')
    seen = []
    monkeypatch.setattr("cxrkeras.training.begin.resolve", seen.append)
    monkeypatch.setattr(
        "cxrkeras.training.crossval.cross_validate", lambda experiment, *_: seen.append(experiment)
    )
    run_choices({"data": "x", "seed": 5}, tmp_path / "out", config)
    for made in seen:
        assert (made.recipe, made.backbone, made.image_size) == (
            "frozen:copies=2",
            ("resnet50",),
            64,
        )
        assert (made.epochs, made.seed, made.learning_rate) == (8, 5, 1)
        assert made.preset == "own_system"
    assert len(seen) == 2


def test_the_run_s_file_holds_all_of_it_without_the_preset(tmp_path, monkeypatch):
    experiment = make_experiment({"recipe": "chexnet", "epochs": 3})
    write_experiment(tmp_path / "experiment.toml", experiment)
    presets_there = tmp_path / "none"
    presets_there.mkdir()
    written(presets_there, monkeypatch)
    assert preset_names() == []
    again = read_experiment(tmp_path / "experiment.toml")
    assert again == experiment
    assert again.preset == "chexnet"
    # The name alone tells no runs apart, and no caches.
    unnamed = experiment.model_copy(update={"preset": None})
    for key in (lambda e: e.digest, lambda e: e.placeless(), lambda e: e.deciding("stage")):
        assert key(unnamed) == key(experiment)
    write_experiment(tmp_path / "plain.toml", make_experiment({}))
    assert "preset" not in (tmp_path / "plain.toml").read_text()


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("chexnt", ("--recipe must be one of", "'chexnt'", "Did you mean 'chexnet'?")),
        ("frozn", ("Did you mean 'frozen'?",)),
        ("chexnet:epochs=3", ("--recipe chexnet takes no options", "'chexnet:epochs=3'")),
    ],
)
def test_what_there_is_not_is_named(recipe, words):
    for call in (lambda: make_experiment({"recipe": recipe}), lambda: recipe_name(recipe)):
        with pytest.raises(UserError) as error:
            call()
        assert all(word in str(error.value) for word in words)


def test_a_note_of_a_name_chooses_nothing(tmp_path):
    config = tmp_path / "config.toml"
    config.write_text('preset = "chexnet"\n')
    with pytest.raises(UserError, match=r"preset 'chexnet' without a recipe\. Give it as recipe"):
        run_choices({"data": "x"}, tmp_path / "out", config)


every_day = pytest.mark.parametrize("name", everyday_names())


def described(tmp_path, monkeypatch, given, preset, config=None):
    """What `run_choices` would run."""
    seen = []
    monkeypatch.setattr("cxrkeras.training.begin._phantoms", lambda: (tmp_path, tmp_path, tmp_path))
    monkeypatch.setattr(
        "cxrkeras.training.crossval.cross_validate", lambda made, *_: seen.append(made)
    )
    run_choices(given, tmp_path / "out", config, preset=preset)
    return seen[0]


@every_day
def test_an_everyday_preset_is_set_said_and_stored(name, tmp_path, monkeypatch, capsys):
    made = described(tmp_path, monkeypatch, {"data": "x"}, name)
    said = " ".join(capsys.readouterr().err.split())
    assert everyday_line(name) in said
    for key, value in everyday(name).items():
        assert f"{key.replace('_', '-')} " in said
        stored = getattr(made, key)
        assert stored == (tuple(value) if isinstance(value, list) else value)
    assert made.preset == name
    write_experiment(tmp_path / "experiment.toml", made)
    assert read_experiment(tmp_path / "experiment.toml") == made
    assert name not in preset_names()  # else --recipe and --preset would differ by a word


@every_day
def test_all_that_is_chosen_goes_over_an_everyday_preset(name, tmp_path, monkeypatch, capsys):
    config = tmp_path / "config.txt"
    config.write_text("image-size = 96\nepochs = 2\n")
    own = {"data": "x", "epochs": 3, "source": ("a.keras",), "recipe": "finetune", "seed": 5}
    made = described(tmp_path, monkeypatch, own, name, config)
    assert (made.image_size, made.epochs, made.recipe, made.seed) == (96, 3, "finetune", 5)
    assert made.source == (str(Path("a.keras").absolute()),)
    assert "image-size" not in capsys.readouterr().err.partition("It sets")[2]
    system = described(tmp_path, monkeypatch, {"data": "x", "recipe": "chexnet"}, name)
    assert (system.preset, system.loss, system.epochs) == ("chexnet", "bce", 30)
    by_file = {"data": "x", "folds_file": "f.csv"}
    for part in ("folds", "test_fraction"):
        default = OPTIONS[part].default
        assert getattr(described(tmp_path, monkeypatch, by_file, name), part) == default


def test_the_built_in_data_come_with_the_quick_preset(tmp_path, monkeypatch):
    plain = described(tmp_path, monkeypatch, {}, None)
    quick = described(tmp_path, monkeypatch, {}, "quick")
    assert plain == quick.model_copy(update={"preset": None})
    assert plain.digest == quick.digest
    assert described(tmp_path, monkeypatch, {"recipe": "finetune"}, "study").image_size == 512


def test_the_docs_have_every_everyday_preset():
    text = (ROOT / "docs" / "howto" / "cv.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in text for name in everyday_names())


def test_an_everyday_preset_that_there_is_not_is_named(tmp_path):
    with pytest.raises(UserError, match=r"--preset must be one of cpu, gpu, quick, study.*'fast'"):
        run_choices({"data": "x"}, tmp_path, preset="fast")


def test_an_error_about_what_a_preset_chose_says_that_it_did(tmp_path):
    chosen = {"data": "x", "recipe": "phow"}
    with pytest.raises(UserError, match=r"Not you but --preset study gave --source\.$"):
        run_choices(chosen, tmp_path, preset="study")
    with pytest.raises(UserError) as error:
        run_choices({**chosen, "source": ["imagenet"]}, tmp_path, preset="study")
    assert "Not you" not in str(error.value)


def test_a_part_stays_as_it_is():
    for choices in ({}, {"recipe": "frozen:copies=2"}, {"recipe": {"name": "frozen"}}):
        assert with_preset(choices) == choices


STUDY = """
[run]
data = "x"
{run}
[grid]
backbone = ["resnet50"]
recipe = ["finetune", "own"]
[source]
imagenet = "imagenet"
[[setting]]
name = "ImageNet"
source = ["imagenet"]
"""


def test_a_study_s_cells_may_be_presets(tmp_path, monkeypatch):
    written(tmp_path, monkeypatch, own='loss = "bce"\nepochs = 4\nsource = ["a.keras"]\n')
    file = tmp_path / "study.txt"
    file.write_text(STUDY.format(run="dropout = 0.1"))
    one, two = plan_cells(read_study(file), tmp_path / "folds.csv")
    assert (one.experiment.loss, one.experiment.epochs) == ("bw_bce", 30)
    assert (two.experiment.loss, two.experiment.epochs, two.experiment.source_epochs) == (
        "bce",
        4,
        4,
    )
    assert (two.experiment.preset, two.experiment.source) == ("own", ("imagenet",))
    assert one.experiment.dropout == two.experiment.dropout == 0.1
    assert two.name == "own-resnet50-imagenet"


def test_a_study_s_cells_are_scored_alike(tmp_path, monkeypatch):
    written(tmp_path, monkeypatch, own='label-set = ["nih14"]\n')
    file = tmp_path / "study.txt"
    file.write_text(STUDY.format(run=""))
    with pytest.raises(UserError, match=r"--recipe own wants label_set.*\[run\] must say it"):
        plan_cells(read_study(file), tmp_path / "folds.csv")
    file.write_text(STUDY.format(run='label-set = ["nih14"]'))
    assert len(plan_cells(read_study(file), tmp_path / "folds.csv")) == 2


@pytest.mark.slow
def test_an_installed_wheel_has_them(tmp_path):
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--no-compile", "--quiet"]
    source = tmp_path / "source"
    source.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("cxrkeras", "data_prep", "experiments"):
        shutil.copytree(ROOT / name, source / name, symlinks=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", tmp_path / "site", source],
        check=True,
    )
    code = (
        "from cxrkeras.runs import presets as p; "
        "print(p.__file__, *p.preset_names(), *p.everyday_names())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    place, *names = done.stdout.split()
    assert place.startswith(str(tmp_path / "site"))
    assert names == [*preset_names(), *everyday_names()]
