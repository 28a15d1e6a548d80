"""Plans: what each method makes of backbones and sources, and what it refuses."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrkeras.runs.sources import Dataset, Weights, parse_source
from cxrkeras.runs.transfer import METHODS, TrunkPlan, make_plan
from data_prep.errors import UserError

A, B = Dataset("a", Path("A")), Dataset("b", Path("B"))
IMAGENET = Weights("imagenet")


def planned(method, backbones, sources):
    return make_plan(method, backbones, tuple(map(parse_source, sources)))


def refusal(*arguments) -> str:
    with pytest.raises(UserError) as caught:
        planned(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("sources", "start", "stages"),
    [
        ((), None, ()),
        (("imagenet",), IMAGENET, ()),
        (("a=A",), None, ((A,),)),
        (("imagenet,a=A,b=B",), IMAGENET, ((A,), (B,))),
        (("t.keras,b=B",), Weights("t.keras"), ((B,),)),
    ],
)
def test_regular_is_one_trunk_through_a_chain(sources, start, stages):
    assert planned("regular", ("vgg16",), sources) == (TrunkPlan("vgg16", start, stages),)


def test_regular_refuses_two_chains_or_trunks():
    assert "Received: --source 2 times" in refusal("regular", ("vgg16",), ("imagenet", "a=A"))
    assert "give one --backbone. Received: x, y" in refusal("regular", ("x", "y"), ())


@pytest.mark.parametrize(
    ("backbones", "sources", "expected"),
    [
        (("x",), (), [("x", None, ()), ("x", None, ())]),
        (("x", "y"), (), [("x", None, ()), ("y", None, ())]),
        (("x",), ("imagenet", "a=A"), [("x", IMAGENET, ()), ("x", None, ((A,),))]),
        (("x", "y"), ("imagenet,a=A", "b=B"), [("x", IMAGENET, ((A,),)), ("y", None, ((B,),))]),
        (("x",), ("a=A",) * 3, [("x", None, ((A,),))] * 3),
        (("x", "y", "z"), (), [(name, None, ()) for name in "xyz"]),
    ],
)
def test_mixed_is_one_trunk_per_chain(backbones, sources, expected):
    assert planned("mixed", backbones, sources) == tuple(TrunkPlan(*row) for row in expected)


@pytest.mark.parametrize(
    ("backbones", "sources", "received"),
    [
        (("x",), ("imagenet",), "1 --source, 1 --backbone"),
        (("x", "y"), ("imagenet",), "1 --source, 2 --backbone"),
        (("x", "y"), ("imagenet",) * 3, "3 --source, 2 --backbone"),
        (("x", "y", "z"), ("imagenet",) * 2, "2 --source, 3 --backbone"),
    ],
)
def test_mixed_refuses_trunks_without_their_chain(backbones, sources, received):
    assert f"Received: {received}." in refusal("mixed", backbones, sources)


@pytest.mark.parametrize(
    ("sources", "start"),
    [
        (("a=A", "b=B"), None),
        (("a=A,b=B",), None),
        (("b=B", "a=A"), None),  # the order is no choice
        (("imagenet", "a=A", "b=B"), IMAGENET),
        (("t.weights.h5,a=A", "b=B"), Weights("t.weights.h5")),
    ],
)
def test_cotrain_trains_its_datasets_in_one_stage(sources, start):
    assert planned("cotrain", ("x",), sources) == (TrunkPlan("x", start, ((A, B),)),)


@pytest.mark.parametrize(
    ("sources", "received"),
    [
        ((), "Received: none"),
        (("a=A",), "Received: a."),
        (("imagenet", "a=A"), "Received: a."),
        (("a=A", "a=B"), "Received: a, a."),
        (("imagenet", "x.keras", "a=A", "b=B"), "at most one weights link. Received: 2"),
    ],
)
def test_cotrain_refuses_too_few_datasets_or_two_starts(sources, received):
    assert received in refusal("cotrain", ("x",), sources)


def test_cotrain_has_one_trunk():
    assert "cotrain has one trunk" in refusal("cotrain", ("x", "y"), ("a=A", "b=B"))


chains = st.lists(
    st.sampled_from(["imagenet", "x.keras", "a=A", "b=B", "imagenet,a=A", "a=A,b=B"]), max_size=4
)


@given(
    method=st.sampled_from(sorted(METHODS)),
    backbones=st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=4),
    sources=chains,
)
def test_nothing_that_was_given_is_dropped_in_silence(method, backbones, sources):
    try:
        plan = planned(method, tuple(backbones), tuple(sources))
    except UserError:
        return
    assert set(backbones) == {trunk.backbone for trunk in plan}
    used = [trunk.start.where for trunk in plan if trunk.start]
    for trunk in plan:
        used += [f"{link.name}={link.folder}" for stage in trunk.stages for link in stage]
    assert sorted(used) == sorted(word for text in sources for word in text.split(","))
