"""KerasHub's backbones: what is refused, how pixels are scaled, and transformers' own features."""

import importlib.util
import json

import keras
import numpy as np
import pytest

from cxrkeras.models.backbones import check_backbone
from cxrkeras.models.weights.trunk import load_trunk
from cxrkeras.registry import BACKBONES
from cxrkeras.runs.description import make_experiment
from cxrkeras.runs.sources import Weights
from cxrkeras.training.plan import resolve
from data_prep.errors import UserError

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
PATCH, SIDE, WIDTH = 14, 56, 32


def test_a_preset_is_needed():
    with pytest.raises(UserError, match="--backbone hub needs the option 'preset'"):
        BACKBONES.make("hub")


def test_without_keras_hub_the_extra_is_named(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "keras_hub" else find(name)
    )
    with pytest.raises(UserError, match=r"pip install 'cxrkeras\[hub\]'"):
        check_backbone("hub:dinov2_small", 224)
    choices = {"data": "x", "backbone": "hub:dinov2_small", "random_trunk": True}
    with pytest.raises(UserError, match=r"pip install 'cxrkeras\[hub\]'"):
        resolve(make_experiment(choices))
    with pytest.raises(UserError, match="Raise side of --views"):
        BACKBONES.make("hub:dinov2_small").check(16, "side of --views")


def test_a_folder_is_the_same_from_everywhere(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    part = BACKBONES.make("hub:here")
    assert part.preset == str(tmp_path / "here")
    assert BACKBONES.make(str(part)) == part
    assert BACKBONES.make("hub:dinov2_small").preset == "dinov2_small"


@pytest.mark.parametrize(
    ("rule", "slope", "offset"),
    [
        (
            {"image_mean": MEAN, "image_std": STD, "rescale_factor": 1 / 255},
            1 / 255 / np.float64(STD),
            -np.float64(MEAN) / STD,
        ),
        ({"do_normalize": False}, np.full(3, 1 / 255), np.zeros(3)),
        (
            {"do_rescale": False, "image_mean": [9.0] * 3, "image_std": [3.0] * 3},
            np.full(3, 1 / 3),
            -np.full(3, 3.0),
        ),
    ],
)
def test_pixels_are_scaled_as_the_preprocessor_says(tmp_path, rule, slope, offset):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(rule))
    grey = np.random.default_rng(0).uniform(0, 255, (2, 3, 5, 1)).astype(np.float32)
    found = BACKBONES.make(f"hub:{tmp_path}").scaled(grey, trunk="hub")
    np.testing.assert_allclose(found, grey * slope + offset, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def dinov2(tmp_path_factory):
    """`dinov2(registers)`: a small one of transformers' own with random weights, and its folder."""
    torch = pytest.importorskip("torch", reason="torch isn't installed (extra torch)")
    transformers = pytest.importorskip("transformers", reason="transformers isn't installed")
    pytest.importorskip("keras_hub", reason="KerasHub isn't installed (extra hub)")

    def make(registers: int):
        kind = "Dinov2WithRegisters" if registers else "Dinov2"
        more = {"num_register_tokens": registers} if registers else {}
        config = getattr(transformers, f"{kind}Config")(
            hidden_size=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            mlp_ratio=2,
            image_size=SIDE,
            patch_size=PATCH,
            **more,
        )
        torch.manual_seed(registers)
        model = getattr(transformers, f"{kind}Model")(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(torch.randn_like(parameter) * 0.2)
        folder = tmp_path_factory.mktemp("dinov2")
        model.save_pretrained(folder)
        rule = {"image_mean": MEAN, "image_std": STD, "rescale_factor": 1 / 255}
        (folder / "preprocessor_config.json").write_text(json.dumps(rule))

        def features(colour: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                found = model(torch.tensor(colour.transpose(0, 3, 1, 2))).last_hidden_state
            patches = found.numpy()[:, 1 + registers :]
            return patches.reshape(len(colour), SIDE // PATCH, SIDE // PATCH, WIDTH)

        return folder, features

    return make


@pytest.mark.slow
@pytest.mark.parametrize("registers", [0, 4])
@pytest.mark.filterwarnings("ignore")  # of transformers and what it imports
def test_a_dinov2_has_the_features_that_transformers_gives(dinov2, registers, tmp_path):
    folder, features = dinov2(registers)
    text = f"hub:{folder}"
    part = check_backbone(text, SIDE)
    trunk = part.trunk(SIDE)
    assert trunk.name == "hub"
    image = keras.Input((SIDE, SIDE, 1))
    model = keras.Model(image, trunk(part.scaled(image, trunk=trunk.name)))
    load_trunk(trunk, text, Weights("imagenet"))
    maps = part.maps(trunk)
    assert {key: tuple(tensor.shape) for key, tensor in maps.items()} == {
        "s14": (None, SIDE // PATCH, SIDE // PATCH, WIDTH)
    }
    grey = np.random.default_rng(0).uniform(0, 255, (2, SIDE, SIDE, 1)).astype(np.float32)
    colour = (np.repeat(grey, 3, axis=-1) / 255 - MEAN) / STD
    expected = features(colour.astype(np.float32))
    found = np.asarray(trunk(part.scaled(grey)))
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(found, expected, atol=1e-4)
    odd = part.trunk(5 * PATCH + 10)
    assert {key: tensor.shape[1] for key, tensor in part.maps(odd).items()} == {"s14": 5}
    model.save(tmp_path / "x.keras")
    again = keras.saving.load_model(tmp_path / "x.keras")
    np.testing.assert_array_equal(again(grey), model(grey))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_pyramid_of_keras_hub_is_maps_by_stride(tmp_path):
    hub = pytest.importorskip("keras_hub", reason="KerasHub isn't installed (extra hub)")
    net = hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 8, 8, 8],
        stackwise_num_blocks=[1, 1, 1, 1],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=(None, None, 3),
    )
    net.save_to_preset(str(tmp_path))
    part = check_backbone(f"hub:{tmp_path}", 70)
    trunk = part.trunk(70, weights="imagenet")
    maps = part.maps(trunk)
    assert {key: tensor.shape[1] for key, tensor in maps.items()} == {
        "s04": 18,
        "s08": 9,
        "s16": 5,
        "s32": 3,
    }
    assert maps["s32"] is trunk.output
    image = np.random.default_rng(0).normal(size=(1, 70, 70, 3)).astype(np.float32)
    np.testing.assert_allclose(trunk(image), net(image), atol=1e-6)
    with pytest.raises(UserError, match="says nothing of how its pixels are scaled"):
        part.scaled(image[..., :1])


@pytest.mark.slow
def test_a_folder_that_is_no_preset_is_refused(tmp_path):
    pytest.importorskip("keras_hub", reason="KerasHub isn't installed (extra hub)")
    with pytest.raises(UserError, match=r"can't be built for 64 px .*config\.json") as caught:
        check_backbone(f"hub:{tmp_path}", 64).trunk(64)
    assert "\n" not in str(caught.value)
