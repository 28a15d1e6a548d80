"""Trunk weights: found wherever they stand in a file, refused by name where they don't."""

import hashlib
import os
import re
import zipfile

import keras
import numpy as np
import pytest

from cxrkeras.models.network import TARGET
from cxrkeras.models.weights.trunk import fingerprint, load_trunk, save_trunk
from cxrkeras.registry import BACKBONES
from cxrkeras.runs.sources import Weights
from data_prep.errors import UserError
from tests.cxrkeras.backbones import known
from tests.cxrkeras.models.backbones.names import NAMES
from tests.cxrkeras.networks import network_of

SMALL = "tiny"
OF_KERAS = "mobilenet_v3_small"
IMAGENET = Weights("imagenet")


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with pytest.MonkeyPatch.context() as patch:
        known.add(SMALL, patch)
        yield


def randomize(model: keras.Model, seed: int) -> keras.Model:
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=w.shape).astype(w.dtype) for w in model.weights])
    return model


def same(one: keras.Model, other: keras.Model) -> bool:
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def nested(trunk: keras.Model, size: int) -> keras.Model:
    image = keras.Input((size, size, 3))
    features = keras.layers.GlobalAveragePooling2D()(trunk(image))
    return keras.Model(image, keras.layers.Dense(3)(features))


def flat(trunk: keras.Model) -> keras.Model:
    features = keras.layers.GlobalAveragePooling2D()(trunk.output)
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(8)(features))
    return keras.Model(trunk.input, keras.layers.Dense(3)(hidden))


def twice_nested(trunk: keras.Model, size: int) -> keras.Model:
    return keras.Sequential([keras.Input((size, size, 3)), nested(trunk, size)])


@pytest.fixture(scope="module")
def donor():
    """A trunk for 75 pixels whose every weight is its own."""
    return randomize(BACKBONES.make(SMALL).trunk(75), 1)


@pytest.fixture(scope="module")
def models(donor):
    """The donor alone, and in classifiers."""
    return {
        "alone": donor,
        "nested": nested(donor, 75),
        "flat": flat(donor),
        "twice nested": twice_nested(donor, 75),
    }


@pytest.fixture(scope="module")
def built():
    """A trunk for 64 pixels with another random start, and that start."""
    trunk = randomize(BACKBONES.make(SMALL).trunk(64), 2)
    return trunk, trunk.get_weights()


@pytest.fixture
def trunk(built):
    """The trunk as it started."""
    trunk, start = built
    trunk.set_weights(start)
    return trunk


def refusal(trunk, backbone: str, path) -> str:
    before = trunk.get_weights()
    with pytest.raises(UserError) as caught:
        load_trunk(trunk, backbone, Weights(str(path)))
    assert "\n" not in str(caught.value)
    assert all(map(np.array_equal, before, trunk.get_weights()))
    return str(caught.value)


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
@pytest.mark.parametrize(
    "place",
    [
        "nested",
        *(
            pytest.param(place, marks=pytest.mark.slow)
            for place in ("alone", "flat", "twice nested")
        ),
    ],
)
def test_a_trunk_is_found_bit_for_bit(tmp_path, models, donor, trunk, place, ending):
    path = tmp_path / f"x{ending}"
    if ending == ".keras":
        models[place].save(path)
    else:
        models[place].save_weights(path)
    load_trunk(trunk, SMALL, Weights(str(path)))
    assert same(trunk, donor)


def test_a_model_that_cv_saved_gives_its_trunk(tmp_path, trunk):
    network = network_of((SMALL,), 48, {TARGET: 2})
    randomize(network.probability, 3).save(tmp_path / "model.keras")
    load_trunk(trunk, SMALL, Weights(str(tmp_path / "model.keras")))
    assert same(trunk, network.trunks[0])


def test_a_saved_trunk_comes_back(tmp_path, donor, trunk):
    path = tmp_path / "new" / "trunk.weights.h5"
    save_trunk(donor, path)
    assert os.listdir(path.parent) == ["trunk.weights.h5"]
    load_trunk(trunk, SMALL, Weights(str(path)))
    assert same(trunk, donor)


def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, donor, monkeypatch):
    path = tmp_path / "trunk.weights.h5"
    path.write_bytes(b"old")

    def torn(temporary):
        temporary.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(donor, "save_weights", torn)
    with pytest.raises(OSError, match="disk full"):
        save_trunk(donor, path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["trunk.weights.h5"]


def test_of_two_trunks_neither_is_taken(tmp_path, trunk):
    network_of((SMALL, SMALL), 32, {TARGET: 2}).probability.save(tmp_path / "x.keras")
    message = refusal(trunk, SMALL, tmp_path / "x.keras")
    assert f"holds 2 {SMALL} trunks (" in message
    assert message.count("/layers/functional") == 2


def test_another_backbone_is_refused_with_the_nearest_part(tmp_path, trunk, monkeypatch):
    known.add("steps", monkeypatch)
    model = nested(BACKBONES.make("steps").trunk(32), 32)
    model.save(tmp_path / "x.keras")
    message = refusal(trunk, SMALL, tmp_path / "x.keras")
    assert f"holds no {SMALL} trunk" in message
    assert "(the nearest part, /" in message
    assert message.endswith("Give the --backbone steps.")  # as the file calls the model in it
    model.save_weights(tmp_path / "x.weights.h5")
    message = refusal(trunk, SMALL, tmp_path / "x.weights.h5")
    assert message.endswith("Give the --backbone that the file was made with.")


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (b'{"name": "densenet121"}', "densenet121"),
        (b'{"config":{"name":"efficientnetb0"}}', "efficientnet_b0"),
        (b'{"name": "vgg16", "also": {"name": "vgg19"}}', "that the file was made with"),
        (f'{{"name": "{SMALL}"}}'.encode(), "that the file was made with"),
        (b"\xff", "that the file was made with"),
        (None, "that the file was made with"),
    ],
)
def test_a_file_s_own_name_for_its_trunk_is_said_where_it_is_clear(tmp_path, trunk, config, named):
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(tmp_path / "x.keras")
    with zipfile.ZipFile(tmp_path / "x.keras") as archive:
        weights = archive.read("model.weights.h5")
    held = {} if config is None else {"config.json": config}
    write_zip(tmp_path / "y.keras", {**held, "model.weights.h5": weights})
    message = refusal(trunk, SMALL, tmp_path / "y.keras")
    assert message.endswith(f"Give the --backbone {named}.")


def test_the_same_layers_of_other_widths_are_refused(tmp_path, trunk):
    x = image = keras.Input((32, 32, 3))
    for layer in trunk.layers[1:]:
        how = layer.get_config()
        if "filters" in how:
            how["filters"] -= 1
        x = type(layer).from_config(how)(x)
    save_trunk(keras.Model(image, x), tmp_path / "x.weights.h5")
    assert f"holds no {SMALL} trunk" in refusal(trunk, SMALL, tmp_path / "x.weights.h5")


@pytest.mark.slow
def test_a_backbone_of_the_same_family_is_refused(tmp_path):
    save_trunk(BACKBONES.make("resnet101").trunk(32), tmp_path / "x.weights.h5")
    assert "holds no resnet50 trunk" in refusal(
        BACKBONES.make("resnet50").trunk(32), "resnet50", tmp_path / "x.weights.h5"
    )


@pytest.mark.slow
@pytest.mark.parametrize("backbone", NAMES)
def test_every_backbone_goes_from_one_size_to_another(tmp_path, backbone):
    one = randomize(BACKBONES.make(backbone).trunk(BACKBONES.make(backbone).smallest()), 1)
    nested(one, one.input_shape[1]).save(tmp_path / "x.keras")
    two = BACKBONES.make(backbone).trunk(96)
    load_trunk(two, backbone, Weights(str(tmp_path / "x.keras")))
    assert same(one, two)


def test_an_absent_file_is_named(tmp_path, trunk):
    assert "absent.keras" in refusal(trunk, SMALL, tmp_path / "absent.keras")
    with pytest.raises(UserError, match=r"absent\.keras"):
        fingerprint(Weights(str(tmp_path / "absent.keras")))
    assert "doesn't exist" in refusal(trunk, SMALL, tmp_path)


def write_zip(path, content: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


@pytest.mark.parametrize("name", ["x.keras", "x.weights.h5"])
@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x89HDF\r\n\x1a\n" + bytes(100), b"PK\x03\x04"]
)
def test_a_file_that_is_none_of_keras_is_refused(tmp_path, trunk, name, content):
    (tmp_path / name).write_bytes(content)
    assert "must be one that Keras 3 wrote" in refusal(trunk, SMALL, tmp_path / name)


def test_damaged_files_are_refused(tmp_path, donor, trunk):
    write_zip(tmp_path / "a.keras", {"config.json": b"{}"})
    write_zip(tmp_path / "b.keras", {"model.weights.h5": b"no HDF5"})
    whole = tmp_path / "whole.weights.h5"
    donor.save_weights(whole)
    (tmp_path / "c.weights.h5").write_bytes(whole.read_bytes()[:-5000])
    donor.save(tmp_path / "d.keras")
    torn = bytearray((tmp_path / "d.keras").read_bytes())
    middle = slice(len(torn) // 2, len(torn) // 2 + 100)
    torn[middle] = bytes(255 - byte for byte in torn[middle])
    (tmp_path / "d.keras").write_bytes(torn)
    for name in ("a.keras", "b.keras", "c.weights.h5", "d.keras"):
        assert f"{name} can't be read as such" in refusal(trunk, SMALL, tmp_path / name)


def test_nothing_of_a_file_is_executed(tmp_path, models, donor, trunk, monkeypatch):
    """The configuration, where code could hide (Lambda layers), is not even looked at."""
    models["nested"].save(tmp_path / "x.keras")
    with zipfile.ZipFile(tmp_path / "x.keras") as archive:
        weights = archive.read("model.weights.h5")
    hostile = b'{"class_name": "Lambda", "module": "os", "config": "system"}'
    write_zip(tmp_path / "y.keras", {"config.json": hostile, "model.weights.h5": weights})
    for function in ("load_model", "deserialize_keras_object"):
        monkeypatch.setattr(keras.saving, function, None)
    load_trunk(trunk, SMALL, Weights(str(tmp_path / "y.keras")))
    assert same(trunk, donor)


@pytest.fixture(scope="module")
def of_keras():
    """A trunk that Keras has weights for."""
    return BACKBONES.make(OF_KERAS).trunk(64)


def test_imagenet_is_what_keras_gives(of_keras, monkeypatch):
    """Keras's constructor, asked for ImageNet's weights, here gives a stand-in's."""
    original = keras.applications.MobileNetV3Small
    made = []

    def constructor(*, weights, **arguments):
        assert weights == "imagenet"
        made.append(randomize(original(weights=None, **arguments), 1))
        return made[0]

    monkeypatch.setattr(keras.applications, "MobileNetV3Small", constructor)
    load_trunk(of_keras, OF_KERAS, IMAGENET)
    assert same(of_keras, made[0])
    assert fingerprint(IMAGENET) == "imagenet"


@pytest.mark.filterwarnings("ignore:`input_shape`")  # Keras: those of 224 px are taken
def test_imagenet_without_a_connection_is_one_line(of_keras, monkeypatch, tmp_path):
    """Keras's own download, with every connection refused."""
    import socket

    def refuse(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setattr(socket, "create_connection", refuse)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    message = refusal(of_keras, OF_KERAS, "imagenet")
    assert f"ImageNet weights of {OF_KERAS} could not be downloaded" in message
    assert "(no network)" in message
    name = "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5"
    url = f"https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v3/{name}"
    place = rf"put it as /\S+/models/{re.escape(name)} \(md5 [0-9a-f]{{32}}\)"
    assert re.search(rf"Fetch {re.escape(url)} elsewhere and {place}\. ", message)
    assert "HTTPS_PROXY (not set here)" in message
    assert "--backbone NAME --source FILE.keras" in message
    assert message.count("\n") == 0


@pytest.mark.filterwarnings("ignore:`input_shape`")  # Keras: those of 224 px are taken
def test_a_refused_download_names_the_status_and_the_proxy_but_no_password(
    of_keras, monkeypatch, tmp_path
):
    import email
    import urllib.error

    from keras.src.utils import file_utils

    def refuse(url, *arguments):
        raise urllib.error.HTTPError(url, 403, "Forbidden", email.message.Message(), None)

    monkeypatch.setattr(file_utils, "urlretrieve", refuse)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy:3128")
    message = refusal(of_keras, OF_KERAS, "imagenet")
    assert "(the server says 403 Forbidden)" in message
    assert "HTTPS_PROXY (set here: HTTPS_PROXY" in message
    assert "secret" not in message


def test_the_fingerprint_is_the_contents(tmp_path):
    for name, content in (("a.keras", b"1"), ("b.keras", b"1"), ("c.keras", b"2")):
        (tmp_path / name).write_bytes(content)
    one, two, three = (fingerprint(Weights(str(tmp_path / f"{name}.keras"))) for name in "abc")
    assert one == two == hashlib.sha256(b"1").hexdigest() != three
