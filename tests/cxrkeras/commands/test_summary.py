"""`cxrkeras summary`: the model of each method, with its trunk's parameters."""

import pytest

from cxrkeras.cli import main

TRUNK = "939,120"  # MobileNetV3Small without its top, as keras.applications states it


def code_of(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["summary", "--backbone", "mobilenet_v3_small", "--image-size", "32", *words])
    return end.value.code


@pytest.mark.parametrize(("method", "trunks"), [("regular", 1), ("cotrain", 1), ("mixed", 2)])
def test_each_method_shows_its_trunks_and_head(capsys, method, trunks):
    assert code_of("--method", method, "--labels", "4") == 0
    said = capsys.readouterr().out
    assert said.count(TRUNK) == trunks
    width = 576 * trunks
    assert f"{4 * (width + 1):,}" in said  # the dense layer
    assert f"{939_120 * trunks + 4 * (width + 1):,}" in said


def test_a_frozen_trunk_leaves_the_head_to_learn(capsys):
    assert code_of("--reuse", "layers") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"Trainable params: {7 * 577:,}" in said
    assert f"Non-trainable params: {TRUNK}" in said


def test_the_trunk_s_layers_are_listed_on_demand(capsys):
    assert code_of() == 0
    short = capsys.readouterr().out
    assert code_of("--trunk-layers") == 0
    long = capsys.readouterr().out
    assert "expanded_conv" not in short
    assert "expanded_conv" in long


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
