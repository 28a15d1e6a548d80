"""Which kind of map models and ensembles get, and what is said of it."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrkeras.cli import main
from cxrkeras.models.network import TARGET
from cxrkeras.serving.app.judge import LocalJudge
from cxrkeras.serving.explain.folds import Explainers
from cxrkeras.serving.predictor.card import Card
from cxrkeras.serving.predictor.loaded import load_model
from cxrkeras.serving.predictor.make import make_ensemble
from cxrkeras.serving.predictor.read import read_card
from data_prep.errors import UserError
from tests.cxrkeras.backbones import known
from tests.cxrkeras.networks import network_of
from tests.cxrkeras.serving.served_runs import LABELS, write_model

SIDE = 64
MADE = {"gap": "gap", "lse": "lse:channels=4", "sharper": "lse:channels=4,r=20.0", "pcam": "pcam"}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A model folder of each of `MADE`, and `older`, of before model.json said the head."""
    root = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        known.add("steps", patch)
        for name, head in MADE.items():
            model = network_of(("steps",), SIDE, {TARGET: len(LABELS)}, head=head).probability
            layer = model.get_layer(TARGET)
            rng = np.random.default_rng(0)
            layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
            model.save(write_model(root / name, image_size=SIDE, head=head) / "model.keras")
        model.save(write_model(root / "older", image_size=SIDE) / "model.keras")
    return root


def whole(models, *names) -> Card:
    out = models / "-".join(names)
    return read_card(out) if out.exists() else make_ensemble([models / n for n in names], out)


def test_films_are_explained_by_the_heads_own_map(models, tmp_path, capsys):
    film = np.random.default_rng(0).integers(0, 256, (80, 90)).astype(np.uint8)
    Image.fromarray(film).save(tmp_path / "film.png")
    out = tmp_path / "why"
    with pytest.raises(SystemExit) as stop:
        main(["explain", str(models / "lse"), str(tmp_path / "film.png"), "--out", str(out)])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert "Own map (lse) of 1 images: 1 by the model." in said
    assert "Own map (lse) because the head knows better what its score comes from." in said
    about = json.loads((out / "explained.json").read_text())
    assert (about["method"], about["unit"]) == ("own", "logit")
    assert "log-sum-exp" in about["meaning"]
    assert about["why"].startswith("the head knows better")
    table = pd.read_csv(out / "explained.csv")
    np.testing.assert_allclose(table["map_mean"], table["score"], atol=1e-4)
    assert table["bias"].isna().all()


def test_what_a_hierarchy_multiplied_is_no_logit(models, tmp_path):
    """The score is the probability itself, and the map of that."""
    import keras

    model = load_model(models / "lse").keras_model()
    found = keras.ops.multiply(model.output, keras.ops.take(model.output, [0] * len(LABELS), 1))
    found = keras.layers.Identity(name="multiplied")(found)
    folder = write_model(tmp_path / "product", image_size=SIDE, head=None)
    keras.Model(model.input, found).save(folder / "model.keras")
    film = np.random.default_rng(0).integers(0, 256, (80, 90)).astype(np.uint8)
    Image.fromarray(film).save(tmp_path / "film.png")
    said = []
    for where in (folder, models / "lse"):
        out = tmp_path / "why"
        words = ["explain", str(where), str(tmp_path / "film.png"), "--out", str(out)]
        with pytest.raises(SystemExit):
            main([*words, "--no-pictures", "--overwrite", "--workers", "0"])
        said.append(json.loads((out / "explained.json").read_text())["score"])
        if where == folder:
            table = pd.read_csv(out / "explained.csv")
            np.testing.assert_allclose(table["score"], table["probability"], rtol=1e-5)
    assert "don't come from logits" in said[0]
    assert said[1].startswith("explained.csv: the logit; for several models")


def test_models_that_do_not_say_their_head_are_explained_as_before(models):
    explainers = Explainers(load_model(models / "older"), None)
    assert explainers.way.method == "gradcam"
    assert explainers.way.why.startswith("no map is exact here: ")


@pytest.mark.parametrize(
    ("names", "method"),
    [(("lse", "sharper"), "own"), (("lse", "pcam"), "gradcam"), (("gap", "lse"), "gradcam")],
)
def test_members_of_an_ensemble_get_a_map_that_all_have(models, names, method):
    whole(models, *names)
    model = load_model(models / "-".join(names))
    explainers = Explainers(model, None)
    assert explainers.way.method == explainers.of(1).method == method
    images = np.random.default_rng(1).uniform(0, 255, (2, SIDE, SIDE, 1)).astype(np.float32)
    told = explainers.of(None).explain(images)
    each = [explainers.of(n).explain(images).maps for n in (0, 1)]
    np.testing.assert_allclose(told.maps, (each[0] + each[1]) / 2, atol=1e-4)


def test_an_ensemble_of_different_maps_has_no_own_map(models):
    whole(models, "lse", "pcam")
    with pytest.raises(UserError, match=r"the members' maps show different things") as refusal:
        Explainers(load_model(models / "lse-pcam"), "own")
    assert "\n" not in str(refusal.value)


def test_a_head_that_is_not_installed_is_said_and_its_model_explained(models, capsys):
    file = models / "older" / "model.json"
    before = file.read_text()
    file.write_text(json.dumps(json.loads(before) | {"head": "theirs:depth=2"}))
    try:
        assert Explainers(load_model(models / "older"), None).way.method == "gradcam"
    finally:
        file.write_text(before)
    said = capsys.readouterr()
    assert "this model's head isn't known here" in said.err + said.out


def test_the_page_says_what_its_maps_are(models):
    card = read_card(models / "pcam")
    judge = LocalJudge(card, load_model(models / "pcam"), card.default_rule)
    assert judge.unit == "probability"
    assert any("the head pcam's own: each place's probability" in line for line in judge.about)
