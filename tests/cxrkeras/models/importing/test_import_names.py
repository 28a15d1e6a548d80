"""All namings lead to the same tensors; what is wrong is named by its own key, in one line."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrkeras.models.importing.labels import LISTS, output_labels, parse_labels
from cxrkeras.models.importing.recognise import check_network, importable, recognise
from cxrkeras.models.importing.state import State
from cxrkeras.models.importing.torch_names import torch_names
from cxrkeras.models.importing.values import (
    check_leftovers,
    fill_trunk,
    head_values,
    with_epsilon,
)
from cxrkeras.registry import BACKBONES
from data_prep.errors import UserError
from data_prep.tables.vocabulary import NIH14
from tests.cxrkeras.models.importing.seeded import recorded, torch_recordings, values

FILE = Path("x.safetensors")
RECORDINGS = torch_recordings()
GONE = "features.denseblock3.denselayer7.norm2.running_var"


@pytest.fixture(scope="module")
def states():
    """The recorded tensors of DenseNet121; of the others the names alone."""

    def tensors(backbone: str) -> dict:
        shapes = recorded(RECORDINGS[backbone]).shapes
        return values(shapes if backbone == "densenet121" else dict.fromkeys(shapes, (1,)))

    return {backbone: State("torch", tensors(backbone)) for backbone in RECORDINGS}


@pytest.fixture(scope="module")
def trunk():
    return BACKBONES.make("densenet121").trunk(32)


def placed(backbone: str, state: State) -> dict:
    names = torch_names(backbone, state, FILE)
    check_leftovers(names, state, FILE, trunk_only=False)
    found = {place: state.tensors[key] for place, key in names.keys.items()}
    if names.head:
        found |= {
            "kernel": state.tensors[names.head.kernel],
            "bias": state.tensors[names.head.bias],
        }
    return found


def renamed(state: State, *pairs: tuple[str, str], prefix: str = "") -> State:
    tensors = {}
    for key, value in state.tensors.items():
        for old, new in pairs:
            key = key.replace(old, new)
        tensors[prefix + key] = value
    return State("torch", tensors)


OLD = tuple(
    (f"{kind}{number}.", f"{kind}.{number}.") for kind in ("norm", "conv") for number in "12"
)
NAMINGS = {
    "DataParallel": {"prefix": "module."},
    "old spelling": {"pairs": OLD},
    "arnoweng/CheXNet": {
        "pairs": (*OLD, ("classifier.", "classifier.0.")),
        "prefix": "module.densenet121.",
    },
    "the features alone": {"pairs": (("features.", ""),)},
}


@pytest.mark.parametrize("naming", NAMINGS)
def test_every_naming_of_densenet121_gives_the_same_tensors(states, naming):
    how = NAMINGS[naming]
    other = renamed(states["densenet121"], *how.get("pairs", ()), prefix=how.get("prefix", ""))
    expected, found = placed("densenet121", states["densenet121"]), placed("densenet121", other)
    assert found.keys() == expected.keys()
    assert all(found[place] is expected[place] for place in expected)


@pytest.mark.parametrize("backbone", RECORDINGS)
@settings(max_examples=10)
@given(prefix=st.lists(st.from_regex(r"[a-z]\w{0,5}\.", fullmatch=True), max_size=3).map("".join))
def test_any_prefix_will_do(states, backbone, prefix):
    expected = placed(backbone, states[backbone])
    found = placed(backbone, renamed(states[backbone], prefix=prefix))
    assert all(found[place] is expected[place] for place in expected)


@pytest.mark.parametrize("backbone", RECORDINGS)
def test_every_tensor_of_torchvision_s_has_its_place(states, backbone):
    """Each but the counters, once."""
    taken = [id(tensor) for tensor in placed(backbone, states[backbone]).values()]
    counters = ".num_batches_tracked"
    left = [key for key in states[backbone].tensors if not key.endswith(counters)]
    assert len(set(taken)) == len(taken) == len(left)


def refusal(action, *arguments, **options) -> str:
    with pytest.raises(UserError) as caught:
        action(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def filled(trunk, tensors: dict) -> str:
    """The refusal to fill `trunk`, which must not have changed."""
    before = [np.array(value) for value in trunk.get_weights()]
    state = State("torch", tensors)
    names = torch_names("densenet121", state, FILE)
    said = refusal(fill_trunk, trunk, names, state, scaling="torch", ours="torch", path=FILE)
    assert all(map(np.array_equal, before, trunk.get_weights()))
    return said


def test_a_missing_key_is_named_as_the_file_would_name_it(states, trunk):
    tensors = dict(renamed(states["densenet121"], *OLD, prefix="module.").tensors)
    gone = [key for key in tensors if key.endswith("norm.2.running_var")]
    for key in gone:
        del tensors[key]
    said = filled(trunk, tensors)
    assert (
        f"lacks {len(gone)} of 604 tensors: module.features.denseblock1.denselayer1.norm2" in said
    )
    assert f"and {len(gone) - 1} more" in said


def test_a_wrong_shape_is_named_in_the_file_s_order_of_axes(states, trunk):
    key = "features.transition2.conv.weight"
    tensors = {**states["densenet121"].tensors, key: np.zeros((256, 512, 3, 1), np.float32)}
    said = filled(trunk, tensors)
    assert "1 tensor of another shape" in said
    assert f"{key} is (256, 512, 3, 1), needed is (256, 512, 1, 1)" in said


def test_values_that_are_no_numbers_are_refused(states, trunk):
    broken = states["densenet121"].tensors[GONE].copy()
    broken[3] = np.nan
    said = filled(trunk, {**states["densenet121"].tensors, GONE: broken})
    assert f"1 tensor with NaN or infinite values: {GONE}" in said


def test_half_precision_is_taken(states, trunk):
    half = {
        key: value.astype(np.float16) if value.dtype == np.float32 else value
        for key, value in states["densenet121"].tensors.items()
    }
    state = State("torch", half)
    names = torch_names("densenet121", state, FILE)
    fill_trunk(trunk, names, state, scaling="torch", ours="torch", path=FILE)
    kernel = trunk.get_layer("conv1_conv").get_weights()[0]
    assert kernel.dtype == np.float32
    expected = half["features.conv0.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(kernel, np.float32(expected))


def leftover(state: State, extra: dict, *, trunk_only: bool = False) -> str | None:
    state = State("torch", {**state.tensors, **extra})
    names = torch_names("densenet121", state, FILE)
    try:
        check_leftovers(names, state, FILE, trunk_only=trunk_only)
    except UserError as error:
        return str(error)
    return None


def test_what_is_left_over_is_named(states):
    state = states["densenet121"]
    beside = {"location.weight": np.zeros(3), "location.bias": np.zeros(3)}
    said = leftover(state, beside)
    assert "2 tensors for which --as has no place: location.weight and 1 more" in said
    assert "--trunk-only leaves them out" in said
    assert leftover(state, beside, trunk_only=True) is None
    inside = {"features.denseblock2.denselayer13.conv1.weight": np.zeros(3)}
    for trunk_only in (False, True):
        said = leftover(state, inside, trunk_only=trunk_only)
        assert "features.denseblock2.denselayer13.conv1.weight. So this is another network" in said


def test_a_classifier_that_is_not_linear_is_no_head(states):
    """Two linear layers: neither may pass for the classifier."""
    state = renamed(states["densenet121"], ("classifier.", "classifier.0."))
    extra = {"classifier.3.weight": np.zeros((2, 14)), "classifier.3.bias": np.zeros(2)}
    state = State("torch", {**state.tensors, **extra})
    assert torch_names("densenet121", state, FILE).head is None
    assert "4 tensors" in refusal(
        check_leftovers, torch_names("densenet121", state, FILE), state, FILE, trunk_only=False
    )


def test_a_classifier_on_other_features_is_refused(states):
    state = State(
        "torch", {**states["densenet121"].tensors, "classifier.weight": np.zeros((14, 50176))}
    )
    names = torch_names("densenet121", state, FILE)
    said = refusal(head_values, names, state, 1024, FILE)
    assert "not linear on 1024 pooled features" in said
    assert "--trunk-only" in said


def test_of_two_trunks_neither_is_taken(states):
    both = {
        **renamed(states["densenet121"], prefix="student.").tensors,
        **renamed(states["densenet121"], prefix="teacher.").tensors,
    }
    said = refusal(torch_names, "densenet121", State("torch", both), FILE)
    assert "holds 2 densenet121 trunks (under student.features., teacher.features.)" in said


def test_the_epsilon_is_exact_even_where_the_variance_is_nothing():
    rng = np.random.default_rng(0)
    variance = np.concatenate([[0.0, 1e-9, 1e-8, 1e-5], rng.uniform(0, 2, 50)])
    batch_norm = {"gamma": rng.normal(size=54), "moving_variance": variance}
    for theirs, ours in ((1e-5, 1.001e-5), (1e-3, 1.001e-5), (1.001e-5, 1e-3), (1e-5, 1e-5)):
        found = with_epsilon(batch_norm, theirs, ours)
        assert (found["moving_variance"] >= 0).all()
        np.testing.assert_allclose(
            found["gamma"] / np.sqrt(found["moving_variance"] + ours),
            batch_norm["gamma"] / np.sqrt(variance + theirs),
            rtol=1e-12,
        )
    same = with_epsilon(batch_norm, 1e-3, 1e-5)
    np.testing.assert_allclose(same["gamma"], batch_norm["gamma"], rtol=1e-12)


def torch_like(*keys: str) -> State:
    return State("torch", dict.fromkeys(keys, np.zeros(1)))


def densenet(*blocks: int) -> State:
    return torch_like(
        *(
            f"features.denseblock{block}.denselayer{layer}.conv1.weight"
            for block, layers in enumerate(blocks, start=1)
            for layer in range(1, layers + 1)
        )
    )


def resnet(*blocks: int, convolutions: int) -> State:
    return torch_like(
        *(
            f"layer{stack}.{block}.conv{number}.weight"
            for stack, count in enumerate(blocks, start=1)
            for block in range(count)
            for number in range(1, convolutions + 1)
        )
    )


def vgg(convolutions: int, norms: int = 0) -> State:
    weights = [f"features.{place}.weight" for place in range(convolutions + norms)]
    return torch_like(*weights, *(f"features.{place}.running_mean" for place in range(norms)))


def keras_like(*layers: str) -> State:
    return State("keras", {f"{layer}/kernel": np.zeros(1) for layer in layers})


@pytest.mark.parametrize(
    ("state", "looks_like"),
    [
        (densenet(6, 12, 32, 32), "PyTorch's DenseNet169"),
        (densenet(6, 12, 36, 24), "PyTorch's DenseNet161"),
        (densenet(6, 12, 48, 32), "PyTorch's DenseNet201"),
        (densenet(2, 3), "PyTorch's DenseNet with blocks (2, 3)"),
        (resnet(2, 2, 2, 3, convolutions=2), "PyTorch's ResNet with blocks (2, 2, 2, 3)"),
        (resnet(3, 8, 36, 3, convolutions=3), "PyTorch's ResNet152"),
        (vgg(8), "PyTorch's VGG11"),
        (vgg(13, norms=13), "PyTorch's VGG16-BN"),
        (keras_like("block5_conv3", "block5_conv4"), "Keras's VGG19"),
        (keras_like("conv2_block1_1_conv", "post_bn"), "Keras's ResNet50V2 or its like"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_network_is_told_by_name(state, looks_like):
    said = refusal(check_network, state, "densenet121", FILE)
    assert f"looks like {looks_like}. What can be imported: " in said
    assert all(network in said for network in importable())


@pytest.mark.parametrize(
    ("recording", "backbone"),
    [
        *((recording, backbone) for backbone, recording in RECORDINGS.items()),
        ("xrv_densenet121", "densenet121"),
        ("keras2_densenet121", "densenet121"),
        ("keras2_first_resnet50", "resnet50"),
        ("keras2_resnet50", "resnet50"),
        ("keras2_vgg16", "vgg16"),
        ("keras2_xception", "xception"),
        ("keras2_inception_v3", "inception_v3"),
    ],
)
def test_the_right_backbone_is_told_for_a_wrong_one(recording, backbone):
    names = (name.removesuffix(":0") for name in recorded(recording).shapes)
    kind = "keras" if recording.startswith("keras2") else "torch"
    state = State(kind, dict.fromkeys(names, np.zeros(1)))
    check_network(state, backbone, FILE)
    wrong = "resnet50" if backbone != "resnet50" else "resnet50_v1_5"
    said = refusal(check_network, state, wrong, FILE)
    assert said.endswith(f"Give --as {backbone}.")


def test_what_nobody_knows_is_said_to_be_unknown():
    for state in (torch_like("blocks.0.attn.qkv.weight"), keras_like("dense"), State("torch", {})):
        assert recognise(state) is None
        assert "one of the known networks" in refusal(check_network, state, "densenet121", FILE)


def test_labels_come_from_a_list_or_in_words():
    assert parse_labels("nih14") == parse_labels("NIH14") == NIH14
    assert parse_labels("Mass, Nodule,,Edema") == ("Mass", "Nodule", "", "Edema")
    assert {len(labels) for labels in LISTS.values()} == {5, 14, 15, 18}
    for text in ("", ",", "Mass,Mass"):
        assert "--labels must be one of" in refusal(parse_labels, text)


def test_fourteen_outputs_are_not_taken_for_nih_s(states):
    state = states["densenet121"]
    names = torch_names("densenet121", state, FILE)
    assert output_labels(None, names, state, 14, FILE) is None
    assert output_labels(NIH14, names, state, 14, FILE) == NIH14
    said = refusal(output_labels, NIH14, names, state, 15, FILE)
    assert "names 14 labels, but the classifier of x.safetensors has 15 outputs" in said


def test_torchxrayvision_s_outputs_are_known_and_those_never_trained_left_out():
    tensors = {
        "module.features.conv0.weight": np.zeros((64, 1, 7, 7)),
        "module.features.denseblock1.denselayer1.conv1.weight": np.zeros(1),
    }
    points = np.full(18, 0.1)
    points[[2, 17]] = np.nan
    for extra, dropped in ({}, ()), ({"module.op_threshs": points}, (2, 17)):
        state = State("torch", {**tensors, **extra})
        names = torch_names("densenet121", state, FILE)
        check_leftovers(names, state, FILE, trunk_only=False)
        labels = output_labels(None, names, state, 18, FILE)
        expected = ["" if i in dropped else name for i, name in enumerate(LISTS["xrv18"])]
        assert list(labels) == expected
        assert output_labels(None, names, state, 14, FILE) is None


def test_eighteen_outputs_on_three_channels_are_not_torchxrayvision_s(states):
    state = states["densenet121"]
    assert output_labels(None, torch_names("densenet121", state, FILE), state, 18, FILE) is None
