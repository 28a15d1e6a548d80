"""Every setting, and every option of every part, is in the caches' keys or said to be idle there.

A setting that a key forgets would be served yesterday's stage or features, with numbers that look
right.
"""

from dataclasses import replace
from itertools import chain
from typing import get_args

import pytest
from pydantic import ValidationError

from cxrkeras.data.dataset import load_dataset
from cxrkeras.registry import BACKBONES, HEADS, KINDS, LOSSES, PRESETS, RECIPES, TRANSFORMS, spelled
from cxrkeras.runs.description import make_experiment
from cxrkeras.runs.experiment import Experiment
from cxrkeras.training.plan import resolve
from cxrkeras.training.recipes.shared.pooled.features import identity
from cxrkeras.training.session import Session
from cxrkeras.training.stages.plan import Stage, describe
from data_prep.errors import UserError

FIELDS = Experiment.model_fields
ELSEWHERE = {
    "stage": {
        "backbone", "head", "inputs", "loss", "transform", "augment", "uncertain", "epochs",
        "source_epochs", "validation_fraction", "joint",
    },
    "features": {"backbone", "head", "inputs", "augment"},
}  # fmt: skip
"""Idle among the settings, since the key describes them in full."""
WORDS = ("imagenet", "age", "zeros", "nih14", "elsewhere", "3+5")
NUMBERS = (48, 64, 7, 3, 2, 1, 0.25, 0.5, 1e-3, True, False)


def others(name: str, base: dict):
    """Experiments that differ in one field from the base."""
    parts = FIELDS[name].json_schema_extra["parts"]
    named = parts.names() if parts else ()
    more = ("never", "merged", "mixed", "ignore", "bfloat16", "centre:side=48")
    for value in chain(named, NUMBERS, WORDS, more):
        try:
            made = make_experiment({**base, name: value})
        except (UserError, ValidationError):
            continue
        if getattr(made, name) != getattr(make_experiment(base), name):
            yield made


@pytest.fixture(scope="module")
def base(data) -> dict:
    return {
        "data": str(data / "target"),
        "backbone": "tiny",
        "image_size": 56,
        "method": "cotrain",
        "source": (f"a={data / 'a'}", f"b={data / 'b'}"),
        "recipe": "frozen:copies=1",
        "augment": "light",
    }


@pytest.fixture(scope="module")
def keys(data):
    """`keys(plan)`: what a stage and features are kept under."""
    datasets = {name: load_dataset(data / name) for name in "ab"}
    target = load_dataset(data / "target")

    class Target:
        dataset = target

    def made(plan) -> dict:
        stage = Stage("a+b", plan.architecture, None, datasets)
        start = [[backbone.described(), None] for backbone in plan.architecture.backbones]
        copies = getattr(plan.recipe, "copies", 1)
        features = identity(Session(plan, Target, (None,), start), copies)
        return {"stage": describe(stage, plan), "features": features}

    return made


def planned(experiment: Experiment):
    """A plan, whatever method and recipe the field under test has."""
    return resolve(experiment.model_copy(update={"random_trunk": True}))


@pytest.mark.parametrize("what", ["stage", "features"])
@pytest.mark.parametrize("name", FIELDS)
def test_each_setting_is_in_the_key_or_idle(name, what, base, keys):
    idle = what in FIELDS[name].json_schema_extra["idle"]
    if idle and name not in ELSEWHERE[what]:
        return  # said to make no difference
    before = keys(planned(make_experiment(base)))[what]
    for other in others(name, base):
        try:
            plan = planned(other)
        except UserError:
            continue  # a combination that nobody can run
        assert keys(plan)[what] != before
        return
    parts = FIELDS[name].json_schema_extra["parts"]
    assert parts, f"no other value of {name} was found to try"
    assert len(parts.names()) == 1


def any_of(kind, name):
    """A part, with some value for each option that has no default."""
    part = kind.load(name)
    needed = [option for option, field in part.model_fields.items() if field.is_required()]
    return part(**dict.fromkeys(needed, 0.75))


def alternatives(part):
    """The part with each option changed, one at a time."""
    for option, field in type(part).model_fields.items():
        named = (*RECIPES.names(), "vgg16", *get_args(field.annotation))
        for value in chain(NUMBERS, WORDS, named):
            try:
                made = type(part)(**{**part.model_dump(), option: value})
            except (ValidationError, UserError):
                continue
            if made != part:
                yield option, made
                break
        else:
            pytest.fail(f"no other value of {option} was found to try")


PARTS = [
    (kind, name)
    for kind in KINDS
    for name in kind.names()
    if kind.kind not in ("backbone", "reader") or name in ("resnet50", "resnet50_v1_5", "hybrid")
]


@pytest.mark.parametrize(("kind", "name"), PARTS, ids=lambda value: getattr(value, "kind", value))
def test_each_option_of_a_part_is_told_apart(kind, name):
    part = any_of(kind, name)
    for option, other in alternatives(part):
        assert other.described() != part.described(), option
        assert kind.make(spelled(name, other.changed())) == other


@pytest.mark.parametrize(
    ("field", "kind"),
    [("head", HEADS), ("loss", LOSSES), ("transform", TRANSFORMS), ("source_augment", PRESETS)],
)
def test_a_part_s_options_reach_the_stage_s_key(field, kind, base, keys):
    plan = planned(make_experiment(base))
    for name in kind.names():
        for option, other in alternatives(part := any_of(kind, name)):
            found = []
            for one in (part, other):
                architecture = (
                    replace(plan.architecture, **{field: one})
                    if field == "head"
                    else (plan.architecture)
                )
                changed = {"architecture": architecture} if field == "head" else {field: one}
                found.append(keys(replace(plan, **changed))["stage"])
            assert found[0] != found[1], option


def test_a_default_that_is_spelled_out_changes_no_key(base, keys):
    one = planned(make_experiment(base))
    spelled = base | {"loss": "bw_bce:per_label=false", "dropout": 0.5, "head": "gap"}
    assert keys(planned(make_experiment(spelled))) == keys(one)


def test_the_backbone_s_options_are_told_apart():
    assert BACKBONES.make("resnet50").described() == "resnet50"


def test_choices_of_speed_are_in_the_keys_where_they_change_numbers(base, keys):
    usual = keys(planned(make_experiment(base)))
    assert not {"precision", "fast", "devices"} & usual["stage"]["settings"].keys()
    for choice in ({"precision": "bfloat16"}, {"precision": "float16"}, {"fast": True}):
        found = keys(planned(make_experiment(base | choice)))
        assert all(found[what] != usual[what] for what in usual)
    found = keys(planned(make_experiment(base | {"devices": 2})))
    assert found["stage"] != usual["stage"]
    assert found["features"] == usual["features"]  # one device computes them
