"""Our backbones; the references are those of keras.applications itself."""

import importlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from cxrkeras.models.backbones import check_backbone
from cxrkeras.models.backbones.families.applications import spell
from cxrkeras.models.backbones.shared.scaling import SCALINGS, grey_to_colour
from cxrkeras.models.network import TARGET
from cxrkeras.models.weights.trunk import save_trunk
from cxrkeras.registry import BACKBONES
from data_prep.errors import UserError
from tests.cxrkeras.backbones import known
from tests.cxrkeras.models.backbones.names import APPLICATIONS, NAMES
from tests.cxrkeras.networks import network_of
from tests.cxrkeras.plain_keras import plain_predictions


def theirs(name: str):
    """The constructor in `keras.applications`."""
    return getattr(keras.applications, BACKBONES.load(name).constructor)


def preprocessed(name: str, colour: np.ndarray) -> np.ndarray:
    module = importlib.import_module(theirs(name).__module__)
    return module.preprocess_input(colour.copy())


@pytest.mark.parametrize(
    ("constructor", "name"),
    [
        ("ResNet50", "resnet50"),
        ("ResNet50V2", "resnet50_v2"),
        ("DenseNet121", "densenet121"),
        ("Xception", "xception"),
        ("InceptionV3", "inception_v3"),
        ("InceptionResNetV2", "inception_resnet_v2"),
        ("VGG16", "vgg16"),
        ("NASNetMobile", "nasnet_mobile"),
        ("EfficientNetB0", "efficientnet_b0"),
        ("EfficientNetV2B0", "efficientnet_v2_b0"),
        ("EfficientNetV2S", "efficientnet_v2_s"),
        ("ConvNeXtTiny", "convnext_tiny"),
        ("ConvNeXtXLarge", "convnext_xlarge"),
        ("MobileNet", "mobilenet"),
        ("MobileNetV2", "mobilenet_v2"),
        ("MobileNetV3Small", "mobilenet_v3_small"),
    ],
)
def test_a_constructor_is_spelled_by_rule(constructor, name):
    assert spell(constructor) == name


def test_all_of_keras_applications_is_there():
    """As the imported package has it: functions with a capital are constructors."""
    found = {name for name in dir(keras.applications) if name[0].isupper()}
    assert {BACKBONES.load(name).constructor for name in APPLICATIONS} == found
    assert len(APPLICATIONS) == len(found)
    for name in APPLICATIONS:
        about = BACKBONES.about(name)
        assert BACKBONES.load(name).constructor in about.line
        assert "arxiv.org" in about.source


def test_names_and_sizes_are_known_without_keras():
    code = (
        "import sys\nfrom cxrkeras.models.backbones import check_backbone\n"
        "from cxrkeras.registry import BACKBONES\n"
        "assert 'densenet169' in BACKBONES.names()\n"
        "print(check_backbone('mobilenet-v3-small', 224), BACKBONES.make('xception').smallest())\n"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("mobilenet_v3_small 71\n", "")


@pytest.mark.parametrize("name", APPLICATIONS)
def test_the_smallest_side_is_where_keras_draws_the_line(name):
    smallest = BACKBONES.make(name).smallest()
    build = theirs(name)
    with pytest.raises(ValueError, match=str(smallest)):
        build(include_top=False, weights=None, input_shape=(smallest - 1, smallest - 1, 3))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # The study's two, then torchvision's 25,557,032 less the classifier's 2,049,000 and with
        # the 53,120 moving statistics; the others of torchvision likewise.
        pytest.param("xception", 20_861_480, marks=pytest.mark.slow),
        pytest.param("densenet121", 7_037_504, marks=pytest.mark.slow),
        pytest.param("resnet50_v1_5", 23_561_152, marks=pytest.mark.slow),
        ("resnet18", 11_176_512 + 9_600),
        pytest.param("resnet34", 21_797_672 - 513_000 + 17_024, marks=pytest.mark.slow),
        pytest.param("resnet101_v1_5", 44_549_160 - 2_049_000 + 105_344, marks=pytest.mark.slow),
        ("vgg11_bn", 9_220_480 + 5_504 + 5_504),
    ],
)
def test_a_trunk_has_the_published_number_of_parameters(name, parameters):
    part = BACKBONES.make(name)
    assert part.trunk(part.smallest()).count_params() == parameters


@pytest.mark.slow
def test_every_kind_opens_in_plain_keras(tmp_path):
    """The model as it is saved, on random weights, and a trunk's weights file."""
    models, expected = {}, []
    rng = np.random.default_rng(0)
    kinds = {theirs(name).__module__: name for name in APPLICATIONS}  # one of each module
    for name in [*kinds.values(), *(name for name in NAMES if name not in APPLICATIONS)]:
        side = BACKBONES.make(name).smallest()
        network = network_of((name,), side, {TARGET: 2})
        kernel, bias = network.probability.get_layer(TARGET).get_weights()
        network.probability.get_layer(TARGET).set_weights([rng.normal(size=kernel.shape), bias])
        path = tmp_path / f"{name}.keras"
        network.probability.save(path)
        models[path] = rng.uniform(0, 255, (3, side, side, 1)).astype(np.float32)
        expected.append(network.probability.predict(models[path], verbose=0))
        if name == "mobilenet_v3_small":
            save_trunk(network.trunks[0], tmp_path / "trunk.weights.h5", {"backbone": name})
            plain = keras.applications.MobileNetV3Small(
                include_top=False, weights=None, input_shape=(side, side, 3)
            )
            plain.load_weights(tmp_path / "trunk.weights.h5")
            pairs = zip(plain.weights, network.trunks[0].weights, strict=True)
            assert all(np.array_equal(theirs, ours) for theirs, ours in pairs)
        keras.backend.clear_session()
    for path, found, ours in zip(
        models, plain_predictions(models, tmp_path), expected, strict=True
    ):
        assert np.ptp(ours) > 0, path.name
        np.testing.assert_allclose(found, ours, atol=1e-6, rtol=0, err_msg=path.name)


@pytest.mark.parametrize(
    "name", [name for name in APPLICATIONS if not BACKBONES.load(name).normalises]
)
def test_grey_is_scaled_as_keras_applications_does_it(name):
    grey = np.random.default_rng(0).uniform(0, 255, (2, 5, 7, 1)).astype(np.float32)
    expected = preprocessed(name, np.repeat(grey, 3, axis=-1))
    found = BACKBONES.make(name).scaled(grey)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-5)


def test_a_normalisation_among_the_weights_moves_before_the_trunk(monkeypatch):
    """As Keras builds it for ImageNet's weights, which hold mean and standard deviation."""
    name, side = "efficientnet_b0", 32
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda *_, **__: "nowhere")
    monkeypatch.setattr(keras.Model, "load_weights", lambda *_, **__: None)
    whole = theirs(name)(include_top=False, weights="imagenet", input_shape=(side, side, 3))
    (normalisation,) = (x for x in whole.layers if isinstance(x, keras.layers.Normalization))
    count = normalisation.get_weights()[2]
    statistics = np.float32([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
    normalisation.set_weights([*statistics, count])
    normalisation.finalize_state()
    trunk = BACKBONES.make(name).trunk(side, weights="imagenet")
    trunk.set_weights(whole.get_weights()[3:])
    grey = np.random.default_rng(0).uniform(0, 255, (2, side, side, 1)).astype(np.float32)
    expected = np.asarray(whole(preprocessed(name, np.repeat(grey, 3, axis=-1))))
    found = np.asarray(trunk(BACKBONES.make(name).scaled(grey)))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    random = BACKBONES.make(name).trunk(side)
    assert [type(layer) for layer in random.layers] == [type(layer) for layer in trunk.layers]


@pytest.mark.parametrize("scaling", SCALINGS)
def test_scaling_comes_back_from_its_file_to_the_bit(scaling, tmp_path):
    """What a channel is, by hand: x s + o in single precision."""
    image = keras.Input((4, 6, 1))
    keras.Model(image, grey_to_colour(image, SCALINGS[scaling])).save(tmp_path / "x.keras")
    again = keras.saving.load_model(tmp_path / "x.keras")
    assert again.output_shape == (None, 4, 6, 3)
    grey = np.random.default_rng(0).uniform(0, 255, (2, 4, 6, 1)).astype(np.float32)
    slope, offset = np.float32(SCALINGS[scaling])
    np.testing.assert_array_equal(again(grey), grey * slope + offset)
    np.testing.assert_array_equal(again(grey), grey_to_colour(grey, SCALINGS[scaling]))


def test_a_model_around_a_trunk_survives_saving(tmp_path, monkeypatch):
    known.add("steps", monkeypatch)  # test_weights_command.py saves and loads one of torchvision's
    image = keras.Input((40, 40, 1))
    part = check_backbone("steps", 40)
    model = keras.Model(image, part.trunk(40)(part.scaled(image)))
    model.save(tmp_path / "x.keras")
    again = keras.saving.load_model(tmp_path / "x.keras")
    grey = np.random.default_rng(0).uniform(0, 255, (2, 40, 40, 1)).astype(np.float32)
    np.testing.assert_array_equal(again(grey), model(grey))


@pytest.mark.parametrize("text", ["resnet", "", "ResNet50"])
def test_an_unknown_backbone_is_refused(text):
    with pytest.raises(UserError, match="--backbone must be a backbone") as caught:
        check_backbone(text, 64)
    assert repr(text) in str(caught.value)


def test_an_option_that_a_backbone_has_not_is_refused():
    with pytest.raises(UserError, match="--backbone vgg16 has no option 'width'"):
        check_backbone("vgg16:width=2", 64)
