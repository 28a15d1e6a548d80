"""`cxrkeras summary`: the model of each method, with its trunk's parameters."""

import keras
import pytest

from cxrkeras.cli import main
from tests.cxrkeras.backbones import known
from tests.cxrkeras.networks import network_of

STEPS = "3,028"  # of the tests' own backbone: 4 x 28 + 8 x 37 + 12 x 73 + 16 x 109


@pytest.fixture(autouse=True)
def our_backbones(monkeypatch):
    for name in ("steps", "tiny"):
        known.add(name, monkeypatch)


def code_of(*words: str, backbone: str = "steps") -> int:
    with pytest.raises(SystemExit) as end:
        main(["summary", "--backbone", backbone, "--image-size", "32", *words])
    return end.value.code


@pytest.mark.parametrize(
    ("method", "trunks", "backbone", "weights", "width"),
    [
        ("regular", 1, "vgg11_bn", 9_231_488, 512),  # as torchvision has it, with moving statistics
        ("cotrain", 1, "steps", 3_028, 16),
        ("mixed", 2, "steps", 3_028, 16),
    ],
)
def test_each_method_shows_its_trunks_and_head(capsys, method, trunks, backbone, weights, width):
    assert code_of("--method", method, "--outputs", "4", backbone=backbone) == 0
    said = capsys.readouterr().out
    assert said.count(f"{weights:,}") == 2 * trunks  # in Keras's table and in that of the parts
    head = 4 * (width * trunks + 1)  # the dense layer
    assert f"{head:,}" in said
    assert f"{weights * trunks + head:,}" in said


def test_a_frozen_trunk_leaves_the_head_to_learn(capsys):
    assert code_of("--recipe", "frozen") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"Trainable params: {7 * 17:,}" in said
    assert f"Non-trainable params: {STEPS}" in said


def test_a_recipe_of_several_branches_shows_all_of_them(capsys):
    assert code_of("--recipe", "ag_cnn", "--image-size", "64", "--outputs", "4") == 0
    said = capsys.readouterr().out
    assert said.count(STEPS) >= 2
    assert "steps_2" in said
    assert f"{4 * (2 * 16 + 1):,}" in said  # the fusion, on what both pooled


def test_the_trunk_s_layers_are_listed_on_demand(capsys):
    assert code_of(backbone="tiny") == 0
    short = capsys.readouterr().out
    assert code_of("--trunk-layers", backbone="tiny") == 0
    long = capsys.readouterr().out
    assert "norm_2" not in short
    assert "norm_2" in long


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--backbone", "vgg16"], "one --backbone"),
        (["--image-size", "31"], "--image-size"),
        (["--dropout", "1"], "--dropout"),
    ],
    ids=str,
)
def test_a_combination_that_makes_no_sense_is_one_line(capsys, words, said):
    assert code_of(*words) == 1
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_the_costs_are_said_and_the_parts_drawn(capsys, tmp_path):
    words = ("--plot", str(tmp_path / "parts.svg"), "--batch-size", "3")
    assert code_of(*words, backbone="mobilenet_v3_small") == 0
    said = capsys.readouterr().out
    assert "whole image" in said  # squeeze-and-excitation
    assert "GFLOPs" in said
    assert "A training step with 3 images" in said
    assert (tmp_path / "parts.svg").read_text().startswith("<svg")
    assert code_of("--plot", "parts.png") == 2


def test_a_trunk_with_two_maps_is_one_part_with_the_coarsest(capsys, tmp_path):
    image = keras.Input((256, 256, 3))
    fine = keras.layers.Conv2D(4, 1, strides=16)(image)
    coarse = keras.layers.Conv2D(5, 1, strides=8)(fine)
    trunk = keras.Model(image, {"s16": fine, "s128": coarse}, name="trunk")
    seen = keras.Input((256, 256, 3))
    pooled = [keras.layers.GlobalAveragePooling2D()(one) for one in trunk(seen).values()]
    scores = keras.layers.Dense(2)(keras.layers.Concatenate()(pooled))
    keras.Model(seen, scores).save(tmp_path / "model.keras")
    with pytest.raises(SystemExit) as end:
        main(["summary", str(tmp_path), "--plot", str(tmp_path / "parts.svg")])
    assert end.value.code == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("trunk"))
    assert line.split()[1:4] == ["41", "2×2×5", "128"]
    assert "N × 2 × 2 × 5 · 41 parameters" in (tmp_path / "parts.svg").read_text("utf-8")


def test_a_saved_model_is_summarised_wherever_it_lies(capsys, tmp_path):
    network = network_of(("steps",), 32, {"target": 4}).probability
    folder = tmp_path / "folds" / "0"
    folder.mkdir(parents=True)
    network.save(folder / "model.keras")
    for path in (tmp_path, folder, folder / "model.keras"):
        with pytest.raises(SystemExit) as end:
            main(["summary", str(path)])
        assert end.value.code == 0
        assert STEPS in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nowhere"], 1, "Received: nowhere"),
        (["x.keras", "--image-size", "64"], 2, "its own --image-size"),
    ],
    ids=str,
)
def test_what_is_no_model_is_refused(capsys, tmp_path, monkeypatch, words, code, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.keras").write_bytes(b"PK")
    for call, wanted, text in ((words, code, said), (["x.keras"], 1, "can't be read as such")):
        with pytest.raises(SystemExit) as end:
            main(["summary", *call])
        assert end.value.code == wanted
        assert text in capsys.readouterr().err
