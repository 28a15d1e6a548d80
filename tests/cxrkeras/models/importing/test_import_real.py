"""A real DenseNet121 of PyTorch on real radiographs: features equal those that PyTorch recorded."""

import os
from pathlib import Path

import keras
import numpy as np
import pytest

from cxrkeras.models.backbones.shared.scaling import SCALINGS, grey_to_colour
from cxrkeras.models.importing.importer import Wish, import_weights
from cxrkeras.models.weights.trunk import load_trunk
from cxrkeras.registry import BACKBONES
from cxrkeras.runs.sources import Weights
from tests.cxrkeras.models.importing.seeded import FIXTURES, halved

TOLERANCE = 1e-4  # of the largest feature


@pytest.fixture
def typefaces() -> Path:
    path = os.environ.get("CXRKERAS_TYPEGROUPS")
    if not path:
        pytest.skip(
            "CXRKERAS_TYPEGROUPS must name the .safetensors file of "
            "ocrd_typegroups_classifier's DenseNet121 (recipes/record_typefaces.py says how)"
        )
    return Path(path)


@pytest.mark.real
@pytest.mark.slow
def test_features_of_real_images_are_pytorch_s(tmp_path, real, typefaces):
    folder = real("nih_target")
    with np.load(FIXTURES / "typefaces.npz") as file:
        names, expected = file["files"].tolist(), file["features"]
    paths = {path.name: path for path in folder.rglob("*.png")}
    grey = halved([paths[name] for name in names])
    import_weights(typefaces, tmp_path / "out", Wish("densenet121", 256))
    trunk = BACKBONES.make("densenet121").trunk(256)
    load_trunk(trunk, "densenet121", Weights(str(tmp_path / "out" / "trunk.weights.h5")))
    maps = trunk(grey_to_colour(grey, SCALINGS["torch"]))
    found = keras.ops.convert_to_numpy(maps).mean((1, 2))
    assert found.shape == (20, 1024)
    relative = np.abs(found - expected).max(axis=1) / expected.max(axis=1)
    print(f"largest relative difference {relative.max():.1e}")
    assert relative.max() < TOLERANCE
