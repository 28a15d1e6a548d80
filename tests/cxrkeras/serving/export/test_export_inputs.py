"""Exports of a model that takes more than the image: with all of it, and without."""

import json

import numpy as np
import pytest
import tensorflow as tf

from cxrkeras.cli import main
from cxrkeras.data.inputs import MEANINGS
from cxrkeras.evaluation.rules import parse_rule
from cxrkeras.serving.app.judge import RemoteJudge
from cxrkeras.serving.app.reading import see
from cxrkeras.serving.export.run import export_model
from cxrkeras.serving.export.saved_model import SavedModel
from cxrkeras.serving.predictor.loaded import load_card
from cxrkeras.serving.predictor.read import read_card
from cxrkeras.serving.server.client import as_png, predict_remote
from data_prep.films.square import Settings
from tests.cxrkeras.serving.predict.test_told import root, write_told
from tests.cxrkeras.serving.served_runs import SIDE
from tests.cxrkeras.serving.stand_in import Loaded, grpc_server, rest

__all__ = ["root"]
KNOWN = {"age": [[67.0], [-1], [3]], "sex": [[0.0], [1], [-1]], "view": [[1.0], [2], [-1]]}
ARRAYS = {name: np.float32(values) for name, values in KNOWN.items()}
IMAGES = np.random.default_rng(0).uniform(0, 255, (3, SIDE, SIDE, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def served(root):
    """(what it was exported from, the folder of the SavedModel)."""
    card, rule = read_card(root / "told"), parse_rule("youden")
    describe = lambda differences: "card"  # noqa: E731
    done = export_model(card, root / "chest", ["saved-model"], rule, [], describe=describe)
    assert {one.what.split()[1] for one in done.differences} == {
        *("serving_default", "encoded", "known", "encoded_known")
    }
    assert all(one.value <= 1e-5 for one in done.differences if "encoded" not in one.what)
    return load_card(card), done.folders[0]


def test_a_saved_model_answers_with_them_and_without(served):
    model, folder = served
    saved = SavedModel(folder)
    alone, told = model.predict(IMAGES), model.predict({"image": IMAGES, **ARRAYS})
    assert np.abs(alone - told)[:2].max() > 1e-3
    np.testing.assert_allclose(saved.probability(IMAGES), alone, atol=1e-5)
    np.testing.assert_allclose(saved.probability(IMAGES, ARRAYS), told, atol=1e-5)
    facts = json.loads((folder / "assets.extra" / "model.json").read_text())
    assert facts["inputs"] == ["image", *KNOWN]
    signatures = tf.saved_model.load(str(folder)).signatures
    taken = set(signatures["serving_default"].structured_input_signature[1])
    assert taken == {"image"}


@pytest.fixture(params=[rest, grpc_server], ids=["rest", "grpc"])
def address(request, served):
    if request.param is grpc_server:
        pytest.importorskip("tensorflow_serving.apis", reason="tensorflow-serving-api")
    with request.param(Loaded("chest", served[1])) as found:
        yield found


@pytest.mark.slow
def test_a_client_tells_the_server_what_the_header_tells(address, served, root, capsys):
    model, _ = served
    remote = predict_remote(address, "chest", IMAGES, known=ARRAYS)
    assert remote.inputs == tuple(KNOWN)
    told = model.predict({"image": IMAGES, **ARRAYS})
    np.testing.assert_allclose(remote.probability, told, atol=1e-5)
    films = [str(root / "films" / name) for name in ("a.dcm", "b.dcm")]
    answered = []
    for where in ([str(root / "told")], ["chest", "--server", address]):
        with pytest.raises(SystemExit) as ended:
            main(["predict", *where, *films, "--workers", "0", "--json"])
        assert ended.value.code == 0
        said = capsys.readouterr()
        assert "age unknown for 1 of 2 films" in said.err
        images = json.loads(said.out)["images"]
        told = [one["labels"].values() for one in images]
        answered.append([[label["probability"] for label in labels] for labels in told])
    np.testing.assert_allclose(*answered, atol=1e-3)


@pytest.mark.slow
def test_the_page_says_what_was_known_and_no_value(address, served, root):
    judge = RemoteJudge(address, "chest")
    body = (root / "films" / "a.dcm").read_bytes()
    seen = see(body, Settings(size=40), True, judge.extras)
    (note,) = judge.notes(seen)
    assert note == "The model also takes age, sex, view (from the file's header)."
    assert float(seen.told["age"]) == 67
    assert "told" not in repr(seen)
    contents = [as_png(root / "films" / "a.dcm")]
    known = {"age": [[67.0]], "sex": [[0.0]], "view": [[1.0]]}
    arrays = {name: np.float32(values) for name, values in known.items()}
    expected = predict_remote(address, "chest", contents, known=arrays).probability[0]
    found = [finding.probability for finding in judge.findings(seen)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    blank = see((root / "films" / "c.png").read_bytes(), Settings(size=40), True, judge.extras)
    assert judge.notes(blank) == ("The model also takes age, sex, view (unknown).",)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnx", "litert"])
def test_other_formats_name_all_inputs(name, root, tmp_path):
    if name == "onnx":
        onnx = pytest.importorskip("onnx")
    write_told(tmp_path / "m")
    card, rule = read_card(tmp_path / "m"), parse_rule("youden")
    describe = lambda differences: "card"  # noqa: E731
    done = export_model(card, tmp_path / "out", [name], rule, [], describe=describe)
    assert done.differences[0].value <= 1e-5
    if name == "onnx":
        model = onnx.load(done.folders[0] / "model.onnx")
        assert {value.name for value in model.graph.input} == {"image", *KNOWN}
        shapes = [value.type.tensor_type.shape for value in model.graph.input]
        assert {shape.dim[0].dim_param for shape in shapes} == {"batch"}
        properties = {one.key: one.value for one in model.metadata_props}
        assert json.loads(properties["inputs"]) == MEANINGS
