"""What an export writes, what it refuses, and that nothing is left of one that failed."""

import json
import os
import re
import shutil
import zipfile
from dataclasses import replace
from operator import attrgetter

import numpy as np
import pytest
import tensorflow as tf

from cxrkeras.evaluation.rules import parse_rule
from cxrkeras.serving.export import portable as export_portable
from cxrkeras.serving.export.layout import next_version, versions
from cxrkeras.serving.export.run import export_model
from cxrkeras.serving.export.saved_model import SavedModel
from cxrkeras.serving.predictor.loaded import load_card
from cxrkeras.serving.predictor.read import read_card
from data_prep.errors import UserError
from tests.cxrkeras.serving.served_runs import LABELS, POINTS, SIDE, write_model

pytestmark = pytest.mark.shares_proof

YOUDEN = parse_rule("youden")


@pytest.fixture(scope="module")
def saved_model(proof):
    return SavedModel(proof.folder)


@pytest.fixture(scope="module")
def litert(proof, tmp_path_factory):
    """The folder of an export for LiteRT."""
    home = tmp_path_factory.mktemp("litert") / "chest"
    export_model(proof.card, home, ["litert"], YOUDEN, [], describe=str)
    return home


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_the_mean_of_the_members(proof, saved_model):
    each = [
        np.asarray(model(proof.images)) for model in map(attrgetter("model"), proof.model.members())
    ]
    assert np.abs(each[0] - each[1]).max() > 0.01
    np.testing.assert_allclose(proof.probability, np.mean(each, axis=0), atol=1e-7)
    found = saved_model.probability(proof.images)
    np.testing.assert_allclose(found, proof.probability, rtol=0, atol=1e-6)


def test_members_on_one_trunk_keep_it_once(tmp_path):
    import keras

    frozen = {"digest": "0" * 64, "features": "pool"}
    cards = [read_card(write_model(tmp_path / name, frozen=frozen)) for name in ("0", "1")]
    other = keras.models.load_model(cards[1].file)
    dense = other.get_layer("target")
    dense.set_weights([values + 0.5 for values in dense.get_weights()])
    other.save(cards[1].file)
    model = load_card(replace(cards[0], kind="ensemble", file=None, members=tuple(cards)))
    single = len(model.members()[0].model.weights)
    ensemble = model.keras_model()
    assert len(ensemble.weights) == single + 2
    images = np.random.default_rng(0).uniform(0, 255, (3, SIDE, SIDE, 1)).astype(np.float32)
    expected = model.predict(images)
    np.testing.assert_allclose(ensemble(images), expected, atol=1e-6)


def test_signatures(proof):
    loaded = tf.saved_model.load(str(proof.folder))
    assert set(loaded.signatures) == {"serving_default", "encoded"}
    shapes = {"probability": [None, 3], "label": [None, 3], "threshold": [None, 3]}
    for name, inputs, outputs in (
        ("serving_default", {"image": [None, SIDE, SIDE, 1]}, shapes),
        ("encoded", {"image_bytes": [None]}, shapes | {"valid": [None]}),
    ):
        signature = loaded.signatures[name]
        given = signature.structured_input_signature[1]
        assert {key: spec.shape.as_list() for key, spec in given.items()} == inputs
        found = {
            key: tensor.shape.as_list() for key, tensor in signature.structured_outputs.items()
        }
        assert found == outputs


def test_everything_in_model_json_is_there_again(proof, saved_model):
    kept = json.loads((proof.folder / "assets.extra" / "model.json").read_text("utf-8"))
    source = json.loads(proof.card.members[0].file.with_name("model.json").read_text("utf-8"))
    for key, value in source.items():
        if key != "operating_points":
            assert kept[key] == value, key
    assert kept["operating_points"]["youden"] == source["operating_points"]["youden"]
    assert set(kept["operating_points"]) == {"youden", "prevalence", "corrected"}
    assert (kept["operating_point"], kept["thresholds"]) == ("youden", POINTS["youden"])
    assert kept["members"] == 2
    answer = saved_model.encoded(proof.contents[:1])
    assert [name.decode() for name in answer["label"][0]] == list(LABELS)
    expected = [
        np.nan if p["threshold"] is None else p["threshold"] for p in POINTS["youden"].values()
    ]
    np.testing.assert_array_equal(answer["threshold"][0], expected)


def test_rows_do_not_know_of_each_other(proof, saved_model):
    together = saved_model.encoded([*proof.contents, b""])["probability"]
    for row, content in enumerate(proof.contents):
        alone = saved_model.encoded([content])["probability"]
        np.testing.assert_allclose(together[row], alone[0], rtol=0, atol=1e-6)


def test_litert(proof, litert):
    assert tree(litert) == [
        "README.md", "litert", "litert/1", "litert/1/model.json", "litert/1/model.tflite",
    ]  # fmt: skip
    for rows in (slice(0, 5), slice(2, 3)):
        found = export_portable.run_litert(litert / "litert" / "1", proof.images[rows])
        np.testing.assert_allclose(found, proof.probability[rows], rtol=0, atol=1e-6)


def test_onnx(proof, tmp_path):
    onnx = pytest.importorskip("onnx", reason="package onnx (extra onnx)")
    pytest.importorskip("tf2onnx", reason="package tf2onnx (extra onnx)")
    done = export_model(proof.card, tmp_path / "chest", ["onnx"], YOUDEN, [], describe=str)
    model = onnx.load(done.folders[0] / "model.onnx")
    assert [value.name for value in model.graph.input] == ["image"]
    assert [value.name for value in model.graph.output] == ["probability"]
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"
    onnx.checker.check_model(model, full_check=True)
    properties = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert properties["labels"] == list(LABELS)
    assert properties["thresholds"] == [0.375, None, 0.0625]
    assert (
        properties["model.json"]["training_prevalence"] == proof.card.facts["training_prevalence"]
    )
    for rows in (slice(0, 5), slice(2, 3)):
        found = export_portable.run_onnx(done.folders[0], proof.images[rows])
        np.testing.assert_allclose(found, proof.probability[rows], rtol=0, atol=1e-6)


def test_hub(proof, tmp_path):
    card, home = proof.card, tmp_path / "chest"
    done = export_model(card, home, ["hub"], YOUDEN, [], describe=lambda *told: str(len(told)))
    (folder,) = done.folders
    assert tree(home) == [
        "README.md", "hub", "hub/1", "hub/1/README.md", "hub/1/model.json", "hub/1/model.keras",
    ]  # fmt: skip
    assert (folder / "README.md").read_text() == "2"  # told the formats of its own folder
    with zipfile.ZipFile(folder / "model.keras") as archive:
        layers = re.findall(r'"module": "([^"]+)"', archive.read("config.json").decode())
    assert {name.split(".")[0] for name in layers} == {"keras"}
    again = read_card(folder)
    assert (again.labels, again.count) == (card.labels, 1)
    assert again.operating_points(YOUDEN)[LABELS[0]] == POINTS["youden"][LABELS[0]]
    found = load_card(again).predict(proof.images)
    np.testing.assert_allclose(found, proof.probability, rtol=0, atol=1e-6)


def test_a_further_export_is_a_further_version(tmp_path):
    home = tmp_path / "chest"
    for number in ("1", "7", "onnx/9"):
        (home / number).mkdir(parents=True)
    (home / "7" / "saved_model.pb").touch()
    assert next_version(home) == 10
    assert versions(home) == [7]


@pytest.mark.parametrize("spoil", [pytest.param(1e-3, marks=pytest.mark.slow), np.nan])
def test_an_export_that_answers_otherwise_is_refused_and_leaves_nothing(
    proof, litert, tmp_path, monkeypatch, spoil
):
    honest = export_portable.run_litert

    def write(described, folder):
        shutil.copytree(litert / "litert" / "1", folder, dirs_exist_ok=True)

    def spoilt(folder, *inputs):
        return honest(folder, *inputs) + np.array([0, 0, spoil])

    monkeypatch.setitem(export_model.__globals__["_PORTABLE"], "litert", (write, spoilt))
    with pytest.raises(UserError, match=r"litert (1\.0e-03|nan) \(limit 1e-05\)"):
        export_model(proof.card, tmp_path / "chest", ["litert"], YOUDEN, [], describe=str)
    assert tree(tmp_path) == []


def test_a_check_file_that_is_no_film(proof, tmp_path):
    (tmp_path / "x.png").write_bytes(b"x")
    with pytest.raises(UserError, match=r"--check .*x\.png: "):
        export_model(
            proof.card, tmp_path / "chest", ["litert"], YOUDEN, [tmp_path / "x.png"], describe=str
        )
    assert tree(tmp_path) == ["x.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_cannot_be_written(proof, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="can't be written"):
        export_model(proof.card, tmp_path / "chest", ["litert"], YOUDEN, [], describe=str)
