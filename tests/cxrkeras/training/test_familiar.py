"""Which films a run's models know: kept by `cv`, asked by `predict`, and by `evaluate --run`."""

import json
import shutil

import numpy as np
import pytest

from cxrkeras.data.dataset import load_dataset
from cxrkeras.evaluation.scores.predictions import read_predictions
from cxrkeras.models.familiar import FILE
from cxrkeras.models.familiar.films import load_familiar
from cxrkeras.serving.external import validate_elsewhere
from cxrkeras.serving.predict.answers import as_json, as_table
from cxrkeras.serving.predict.run import predict_words
from cxrkeras.serving.predict.shown.lines import as_lines
from cxrkeras.serving.predictor.loaded import load_model
from cxrkeras.serving.predictor.make import make_ensemble
from cxrkeras.serving.predictor.read import read_card
from data_prep.errors import UserError
from data_prep.films.square import Settings, read_square

pytestmark = pytest.mark.shares_runs


def pixels(data, images):
    files = [data / "target" / image for image in images]
    return np.stack([read_square(file, Settings(48))[1] for file in files])[..., None]


@pytest.mark.parametrize(
    "name",
    ["layers", "regular", *(pytest.param(n, marks=pytest.mark.slow) for n in ("mixed", "copies"))],
)
def test_a_folds_model_finds_its_own_films_as_far_as_cv_did(runs, data, name):
    """Those that it hadn't seen, by the features of the pass that scores them; also over a kill."""
    folder = runs(name) / "folds" / "0"
    own = read_predictions(folder / "predictions.csv")
    model, known = load_model(folder), load_familiar(folder, folder / "model.keras")
    found = model.run_all(pixels(data, own.images))
    count = np.searchsorted(known.held_out, known.held_out) / (len(known.held_out) + 1)
    np.testing.assert_allclose(np.sort(found.unlike), count, atol=2.1 / (len(count) + 1))
    np.testing.assert_allclose(found.scores, own.prob, atol=1e-5)


def test_predict_says_it_and_its_scores_stay(runs, data, tmp_path):
    run = shutil.copytree(runs("layers"), tmp_path / "run")
    words = [str(data / "b" / "images")]
    told = predict_words(read_card(run), words, read_card(run).default_rule, workers=0)
    table = as_table(told)
    assert table["unlike"].between(0, 1).all()
    assert (table["flagged"] == 0).all()
    assert any("none can be flagged, since there are only" in line for line in as_lines(told))
    assert json.loads(as_json(told))["unlike"]["films"] == len(
        read_predictions(run / "predictions.csv").images
    )
    for path in run.glob(f"folds/*/{FILE}"):
        path.unlink()
    without = predict_words(read_card(run), words, read_card(run).default_rule, workers=0)
    assert (without.probability == told.probability).all()
    assert as_table(without)[["unlike", "flagged"]].isna().all(axis=None)
    assert any("nobody noted which films" in line for line in as_lines(without))
    assert json.loads(as_json(without))["unlike"] is None


def test_an_ensemble_keeps_what_its_members_know(runs, data, tmp_path):
    made = make_ensemble([runs("layers"), runs("layers")], tmp_path / "both")
    alone, both = load_model(runs("layers")), load_model(made.path)
    images = pixels(data, load_dataset(data / "target").images[:4])
    np.testing.assert_allclose(both.run_all(images).unlike, alone.run_all(images).unlike)


def test_a_retrained_folds_old_file_is_refused(runs, tmp_path):
    fold = shutil.copytree(runs("layers") / "folds" / "0", tmp_path / "0")
    shutil.copyfile(runs("layers") / "folds" / "1" / "model.keras", fold / "model.keras")
    with pytest.raises(UserError, match="was made with another model"):
        load_model(fold)


def test_decisions_are_withheld_by_what_the_run_says_out_of_fold(runs, data):
    card = read_card(runs("layers"))
    words, rule = [str(data / "b" / "images")], card.default_rule
    told = predict_words(card, words, rule, workers=0, abstain=0.3)
    plain = predict_words(card, words, rule, workers=0)
    assert 0 < told.withheld.mean() < 1
    assert np.isnan(told.positive[told.withheld]).all()
    decided = ~told.withheld
    assert (told.positive[decided] == plain.positive[decided]).all()
    column = as_table(told)["positive_disc"]
    assert (column == "withheld").sum() == told.withheld[:, 0].sum()
    assert any(line.startswith("withheld: no decision on the 30%") for line in as_lines(told))
    alone = read_card(runs("layers") / "folds" / "0")
    with pytest.raises(UserError, match="Give the run folder"):
        predict_words(alone, words, rule, workers=0, abstain=0.3)


def test_another_hospitals_films_are_scored_without_those_of_the_run(runs, data, tmp_path):
    found = validate_elsewhere(runs("layers"), data / "b", tmp_path / "b")
    assert list(found["per_label"]) == ["disc"]
    assert found["about"]["lacking"] == ["bar"]
    assert found["about"]["beside"] == ["frame"]
    assert found["about"]["left_out"] == {"target": 0, "copies": 0, "patients": 0}
    words = [str(data / "b" / "images")]
    card = read_card(runs("layers"))
    asked = predict_words(card, words, card.default_rule, workers=0).probability[:, 0]
    scored = read_predictions(tmp_path / "b" / "predictions.csv")
    np.testing.assert_allclose(scored.prob[:, 0], asked, atol=1e-6)
    before = found["per_label"]["disc"]["points"]["youden"]["before"]
    own = json.loads((runs("layers") / "operating_points.json").read_text())["operating_points"]
    crossed = own["youden"]["disc"]["cross_fitted"]
    assert before == {name: crossed[name] for name in ("sensitivity", "specificity")}
    with pytest.raises(UserError, match="no films of other patients"):
        validate_elsewhere(runs("layers"), data / "target", tmp_path / "own")
    with pytest.raises(UserError, match="--overwrite"):
        validate_elsewhere(runs("layers"), data / "b", tmp_path / "b")


def test_films_of_a_source_are_no_other_hospital_s(runs, data, tmp_path):
    run = shutil.copytree(runs("layers"), tmp_path / "run")
    for key, value in (("source", f"imagenet,b={data / 'b'}"), ("source_rows", f"b={data / 'b'}")):
        told = f'data = "{data / "target"}"\n{key} = ["{value}"]\n'
        (run / "experiment.toml").write_text(told, "utf-8")
        with pytest.raises(UserError, match="no films of other patients"):
            validate_elsewhere(run, data / "b", tmp_path / "out")


def test_a_model_s_own_films_are_known_without_its_data(runs, data, tmp_path):
    run = shutil.copytree(runs("layers"), tmp_path / "run")
    (run / "experiment.toml").unlink()
    with pytest.raises(UserError, match="from these very films"):
        validate_elsewhere(run, data / "target", tmp_path / "out")
