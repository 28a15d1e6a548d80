"""`cxrkeras weights`: from a foreign file to a trunk that trains and a model that predicts."""

import json
import os
import re
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from scipy.special import expit

from cxrkeras.cli import main
from cxrkeras.models.network import TARGET
from cxrkeras.models.weights.trunk import load_trunk, save_trunk
from cxrkeras.registry import BACKBONES
from cxrkeras.runs.sources import Weights
from data_prep.errors import UserError
from tests.cxrkeras.backbones import known
from tests.cxrkeras.networks import network_of
from tests.cxrkeras.plain_keras import foreign_classes

LABELS = ["Edema", "Mass", "Nodule"]
TRUNK = "vgg11_bn"


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as end:
        main(["weights", *map(str, words)])
    return end.value.code


def keras_weights(path: Path) -> dict[str, np.ndarray]:
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, one: found.update({name: one[()]}) if hasattr(one, "shape") else None
        )
    return found


@pytest.fixture(scope="module")
def donor():
    """A VGG11-BN of PyTorch's kind in Keras, with weights of its own."""
    keras.utils.set_random_seed(1)
    trunk = BACKBONES.make(TRUNK).trunk(32)
    rng = np.random.default_rng(1)
    for layer in trunk.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.weights])
    return trunk


def head() -> tuple[np.ndarray, np.ndarray]:
    """A classifier of three outputs, in PyTorch's order of axes."""
    rng = np.random.default_rng(2)
    return np.float32(rng.normal(size=(3, 512)) / 1e5), np.float32(rng.normal(size=3))


@pytest.fixture(scope="module")
def foreign(donor, tmp_path_factory):
    """The donor as a PyTorch file: DataParallel's prefix, a classifier of three outputs."""
    spelled = {
        "kernel": "weight",
        "bias": "bias",
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    }
    tensors = {}
    for layer, module in BACKBONES.make(TRUNK).torch_modules().items():
        for variable in donor.get_layer(layer).weights:
            value = np.array(variable)
            value = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value
            tensors[f"module.{module}.{spelled[variable.name]}"] = np.ascontiguousarray(value)
    tensors["module.fc.weight"], tensors["module.fc.bias"] = head()
    path = tmp_path_factory.mktemp("foreign") / "heart.safetensors"
    save_file(tensors, path)
    return path


@pytest.fixture(scope="module")
def imported(foreign, tmp_path_factory):
    """The folder of an import with labels."""
    out = tmp_path_factory.mktemp("imported") / "deep" / "heart"
    words = ["--labels", "Edema,Mass,Nodule", "--image-size", 32, "--out", out]
    assert run("import", foreign, "--as", TRUNK, *words, "--origin", "ward 5, Nöte") == 0
    return out


def test_the_trunk_is_one_like_any_other(imported, donor):
    assert sorted(os.listdir(imported)) == ["model.json", "model.keras", "trunk.weights.h5"]
    assert os.listdir(imported.parent) == ["heart"]
    expected = donor.get_weights()
    trunk = BACKBONES.make(TRUNK).trunk(64)
    for file in ("trunk.weights.h5", "model.keras"):
        trunk.set_weights([np.zeros(w.shape) for w in trunk.weights])
        load_trunk(trunk, TRUNK, Weights(str(imported / file)))
        for found, value in zip(trunk.get_weights(), expected, strict=True):
            np.testing.assert_allclose(found, value, rtol=1e-6)
    trunk.load_weights(imported / "trunk.weights.h5")  # Keras overlooks what is written into it


def test_the_model_predicts(imported, foreign, donor):
    card = json.loads((imported / "model.json").read_text("utf-8"))
    assert card["labels"] == LABELS
    assert card["image_size"] == 32
    assert card["trained_on"] == "ward 5, Nöte"
    assert card["training_prevalence"] == dict.fromkeys(LABELS)
    assert card["inflation"] == dict.fromkeys(LABELS, 1.0)
    model = keras.saving.load_model(imported / "model.keras")
    assert (model.inputs[0].name, model.output_names) == ("image", ["probability"])
    grey = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 1)).astype(np.float32)
    network = network_of((TRUNK,), 32, {TARGET: 3})
    network.trunks[0].set_weights(donor.get_weights())
    features = np.asarray(network.features(grey))
    kernel, bias = head()
    expected = expit(features @ kernel.T + bias)
    assert 0.01 < expected.min() < expected.max() < 0.99
    np.testing.assert_allclose(np.asarray(model(grey)), expected, atol=1e-5)
    assert not foreign_classes(model)


def test_show_says_where_it_comes_from(imported, foreign, donor, capsys):
    import hashlib

    assert run("show", imported / "trunk.weights.h5") == 0
    said = capsys.readouterr().out
    digest = hashlib.sha256(foreign.read_bytes()).hexdigest()
    for word in (TRUNK, "ward 5, Nöte", "heart.safetensors", digest, "PyTorch's names", "Edema"):
        assert word in said
    assert "licence:   not given" in said
    assert f"{donor.count_params():,} parameters" in said


def test_show_knows_other_files_too(tmp_path, foreign, imported, donor, capsys):
    assert run("show", foreign) == 0
    assert "50 tensors, PyTorch's VGG11-BN" in capsys.readouterr().out
    save_trunk(donor, tmp_path / "trunk.weights.h5")
    assert run("show", tmp_path / "trunk.weights.h5") == 0
    assert "Neither the file nor one beside it" in capsys.readouterr().out
    (tmp_path / "stage.json").write_text('{"name": "nih+chexpert"}', "utf-8")
    assert run("show", tmp_path / "trunk.weights.h5") == 0
    assert "nih+chexpert" in capsys.readouterr().out
    assert run("show", imported / "model.keras") == 0
    assert "ward 5" in capsys.readouterr().out
    for name in ("absent.keras", "absent.pth"):
        assert run("show", tmp_path / name) == 1
        assert name in capsys.readouterr().err


@pytest.mark.slow
def test_two_imports_are_alike_to_the_byte(foreign, tmp_path, capsys, monkeypatch):
    """The second one in the folder that is named after the file."""
    monkeypatch.chdir(tmp_path)
    for out in (["--out", "a"], []):
        keras.backend.clear_session()  # Keras writes the names of layers, which it numbers on
        assert run("import", foreign, "--as", TRUNK, *out) == 0
    said = capsys.readouterr().out
    assert "Its classifier of 3 outputs is left out" in said
    assert f"--backbone {TRUNK} --source" in said
    assert os.listdir(tmp_path / "a") == ["trunk.weights.h5"]
    one, two = (Path(name, "trunk.weights.h5").read_bytes() for name in ("a", "weights/heart"))
    assert one == two


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--as", "densenet121"], "looks like PyTorch's VGG11-BN. Give --as vgg11_bn"),
        (["--as", "resnet50"], "looks like PyTorch's VGG11-BN. Give --as vgg11_bn"),
        (["--as", TRUNK, "--labels", "a,b"], "names 2 labels"),
        (["--as", TRUNK, "--labels", "a,a,b"], "--labels must be one of"),
        (["--as", TRUNK, "--labels", "a,b,c", "--trunk-only"], "give one of the two"),
        (["--as", TRUNK, "--scaling", "xrv", "--out", "OCCUPIED"], "already exists"),
    ],
    ids=str,
)
def test_what_can_t_be_is_one_line_and_leaves_nothing(foreign, tmp_path, capsys, words, said):
    (tmp_path / "occupied").mkdir()
    (tmp_path / "occupied" / "x").touch()
    words = [str(tmp_path / "occupied") if word == "OCCUPIED" else word for word in words]
    out = [] if "--out" in words else ["--out", tmp_path / "out"]
    assert run("import", foreign, *words, *out) == 1
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert os.listdir(tmp_path) == ["occupied"]


def test_a_failure_while_writing_leaves_nothing(foreign, tmp_path, monkeypatch):
    from cxrkeras.models.importing import importer

    def full(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(importer, "save_trunk", full)
    with pytest.raises(OSError, match="disk full"):
        importer.import_weights(foreign, tmp_path / "out", importer.Wish(TRUNK, 32))
    assert os.listdir(tmp_path) == []


def test_the_backbone_that_a_file_names_is_given_for_a_wrong_one(imported, monkeypatch):
    known.add("steps", monkeypatch)
    steps = BACKBONES.make("steps").trunk(32)
    with pytest.raises(UserError, match=f"Give the --backbone {TRUNK}"):
        load_trunk(steps, "steps", Weights(str(imported / "trunk.weights.h5")))


def test_imagenet_weights_that_keras_has_not_are_refused_with_the_cure(donor):
    with pytest.raises(UserError, match=r"weights import vgg11_bn\.pth --as vgg11_bn"):
        load_trunk(donor, TRUNK, Weights("imagenet"))


def test_facts_that_were_never_written_are_none(donor, tmp_path):
    save_trunk(donor, tmp_path / "x.weights.h5")
    with h5py.File(tmp_path / "x.weights.h5") as file:
        assert not file.attrs


def test_help_lists_every_backbone_that_can_be_imported(capsys):
    from cxrkeras.commands.weights.verbs import _SCALINGS
    from cxrkeras.models.importing.pixels import PIXELS
    from cxrkeras.models.importing.recognise import importable

    assert set(_SCALINGS) == set(PIXELS)
    assert run("import", "--help") == 0
    said = "".join(capsys.readouterr().out.split())
    assert all(backbone in said for backbone in importable().values())
    assert run("import", "x.pth", "--as", "resnet152") == 2
    assert "resnet50_v1_5" in capsys.readouterr().err


def test_public_weights_are_listed(capsys):
    from cxrkeras.models.weights.public import public_names

    assert run("fetch") == 0
    said = capsys.readouterr().out
    assert all(f"{name} " in said for name in public_names())
    assert run("fetch", "xrv_densenet121_nih", "--print") == 0
    said = capsys.readouterr().out
    assert "not published; noted at first use" in said
    assert "Licence:   Apache-2.0" in said
    assert "--file FILE" in said
    assert run("fetch", "rad_dino") == 0
    assert "--backbone hub:hf://microsoft/rad-dino" in capsys.readouterr().out
    assert run("fetch", "nothing") == 1


def test_public_weights_are_fetched_once_with_their_licence_and_imported(
    foreign, tmp_path, capsys, monkeypatch
):
    from cxrkeras.models.weights import public

    made = public.PublicWeights(
        name="heart",
        what="A VGG11-BN of a test.",
        page="https://example.org",
        licence="CC0",
        citation="Nobody, 2026",
        verified="here",
        url="http://127.0.0.1:9/heart.safetensors",
        backbone=TRUNK,
        labels="Edema,Mass,Nodule",
        image_size=32,
    )
    monkeypatch.setattr(public, "public_weights", lambda _: made)
    monkeypatch.setenv("CXRKERAS_CACHE", str(tmp_path / "cache"))
    given = ("fetch", "heart", "--file", foreign, "--out")
    assert run(*given, tmp_path / "a") == 1
    said = capsys.readouterr()
    assert "Licence:   CC0" in said.out
    assert "CC0. Read it at https://example.org. If you agree, add --accept-licence" in said.err
    assert not (tmp_path / "cache").exists()
    assert run("fetch", "heart", "--accept-licence") == 1
    assert "can't be downloaded" in capsys.readouterr().err
    page = tmp_path / "page.html"
    page.write_text("<html>Sign in to the network of the hospital.</html>")
    assert run("fetch", "heart", "--file", page, "--out", tmp_path / "a") == 1
    assert "can't be read" in capsys.readouterr().err
    assert run(*given, tmp_path / "a") == 0  # though another file came first
    said = capsys.readouterr().out
    assert re.search(r"licence: +CC0", said)
    assert (tmp_path / "a" / "model.keras").is_file()
    assert run("-q", "fetch", "heart", "--out", tmp_path / "b") == 0  # kept, and agreed already
    assert capsys.readouterr().out == f"{tmp_path / 'b' / 'trunk.weights.h5'}\n"
    (tmp_path / "cache/weights/heart/licence-accepted").write_text("MIT\n", "utf-8")
    assert run("fetch", "heart", "--out", tmp_path / "c") == 1  # its licence is another today
    assert "(noted at first use)" in capsys.readouterr().out
    one, two = (keras_weights(tmp_path / name / "trunk.weights.h5") for name in "ab")
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[key], two[key]) for key in one)


def test_of_public_weights_that_were_pickled_whole_the_tensors_are_taken(
    foreign, tmp_path, capsys, monkeypatch
):
    torch = pytest.importorskip("torch")
    from cxrkeras.models.weights import public

    module = torch.nn.Module()
    for name, value in load_file(foreign).items():
        inner = module
        *above, last = name.removeprefix("module.").split(".")
        for part in above:
            if part not in inner._modules:
                inner.add_module(part, torch.nn.Module())
            inner = inner._modules[part]
        inner.register_buffer(last, torch.tensor(value))
    torch.save(module, tmp_path / "heart.pt")
    facts = {"page": "https://example.org", "licence": "CC0", "citation": "x", "verified": "here"}
    made = public.PublicWeights(
        "heart", "x", **facts, backbone=TRUNK, labels="Edema,Mass,Nodule", pickled=True
    )
    monkeypatch.setattr(public, "public_weights", lambda _: made)
    monkeypatch.setenv("CXRKERAS_CACHE", str(tmp_path / "cache"))
    given = ("--file", tmp_path / "heart.pt", "--accept-licence", "--out")
    assert run("fetch", "heart", *given, tmp_path / "a") == 0
    assert run("import", foreign, "--as", TRUNK, "--out", tmp_path / "b") == 0
    one, two = (keras_weights(tmp_path / name / "trunk.weights.h5") for name in "ab")
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[key], two[key]) for key in one)
