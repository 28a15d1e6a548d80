"""Imported trunks compute what PyTorch and Keras 2 recorded of the same weights and images.

The recordings come from `recipes/record_torch.py` (torchvision 0.28, in double precision) and
`recipes/record_keras2.py` (tf_keras 2.21).
"""

from pathlib import Path

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

from cxrkeras.models.backbones.shared.scaling import SCALINGS, grey_to_colour
from cxrkeras.models.importing.files import read_state
from cxrkeras.models.importing.importer import Wish, import_weights
from cxrkeras.models.importing.keras_names import keras_names
from cxrkeras.models.importing.torch_names import torch_names
from cxrkeras.models.importing.values import check_leftovers, fill_trunk
from cxrkeras.registry import BACKBONES
from tests.cxrkeras.models.importing.seeded import (
    Recorded,
    images,
    recorded,
    torch_recordings,
    values,
    write_keras2,
)

TOLERANCE = 1e-5  # of the largest feature; ten times stricter than is asked
SLOW = ("torch_resnet34", "torch_resnet101", "torch_densenet121")  # torchxrayvision's is quick


@pytest.fixture(scope="module")
def built():
    """`built(backbone, side)`: a trunk, built once for all tests."""
    trunks = {}

    def build(backbone: str, side: int = 64) -> keras.Model:
        if (backbone, side) not in trunks:
            trunks[backbone, side] = BACKBONES.make(backbone).trunk(side)
        return trunks[backbone, side]

    return build


def features(trunk: keras.Model, scaling: str) -> np.ndarray:
    maps = trunk(grey_to_colour(images(trunk.input_shape[1]), SCALINGS[scaling]))
    return keras.ops.convert_to_numpy(maps).mean((1, 2))


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest, relative to the largest feature of the same image."""
    return (np.abs(found - expected) / np.abs(expected).max(axis=1, keepdims=True)).max()


def fill(trunk: keras.Model, backbone: str, path: Path, scaling: str) -> None:
    state = read_state(path)
    torch = state.kind == "torch"
    names = torch_names(backbone, state, path) if torch else keras_names(trunk, state, path)
    check_leftovers(names, state, path, trunk_only=False)
    ours = BACKBONES.load(backbone).scaling
    fill_trunk(trunk, names, state, scaling=scaling, ours=ours, path=path)


OF_TORCH = [
    pytest.param(name, backbone, "torch", marks=[pytest.mark.slow] if name in SLOW else [])
    for backbone, name in torch_recordings().items()
]


@pytest.mark.parametrize(
    ("recording", "backbone", "scaling"), [*OF_TORCH, ("xrv_densenet121", "densenet121", "xrv")]
)
def test_a_pytorch_trunk_has_pytorch_s_features(tmp_path, built, recording, backbone, scaling):
    record = recorded(recording)
    save_file(values(record.shapes), tmp_path / "x.safetensors")
    trunk = built(backbone)
    fill(trunk, backbone, tmp_path / "x.safetensors", scaling)
    assert difference(features(trunk, "torch"), record.features) < TOLERANCE


@pytest.mark.parametrize(
    ("recording", "backbone", "side"),
    [
        ("densenet121", "densenet121", 64),
        pytest.param("first_resnet50", "resnet50", 64, marks=pytest.mark.slow),
        pytest.param("resnet50", "resnet50", 64, marks=pytest.mark.slow),
        pytest.param("vgg16", "vgg16", 64, marks=pytest.mark.slow),
        pytest.param("xception", "xception", 80, marks=pytest.mark.slow),
        pytest.param("inception_v3", "inception_v3", 80, marks=pytest.mark.slow),
    ],
)
def test_a_keras_2_trunk_has_keras_2_s_features(tmp_path, built, recording, backbone, side):
    record = recorded(f"keras2_{recording}")
    write_keras2(tmp_path / "x.h5", record.layers, values(record.shapes))
    trunk = built(backbone, side)
    scaling = BACKBONES.load(backbone).scaling
    fill(trunk, backbone, tmp_path / "x.h5", scaling)
    assert difference(features(trunk, scaling), record.features) < TOLERANCE


@pytest.mark.slow
def test_numbered_layers_are_paired_whatever_the_session_had_counted(tmp_path, built):
    """A second model in one session is numbered on from the first: conv2d_94, and so on."""
    record = recorded("keras2_inception_v3")

    def later(name: str) -> str:
        layer, _, rest = name.partition("/")
        kind = layer.removesuffix(f"_{layer.rpartition('_')[2]}") if layer[-1].isdigit() else layer
        if kind not in ("conv2d", "batch_normalization"):
            return name
        number = int(layer.removeprefix(kind).lstrip("_") or 0)
        return f"{kind}_{number + 94}{'/' if rest else ''}{rest}"

    tensors = {later(name): tensor for name, tensor in values(record.shapes).items()}
    layers = {
        later(layer): [later(name) for name in names] for layer, names in record.layers.items()
    }
    assert "conv2d_187/kernel:0" in tensors
    write_keras2(tmp_path / "x.h5", layers, tensors)
    trunk = built("inception_v3", 80)
    fill(trunk, "inception_v3", tmp_path / "x.h5", "tf")
    assert difference(features(trunk, "tf"), record.features) < TOLERANCE


def predict(folder: Path, side: int) -> np.ndarray:
    model = keras.saving.load_model(folder / "model.keras")
    return keras.ops.convert_to_numpy(model(images(side)))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.float64(logits)))


@pytest.mark.slow
def test_an_imported_model_predicts_what_the_original_does(tmp_path):
    """Torchxrayvision's form: its list of labels, less the outputs that were never trained."""
    record: Recorded = recorded("xrv_densenet121")
    tensors = values(record.shapes)
    points = np.full(18, 0.1, np.float32)
    points[[14, 17]] = np.nan
    save_file({**tensors, "op_threshs": points}, tmp_path / "xrv.safetensors")
    wish = Wish("densenet121", 64, origin="nobody", licence="CC0")
    done = import_weights(tmp_path / "xrv.safetensors", tmp_path / "out", wish)
    kept = [number for number in range(18) if number not in (14, 17)]
    assert len(done.facts["labels"]) == 16
    assert done.facts["labels"][0] == "Atelectasis"
    assert done.facts["labels"][-2:] == ["Fracture", "Lung Opacity"]
    found = predict(tmp_path / "out", 64)
    np.testing.assert_allclose(found, sigmoid(record.logits[:, kept]), atol=1e-5)
