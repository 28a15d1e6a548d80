"""Every registry entry passes one routine; the scaling is that of keras.applications itself."""

import keras
import numpy as np
import pytest

from cxrkeras.models.backbones.applications import SCALINGS, build_trunk, grey_to_backbone
from cxrkeras.models.backbones.registry import BACKBONES as REGISTRY
from cxrkeras.models.network import TARGET, build_network
from cxrkeras.models.weights.trunk import save_trunk
from data_prep.errors import UserError
from tests.cxrkeras.plain_keras import foreign_classes, plain_predictions

BACKBONES = dict(REGISTRY)  # other tests put entries of their own in
# keras.applications' own preprocessing of each entry, and the parameters of its trunk: the study's
# two backbones have theirs from the study, the others as Keras 3.15 builds them.
REFERENCE = {
    "resnet50": ("resnet", 23_587_712),
    "densenet121": ("densenet", 7_037_504),
    "xception": ("xception", 20_861_480),
    "inception_v3": ("inception_v3", 21_802_784),
    "vgg16": ("vgg16", 14_714_688),
    "nasnet_mobile": ("nasnet", 4_269_716),
    "efficientnet_v2_b0": ("efficientnet_v2", 5_919_312),
    "convnext_tiny": ("convnext", 27_820_128),
    "resnet101": ("resnet", 42_658_176),
    "mobilenet_v3_small": ("mobilenet_v3", 939_120),
    # torchvision's 25,557,032 less the classifier's 2,049,000, and the 53,120 moving statistics
    "resnet50_v1_5": ("densenet", 23_561_152),
}
QUICK = ("mobilenet_v3_small", "densenet121", "resnet50")


@pytest.fixture(autouse=True)
def _forget():
    yield
    keras.backend.clear_session()


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in BACKBONES],
)
def test_an_entry_builds_at_its_smallest_size(name):
    smallest = BACKBONES[name].smallest
    network = build_network((name,), smallest, {TARGET: 2})
    (trunk,) = network.trunks
    assert trunk.name == name
    assert trunk.count_params() == REFERENCE[name][1]
    height, width, channels = trunk.output_shape[1:]
    assert height == width >= 1
    assert channels >= 512
    features = network.features(np.full((2, smallest, smallest, 1), 128, np.float32)).numpy()
    assert features.shape == (2, channels)
    assert np.isfinite(features).all()
    assert not foreign_classes(network.probability)
    assert build_trunk(name, smallest, name="second").name == "second"


@pytest.mark.slow
def test_every_entry_opens_in_plain_keras(tmp_path):
    """The model as it is saved, on random weights, and a trunk's weights file."""
    models, expected = {}, []
    rng = np.random.default_rng(0)
    for name in BACKBONES:
        side = BACKBONES[name].smallest
        network = build_network((name,), side, {TARGET: 2})
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


def test_every_entry_has_a_reference():
    assert set(REFERENCE) == set(BACKBONES)


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_an_entry_has_its_weights_in_one_place_at_any_size(name):
    """The same tensors in the same order, so that weights go from one size to another."""
    smallest = BACKBONES[name].smallest
    one, two = build_trunk(name, smallest), build_trunk(name, smallest + 61)
    assert [w.shape for w in one.weights] == [w.shape for w in two.weights]


@pytest.mark.parametrize("name", BACKBONES)
def test_grey_is_scaled_as_keras_applications_does_it(name):
    grey = np.random.default_rng(0).uniform(0, 255, (2, 5, 7, 1)).astype(np.float32)
    theirs = getattr(keras.applications, REFERENCE[name][0]).preprocess_input
    expected = theirs(np.repeat(grey, 3, axis=-1).copy())
    found = grey_to_backbone(grey, BACKBONES[name].scaling)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("scaling", ["caffe", "torch", "tf", "none"])
def test_scaling_comes_back_from_its_file_to_the_bit(scaling, tmp_path):
    """What a channel is, by hand: x s + o in single precision."""
    image = keras.Input((4, 6, 1))
    keras.Model(image, grey_to_backbone(image, scaling)).save(tmp_path / "x.keras")
    again = keras.saving.load_model(tmp_path / "x.keras")
    assert again.output_shape == (None, 4, 6, 3)
    grey = np.random.default_rng(0).uniform(0, 255, (2, 4, 6, 1)).astype(np.float32)
    slope, offset = np.float32(SCALINGS[scaling])
    np.testing.assert_array_equal(again(grey), grey * slope + offset)
    np.testing.assert_array_equal(again(grey), grey_to_backbone(grey, scaling))


def test_a_model_around_a_trunk_survives_saving(tmp_path):
    image = keras.Input((40, 40, 1))
    model = keras.Model(
        image, build_trunk("mobilenet_v3_small", 40)(grey_to_backbone(image, "none"))
    )
    model.save(tmp_path / "x.keras")
    again = keras.saving.load_model(tmp_path / "x.keras")
    grey = np.random.default_rng(0).uniform(0, 255, (2, 40, 40, 1)).astype(np.float32)
    np.testing.assert_array_equal(again(grey), model(grey))


@pytest.mark.parametrize("name", ["resnet", "", "ResNet50"])
def test_an_unknown_backbone_is_refused(name):
    with pytest.raises(
        UserError, match="--backbone must be one of resnet50, densenet121"
    ) as caught:
        build_trunk(name, 64)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("name", BACKBONES)
def test_an_image_too_small_is_refused(name):
    smallest = BACKBONES[name].smallest
    with pytest.raises(UserError, match=f"at least {smallest} px. Received: {smallest - 1}"):
        build_trunk(name, smallest - 1)
