"""Foreign files: read as they are, refused in one line where they aren't, never executed."""

import json
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import h5py
import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

from cxrkeras.models.importing.files import read_state
from cxrkeras.models.importing.keras_names import keras_names
from cxrkeras.models.importing.state import State
from cxrkeras.models.importing.values import check_leftovers
from cxrkeras.registry import BACKBONES
from cxrkeras.runs.sources import FOREIGN_FILES
from data_prep.errors import UserError
from tests.conftest import ROOT
from tests.cxrkeras.models.importing.seeded import recorded, values, write_keras2

TENSORS = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a.bias": np.ones(2)}


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_state(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)
    return str(caught.value)


def test_safetensors_come_as_they_are(tmp_path):
    save_file(TENSORS, tmp_path / "x.safetensors")
    state = read_state(tmp_path / "x.safetensors")
    assert state.kind == "torch"
    assert state.tensors.keys() == TENSORS.keys()
    assert all(np.array_equal(state.tensors[key], TENSORS[key]) for key in TENSORS)


def test_brain_floats_are_refused_with_the_cure(tmp_path):
    """Written by hand: the header's length, the header, the numbers."""
    header = {"a": {"dtype": "F8_E5M2", "shape": [2], "data_offsets": [0, 2]}}
    text = json.dumps(header).encode()
    (tmp_path / "x.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(2))
    assert "float32 first" in refusal(tmp_path / "x.safetensors")


@pytest.mark.parametrize("content", [b"", b"hello, world", b"\xff" * 100, b"PK\x03\x04"])
@pytest.mark.parametrize("name", ["x.safetensors", "x.h5"])
def test_what_is_none_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert "can't be read as" in refusal(tmp_path / name)


def test_an_absent_file_and_other_kinds_are_refused(tmp_path):
    assert "There is no file" in refusal(tmp_path / "absent.pth")
    for name in ("x.keras", "x.onnx", "x"):
        (tmp_path / name).write_bytes(b"x")
    assert "needs no import" in refusal(tmp_path / "x.keras")
    for name in ("x.onnx", "x"):
        assert f"reads {', '.join(FOREIGN_FILES)}" in refusal(tmp_path / name)


def test_keras_3_s_own_file_needs_no_import(tmp_path):
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save_weights(
        tmp_path / "x.weights.h5"
    )
    assert "needs no import" in refusal(tmp_path / "x.weights.h5")
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file["x"] = [1]
    assert "no weights of Keras 2" in refusal(tmp_path / "y.h5")


def test_keras_2_s_weights_have_their_layers_names(tmp_path):
    record = recorded("keras2_densenet121")
    tensors = values(record.shapes)
    write_keras2(tmp_path / "x.h5", record.layers, tensors)
    state = read_state(tmp_path / "x.h5")
    assert state.kind == "keras"
    assert state.layers == tuple(record.layers)
    assert state.tensors.keys() == {name.removesuffix(":0") for name in tensors}
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(state.tensors[name.removesuffix(":0")], tensor)


SMALL = {"conv1": ["conv1_1/kernel:0", "conv1_1/bias:0"], "flatten": [], "out": ["out/kernel:0"]}
SMALL_TENSORS = {
    "conv1_1/kernel:0": np.ones((1, 1, 3, 2), np.float32),
    "conv1_1/bias:0": np.zeros(2, np.float32),
    "out/kernel:0": np.ones((2, 1), np.float32),
}


def test_a_layer_s_name_counts_not_its_scope(tmp_path):
    write_keras2(tmp_path / "x.h5", SMALL, SMALL_TENSORS)
    state = read_state(tmp_path / "x.h5")
    assert set(state.tensors) == {"conv1/kernel", "conv1/bias", "out/kernel"}
    assert state.layers == ("conv1", "flatten", "out")


def test_of_a_nested_model_the_inner_names_count(tmp_path):
    names = [name.replace("conv1_1", "conv1/conv") for name in SMALL_TENSORS]
    tensors = dict(zip(names, SMALL_TENSORS.values(), strict=True))
    write_keras2(tmp_path / "x.h5", {"densenet121": names}, tensors)
    found = read_state(tmp_path / "x.h5").tensors
    assert set(found) == {"conv1/conv/kernel", "conv1/conv/bias", "out/kernel"}


def whole_model(path: Path, activation: str) -> None:
    """A whole model's file: weights in a group, the architecture as JSON, attributes in chunks."""
    write_keras2(path, SMALL, SMALL_TENSORS)
    config = {
        "class_name": "Model",
        "config": {
            "layers": [
                {"class_name": "Lambda", "config": {"function": "import os"}},
                {"class_name": "Dense", "config": {"name": "out", "activation": activation}},
            ]
        },
    }
    with h5py.File(path, "r+") as file:
        group = file.create_group("model_weights")
        for name in SMALL:
            file.move(name, f"model_weights/{name}")
        names = np.array([name.encode() for name in SMALL])
        group.attrs["layer_names0"], group.attrs["layer_names1"] = names[:2], names[2:]
        del file.attrs["layer_names"]
        file.attrs["model_config"] = json.dumps(config)
        file["optimizer_weights/Adam/iterations:0"] = 7


def test_a_whole_model_gives_its_weights_and_its_last_activation(tmp_path):
    whole_model(tmp_path / "x.h5", "softmax")
    state = read_state(tmp_path / "x.h5")
    assert set(state.tensors) == {"conv1/kernel", "conv1/bias", "out/kernel"}
    assert state.layers == ("conv1", "flatten", "out")
    assert state.activation == "softmax"


@pytest.fixture(scope="module")
def vgg():
    trunk = BACKBONES.make("vgg16").trunk(32)
    tensors = {
        f"{layer.name}/{variable.name}": np.array(variable)
        for layer in trunk.layers
        for variable in layer.weights
    }
    head = {"predictions/kernel": np.zeros((512, 14)), "predictions/bias": np.zeros(14)}
    return trunk, {**tensors, **head}


@pytest.mark.parametrize(
    ("layers", "activation", "said"),
    [
        (("global_average_pooling2d_1",), "sigmoid", None),
        (("global_average_pooling2d_1",), None, None),
        (("avg_pool",), "softmax", "ends in softmax"),
        (("global_max_pooling2d_1",), "sigmoid", "maximum pooling"),
        (("max_pool",), None, "maximum pooling"),
    ],
)
def test_a_classifier_that_ours_could_not_be_is_left_out(vgg, layers, activation, said):
    trunk, tensors = vgg
    state = State("keras", tensors, layers, activation)
    names = keras_names(trunk, state, Path("x.h5"))
    check_leftovers(names, state, Path("x.h5"), trunk_only=False)
    assert (names.head is None) == bool(said)
    assert (said or "") in " ".join(names.notes)
    assert bool(names.notes) == bool(said)


def test_the_first_resnet_s_missing_padding_is_noted():
    record = recorded("keras2_first_resnet50")
    tensors = {
        name.removesuffix(":0"): np.zeros(shape, np.float32)
        for name, shape in record.shapes.items()
        if name.startswith(("conv1", "bn_conv1"))
    }
    trunk = BACKBONES.make("vgg16").trunk(32)
    without = tuple(layer for layer in record.layers if layer != "pool1_pad")
    for layers, noted in ((tuple(record.layers), False), (without, True)):
        notes = keras_names(trunk, State("keras", tensors, layers), Path("x.h5")).notes
        assert bool(notes) == noted


def test_without_torch_the_cure_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "x.pth.tar").write_bytes(b"x")
    said = refusal(tmp_path / "x.pth.tar")
    assert "pip install 'cxrkeras[torch]'" in said
    assert ".safetensors" in said


def test_a_torch_that_could_be_made_to_run_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(__version__="2.5.1+cpu"))
    (tmp_path / "x.pt").write_bytes(b"x")
    assert "before 2.6 can't read safely. Received: torch 2.5.1" in refusal(tmp_path / "x.pt")


class Trap:
    """Whoever unpickles it makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch isn't installed (pip install '.[torch]')")


def test_pytorch_s_files_give_their_tensors(tmp_path, torch):
    """Plain, old format, and a checkpoint with an optimiser beside."""
    own = {key: torch.tensor(value) for key, value in TENSORS.items()}
    torch.save(own, tmp_path / "a.pth")
    torch.save(own, tmp_path / "b.pt", _use_new_zipfile_serialization=False)
    optimiser = {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 1e-4}]}
    checkpoint = {"epoch": 3, "state_dict": own, "best_loss": 0.1, "optimizer": optimiser}
    torch.save(checkpoint, tmp_path / "c.pth.tar")
    torch.save({"backbone": own}, tmp_path / "d.ckpt")
    torch.save({"a": own["a.weight"].to(torch.bfloat16), "n": torch.tensor(3)}, tmp_path / "e.pt")
    for name in ("a.pth", "b.pt", "c.pth.tar", "d.ckpt"):
        found = read_state(tmp_path / name).tensors
        assert found.keys() == TENSORS.keys(), name
        assert all(np.array_equal(found[key], TENSORS[key]) for key in TENSORS)
    found = read_state(tmp_path / "e.pt").tensors
    assert found["a"].dtype == np.float32
    np.testing.assert_array_equal(found["a"], TENSORS["a.weight"])


def test_several_sets_of_tensors_are_refused_by_name(tmp_path, torch):
    own = {"a": torch.tensor(1.0)}
    torch.save({"student": own, "teacher": own}, tmp_path / "x.pth")
    assert "several sets of named tensors (student, teacher)" in refusal(tmp_path / "x.pth")
    torch.save([1, 2], tmp_path / "y.pth")
    assert "no named tensors" in refusal(tmp_path / "y.pth")


def test_a_pickled_model_is_refused_and_not_run(tmp_path, torch):
    touched = tmp_path / "touched"
    torch.save({"model": Trap(touched), "a": torch.tensor(1.0)}, tmp_path / "x.pth")
    said = refusal(tmp_path / "x.pth")
    assert "more than tensors" in said
    assert "python -m cxrkeras.models.importing.pickled x.pth x.safetensors" in said
    (tmp_path / "y.pt").write_bytes(pickle.dumps(Trap(touched)))
    refusal(tmp_path / "y.pt")
    (tmp_path / "z.pt").write_bytes(b"garbage")
    refusal(tmp_path / "z.pt")
    assert not touched.exists()


def test_the_recipe_takes_a_pickled_model_s_tensors_without_running_it(tmp_path, torch):
    """`cxrkeras.models.importing.pickled`, on a model with a trap beside its weights."""
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.BatchNorm2d(2))
    net.trap = Trap(tmp_path / "touched")
    torch.save({"model": net, "epoch": 1}, tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(net, protocol=4))
    module = "cxrkeras.models.importing.pickled"
    for name, prefix in (("a", "model."), ("b", "")):
        out = tmp_path / f"{name}.safetensors"
        file = tmp_path / f"{name}.pt"
        subprocess.run([sys.executable, "-m", module, file, out], check=True, cwd=ROOT)
        found = read_state(out).tensors
        assert {key.removeprefix(prefix) for key in found} == set(net.state_dict())
        for key, value in net.state_dict().items():
            np.testing.assert_array_equal(found[prefix + key], value.numpy())
    assert not (tmp_path / "touched").exists()
