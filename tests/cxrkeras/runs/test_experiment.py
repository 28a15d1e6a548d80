"""The description of a run: what is refused and how, TOML there and back, places of files."""

import os
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cxrkeras.commands.cv import command
from cxrkeras.data.labels.entries import BLANK
from cxrkeras.registry import POLICIES
from cxrkeras.runs.builtin_data import with_builtin_data
from cxrkeras.runs.description import (
    make_experiment,
    read_choices,
    read_experiment,
    write_experiment,
)
from cxrkeras.runs.experiment import OPTIONS, Experiment
from cxrkeras.runs.transfer import METHODS
from cxrkeras.training.plan import resolve
from data_prep.errors import UserError
from tests.cxrkeras.models.backbones.names import NAMES

NUMBERS = {
    "epochs": st.integers(1, 10**6),
    "batch_size": st.integers(1, 10**6),
    "learning_rate": st.floats(1e-12, 1e3),
    "plateau_patience": st.integers(0, 99),
    "dropout": st.floats(0, 0.99),
    "seed": st.integers(0, 4_000_000),
    "test_fraction": st.floats(0, 0.99),
}
WORDS = {
    "method": st.sampled_from(["regular", "mixed", "cotrain"]),
    "loss": st.sampled_from(["bw_bce", "bw_bce_per_label", "bce"]),
    "augment": st.sampled_from(["study", "light", "none"]),
    "data": st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    "backbone": st.lists(st.sampled_from(NAMES), min_size=1).map(tuple),
    "source": st.lists(st.sampled_from(["imagenet", "a=x y", "w.keras,b=../z"])).map(tuple),
    "shuffle_labels": st.booleans(),
    "uncertain": st.sampled_from([*POLICIES.names(), "Edema=half,zeros-lsr:low=0.1"]),
}


@given(choices=st.fixed_dictionaries({}, optional=NUMBERS | WORDS))
def test_what_is_written_reads_back_equal(tmp_path_factory, choices):
    path = tmp_path_factory.mktemp("toml") / "experiment.toml"
    experiment = make_experiment(choices)
    write_experiment(path, experiment)
    assert read_experiment(path) == experiment
    assert read_experiment(path).digest == experiment.digest


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"epochs": 0}, ("--epochs", "0")),
        ({"uncertain": "maybe"}, ("--uncertain", "'maybe'", *POLICIES.names())),
        ({"learning_rate": -1}, ("--learning-rate", "-1")),
        ({"learning_rate": float("nan")}, ("--learning-rate", "nan")),
        ({"learning_rate": float("inf")}, ("--learning-rate", "inf")),
        ({"dropout": 1.0}, ("--dropout", "1.0")),
        ({"folds": 1}, ("--folds", "1")),
        ({"seed": 2**32}, ("--seed", str(2**32))),
        ({"image_size": "big"}, ("--image-size", "'big'")),
        ({"method": "guess"}, ("--method", "'guess'", "regular")),
        ({"augment": "lots"}, ("--augment", "'lots'")),
        ({"backbone": ()}, ("--backbone", "()")),
        ({"epoch_s": 3}, ("'epoch_s'", "'epochs'")),
        ({"source": ("val=x",)}, ("--source", "`val`")),
        ({"source": ("nih",)}, ("--source", "'nih'", "NAME=DIR")),
        ({"source": ("nih=x,imagenet",)}, ("begin a chain", "nih=x,imagenet")),
    ],
)
def test_a_wrong_value_is_one_line_with_its_option_and_what_was_received(choices, words):
    with pytest.raises(UserError) as error:
        make_experiment(choices)
    assert "\n" not in str(error.value)
    assert all(word in str(error.value) for word in words)


def test_every_choice_is_an_option_of_cv_with_its_description():
    said = CliRunner().invoke(command, ["--help-all"]).output
    words = " ".join(said.split())
    for name, field in OPTIONS.items():
        assert f"--{name.replace('_', '-')} " in said
        assert field.json_schema_extra["section"] + ":" in said
        assert field.description.split()[0] in words


def test_a_file_of_choices_may_spell_them_as_options(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('image-size = 96\nbackbone = "xception"\n')
    experiment = make_experiment(read_choices(path))
    assert (experiment.image_size, experiment.backbone) == (96, ("xception",))


@pytest.mark.parametrize("content", [b"epochs = ", b"\xff\xfe", None])
def test_a_file_that_is_no_toml_is_one_line(tmp_path, content):
    path = tmp_path / "c.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"c\.toml") as error:
        read_choices(path)
    assert "\n" not in str(error.value)


def test_defaults_that_depend_on_the_recipe():
    def settled(**choices):
        plan = resolve(Experiment(random_trunk=True, **choices))
        return str(plan.augment), plan.validation, str(plan.source_augment), plan.source_validation

    assert settled() == ("study", 0.15, "study", 0.15)
    assert settled(recipe="frozen") == ("none", 0.0, "study", 0.15)
    chosen = {"augment": "light", "validation_fraction": 0.2}
    assert settled(recipe="frozen", **chosen) == ("light", 0.2, "light", 0.2)


def test_old_spellings_are_read_with_a_warning(capsys):
    new = make_experiment({"reuse": "layers", "views": 2})
    assert new.recipe == "frozen:copies=2"
    said = capsys.readouterr().err
    assert "--reuse layers is now --recipe frozen" in said
    assert "--views 2 is now --recipe frozen:copies=2" in said
    assert make_experiment({"reuse": "finetune"}).recipe == "finetune"
    with pytest.raises(UserError, match="Give --recipe alone"):
        make_experiment({"reuse": "layers", "recipe": "frozen"})


def test_the_old_name_of_the_label_set_is_read_with_a_warning(capsys):
    assert make_experiment({"labels": []}).label_set == ()
    assert not capsys.readouterr().err
    assert make_experiment({"labels": ["nih14"]}) == make_experiment({"label_set": ["nih14"]})
    assert "--labels is now --label-set" in capsys.readouterr().err
    with pytest.raises(UserError, match="Give --label-set alone"):
        make_experiment({"labels": ["nih14"], "label_set": ["nih14"]})


def test_a_part_s_options_come_as_text_or_as_a_table(tmp_path):
    (tmp_path / "c.toml").write_text('[loss]\nname = "bw-bce"\nper_label = true\n')
    experiment = make_experiment(read_choices(tmp_path / "c.toml"))
    assert experiment == make_experiment({"loss": "bw_bce:per_label=true"})
    write_experiment(tmp_path / "again.toml", experiment)
    assert read_experiment(tmp_path / "again.toml") == experiment
    assert resolve(experiment).loss.per_label


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        ("bw_bce:pooled=true", "has no option 'pooled'. Its options: per_label."),
        ("bw_bce:per_label=maybe", "per_label must be a valid boolean"),
        ("bw_bce:per_label", "Options follow a colon, each once"),
    ],
)
def test_an_option_that_a_part_has_not_is_named(loss, said):
    with pytest.raises(UserError, match=r"--loss|colon") as error:
        resolve(make_experiment({"loss": loss}))
    assert said in str(error.value)


def test_paths_become_absolute_and_places_do_not_tell_runs_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    choices = {"data": "d", "source": ("imagenet,nih=s/nih", "w.keras"), "folds_file": "f.csv"}
    there = make_experiment(choices).located()
    assert there.data == str(tmp_path / "d")
    assert there.source == (f"imagenet,nih={tmp_path}/s/nih", f"{tmp_path}/w.keras")
    assert there.folds_file == str(tmp_path / "f.csv")
    assert there.located() == there
    moved = make_experiment({**choices, "data": "/x", "source": ("imagenet,nih=/y", "/z/w.keras")})
    assert moved.placeless() == there.placeless()
    assert make_experiment({**choices, "source": ()}).placeless() != there.placeless()
    assert make_experiment({**choices, "seed": 1}).placeless() != there.placeless()
    half = make_experiment({**choices, "precision": "bfloat16"})
    assert half.placeless() == there.placeless() | {"precision": "bfloat16"}


def test_without_data_the_phantoms_come_at_a_small_size_that_options_override():
    places = (Path("t"), Path("a"), Path("b"))
    filled = make_experiment(with_builtin_data({"method": "cotrain", "epochs": 1}, lambda: places))
    assert (filled.data, filled.source) == ("t", ("a=a", "b=b"))
    assert (filled.epochs, filled.image_size) == (1, 64)
    own = {"data": "mine"}
    assert with_builtin_data(own, lambda: pytest.fail("made for nothing")) == own


def test_the_choices_are_the_registries():
    choices = {name: get_args(field.annotation) for name, field in Experiment.model_fields.items()}
    assert set(choices["method"]) == set(METHODS)
    assert set(choices["blank"]) == set(BLANK)


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"backbone": "resnet5"}, ("parts backbone", "'resnet5'", "Did you mean")),
        ({"backbone": "xception", "image_size": 64}, ("at least 71 px", "64")),
        ({"backbone": "vgg16:width=2"}, ("vgg16 has no option 'width'",)),
        ({"backbone": "hub"}, ("--backbone hub needs the option 'preset'",)),
        ({"zzz": 3}, ("'zzz'", "--help")),
    ],
)
def test_what_no_registry_knows_is_named(choices, words):
    with pytest.raises(UserError) as error:
        resolve(make_experiment(choices))
    assert all(word in str(error.value) for word in words)


def test_a_path_that_is_not_utf8_is_refused_before_the_description_is_written(tmp_path):
    experiment = make_experiment({"data": os.fsdecode(b"data/caf\xe9")})
    with pytest.raises(UserError, match=r"Received: data = .*caf\\xe9.*Rename"):
        write_experiment(tmp_path / "experiment.toml", experiment)
    assert not (tmp_path / "experiment.toml").exists()


@pytest.mark.parametrize("text", ["a = ", "a = " + "[" * 5000, "epochs = " + "9" * 5000, "\udcff"])
def test_a_file_that_is_no_toml_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "x.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=r"x\.toml isn't valid TOML") as caught:
        read_experiment(tmp_path / "x.toml")
    assert "\n" not in str(caught.value)


def test_a_pixel_cache_is_found_from_any_folder_and_makes_no_other_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plain = make_experiment({})
    there = make_experiment({"pixel_cache": "here"}).located()
    assert there.pixel_cache == str(tmp_path / "here")
    for other in (there, make_experiment({"pixel_cache": "off"}).located()):
        assert other.placeless() == plain.placeless()
        assert other.digest == plain.digest
        assert other.deciding("stage") == plain.deciding("stage") == {}
        assert other.deciding("features") == plain.deciding("features") == {}
    assert make_experiment({}).located().pixel_cache == "auto"
    with pytest.raises(UserError, match="--pixel-cache"):
        make_experiment({"pixel_cache": ""})
