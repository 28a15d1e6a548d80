"""Maps of models that are told age, sex and view: these are held at what is known of each film."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.special import expit

import cxrkeras
from cxrkeras.cli import main
from cxrkeras.data.inputs import IMAGE, KNOWN, UNKNOWN
from cxrkeras.models.network import TARGET
from cxrkeras.registry import HEADS
from cxrkeras.serving.app.judge import LocalJudge
from cxrkeras.serving.app.reading import see
from cxrkeras.serving.explain.folds import Explainers
from cxrkeras.serving.explain.maps import Explainer
from cxrkeras.serving.explain.randomise import randomisation_check
from cxrkeras.serving.predictor.loaded import load_card, load_model
from cxrkeras.serving.predictor.make import make_ensemble
from cxrkeras.serving.predictor.read import read_card
from data_prep.films.square import Settings
from tests.cxrkeras.backbones import known as backbones
from tests.cxrkeras.networks import network_of
from tests.cxrkeras.serving.explain.mapping.test_relevance import attending
from tests.cxrkeras.serving.served_runs import LABELS, write_model

INPUTS = (IMAGE, *KNOWN)
SIDE = 64
IMAGES = np.random.default_rng(0).uniform(0, 255, (3, SIDE, SIDE, 1)).astype(np.float32)
TOLD = {"age": [[20.0], [71.0], [UNKNOWN]], "sex": [[0.0], [1.0], [1.0]], "view": [[2.0], [0], [1]]}
TOLD = {name: np.float32(values) for name, values in TOLD.items()}


@pytest.fixture(autouse=True, scope="module")
def steps():
    with pytest.MonkeyPatch.context() as patch:
        backbones.add("steps", patch)
        yield


def learnt(head: str, views: str = "whole", inputs=INPUTS):
    """A network whose every weight counts."""
    size = SIDE + 16 if views != "whole" else SIDE
    how = {"head": head, "inputs": inputs, "views": views}
    network = network_of(("steps",), size, {TARGET: len(LABELS)}, **how)
    rng = np.random.default_rng(0)
    network.logits.set_weights([rng.normal(0, 0.3, w.shape) for w in network.logits.get_weights()])
    return network


@pytest.mark.parametrize(
    "head", ["gap", "lse:channels=4", pytest.param("label_lstm", marks=pytest.mark.slow)]
)
def test_they_are_those_of_the_film_s_own_values(head):
    """The whole model answers; each film's map hangs on what is said of that film alone."""
    model = learnt(head).probability
    explainer = Explainer(model, head=HEADS.make(head))
    assert explainer.known == tuple(KNOWN)
    told = explainer.explain(IMAGES, known=TOLD)
    np.testing.assert_allclose(told.probability, model({IMAGE: IMAGES, **TOLD}), atol=1e-6)
    np.testing.assert_allclose(expit(told.scores), told.probability, atol=1e-6)
    assert told.bias is None
    for row in range(len(IMAGES)):
        rows = slice(row, row + 1)
        one = explainer.explain(IMAGES[rows], known={n: v[rows] for n, v in TOLD.items()})
        np.testing.assert_allclose(one.maps, told.maps[rows], rtol=1e-4, atol=1e-5)
    other = explainer.explain(IMAGES)  # nothing is known
    assert np.abs(other.scores - told.scores).max() > 1e-2
    linear = head != "label_lstm"
    assert np.allclose(other.maps, told.maps, rtol=1e-4, atol=1e-5) == linear


def test_grad_cam_of_averages_is_cam_without_what_is_below_zero():
    network = learnt("gap")
    explainer = Explainer(network.probability)
    assert (explainer.method, explainer.way.why) == (
        "gradcam",
        "no map is exact here: age, sex, view go into the scores beside the maps",
    )
    maps = np.asarray(explainer.parts.trunk(IMAGES))
    kernel, _ = network.logits.get_layer(TARGET).get_weights()
    wanted = np.maximum(np.einsum("nhwc,ck->nkhw", maps, kernel[: maps.shape[-1]]), 0)
    found = explainer.explain(IMAGES, known=TOLD).maps
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_relevance_holds_them_too():
    """A linear part of the scores in what is told moves scores, and no map."""
    import keras

    alone = attending()
    age = keras.Input((1,), name="age")
    logits = keras.layers.Dense(alone.output.shape[-1], name="logits")(alone.layers[-2].output)
    beside = keras.layers.Dense(logits.shape[-1], name="by_age")(age)
    output = keras.layers.Activation("sigmoid")(keras.layers.Add()([logits, beside]))
    model = keras.Model([alone.inputs[0], age], output)
    model.get_layer("logits").set_weights(alone.layers[-1].get_weights())
    images = np.random.default_rng(1).uniform(size=(5, *alone.inputs[0].shape[1:]))
    ages = np.float32([[1], [2], [0], [-1], [3]])
    told = Explainer(model, "relevance").explain(images, known={"age": ages})
    wanted = Explainer(alone, "relevance").explain(images)
    np.testing.assert_allclose(told.maps, wanted.maps, rtol=1e-3, atol=1e-5)
    moved = ages @ model.get_layer("by_age").get_weights()[0]
    np.testing.assert_allclose(told.scores - wanted.scores, moved, atol=1e-4)


def test_ten_crops_and_the_randomisation_check_are_told_them(tmp_path):
    views = f"tencrop:side={SIDE}"
    facts = {"views": views, "head": "gap", "image_size": SIDE + 16, "inputs": list(INPUTS)}
    folder = write_model(tmp_path / "crops", **facts)
    learnt("gap", views).probability.save(folder / "model.keras")
    model = load_model(folder)
    images = np.random.default_rng(2).uniform(0, 255, (3, SIDE + 16, SIDE + 16, 1))
    for fold in (0, None):
        explainer = Explainers(model, None).of(fold)
        told = explainer.explain(images, [1, 0], known=TOLD)
        whole = model.predict({IMAGE: images, **TOLD})
        np.testing.assert_allclose(told.probability, whole[:, [1, 0]], atol=1e-6)
    head, _ = randomisation_check(explainer, images, known=TOLD)
    assert np.nanmedian(head.spearman) < 0.99


@pytest.fixture(scope="module")
def models(steps, tmp_path_factory):
    """`told`, `aged` and `alone`, which take other inputs; two films, and a table of the first."""
    folder = tmp_path_factory.mktemp("models")
    for name, inputs in (("told", INPUTS), ("aged", INPUTS[:2]), ("alone", INPUTS[:1])):
        several = {"inputs": list(inputs)} if len(inputs) > 1 else {}
        facts = {"head": "gap", "image_size": SIDE} | several
        model = write_model(folder / name, **facts)
        learnt("gap", inputs=inputs).probability.save(model / "model.keras")
    (folder / "films").mkdir()
    for n in range(2):
        pixels = np.random.default_rng(n).integers(0, 256, (50, 60)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "films" / f"{n}.png")
    (folder / "t.csv").write_text("file,age,sex,view\n0.png,67,F,AP\n")
    return folder


def explained(*words) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["explain", *map(str, words), "--workers", "0", "--no-pictures"])
    assert ended.value.code == 0


def test_a_table_tells_as_for_predict_and_the_output_says_so(models, tmp_path, capsys):
    out, table = tmp_path / "why", models / "t.csv"
    explained(models / "told", models / "films", "--table", table, "--out", out)
    told = capsys.readouterr()
    about = json.loads((out / "explained.json").read_text())
    assert about["held"] == list(KNOWN)
    assert "the image's part of a score" in about["held_at"]
    assert "age, sex, view are held at what is known of each film" in told.out
    assert "age unknown for 1 of 2 films" in told.err
    assert not any("67" in text for text in (told.out, told.err, json.dumps(about)))
    rows = pd.read_csv(out / "explained.csv").pivot(
        index="file", columns="label", values="probability"
    )
    asked = {"table": table, "workers": 0}
    wanted = cxrkeras.load(models / "told").predict(models / "films", **asked)
    wanted = wanted[[f"prob_{label}" for label in LABELS]].to_numpy()
    np.testing.assert_allclose(rows[list(LABELS)].to_numpy(), wanted, rtol=1e-5)
    one = cxrkeras.load(models / "told").explain(models / "films" / "0.png", **asked)
    np.testing.assert_allclose(one.probability, wanted[0], atol=1e-6)


def test_what_takes_the_image_alone_says_nothing_of_it(models, tmp_path, capsys):
    explained(models / "alone", models / "films", "--out", tmp_path / "why")
    assert "held" not in (tmp_path / "why" / "explained.json").read_text()
    assert "held" not in capsys.readouterr().out
    words = ["explain", str(models / "alone"), str(models / "films"), "--out", str(tmp_path / "no")]
    with pytest.raises(SystemExit):
        main([*words, "--table", str(models / "t.csv")])
    assert "takes the image alone" in capsys.readouterr().err


def test_members_of_other_inputs_are_each_told_their_own(models, tmp_path):
    members = [models / name for name in ("told", "aged", "alone")]
    make_ensemble(members, tmp_path / "all")
    model = load_model(tmp_path / "all")
    explainers = Explainers(model, None)
    assert explainers.way.method == "gradcam"  # CAM is exact for the last alone
    told = explainers.of(None).explain(IMAGES, known=TOLD)
    np.testing.assert_allclose(told.probability, model.predict({IMAGE: IMAGES, **TOLD}), atol=1e-6)


def test_the_page_draws_them(models):
    card, film = read_card(models / "told"), models / "films" / "0.png"
    judge = LocalJudge(card, load_card(card), card.default_rule)
    assert not judge.no_maps
    seen = see(film.read_bytes(), Settings(card.preparation.image_size), True, judge.extras)
    wanted = cxrkeras.load(models / "told").explain(film, workers=0).maps[1]
    np.testing.assert_allclose(judge.heat(seen, LABELS[1]), wanted, rtol=1e-4, atol=1e-6)
