"""A run whose films are answered by study, from `cv` to `predict`, `explain` and a final model."""

import numpy as np
import pytest

from cxrkeras.data.dataset import load_dataset
from cxrkeras.evaluation.scores.predictions import read_predictions
from cxrkeras.serving.explain.run import explain_film
from cxrkeras.serving.predict.run import predict_words
from cxrkeras.serving.predictor.read import read_card
from cxrkeras.training.crossval import cross_validate
from cxrkeras.training.final import train_final

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def begin(experiment, shared_cache, tmp_path_factory):
    """`begin(choices)`: a finished run."""

    def make(**choices):
        folder = tmp_path_factory.mktemp("studies") / "run"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CXRKERAS_CACHE", str(shared_cache))
            cross_validate(
                experiment(recipe="study_fusion:by=patient", epochs=3, **choices), folder
            )
        return folder

    return make


def answers(card, data, images, **how):
    files = [str(data / "target" / image) for image in images]
    told = predict_words(card, files, card.default_rule, workers=0, **how)
    return told.probability


@pytest.mark.parametrize("choices", [{}, {"inputs": ("image", "age")}])
def test_a_fold_s_model_answers_files_as_the_run_says(begin, data, choices):
    run = begin(**choices)
    told = read_predictions(run / "predictions.csv")
    dataset = load_dataset(data / "target")
    pairs = dict(zip(dataset.images, dataset.patients, strict=True))
    for fold in ("0", "1"):
        rows = [n for n, f in enumerate(told.folds) if f == fold]
        images = [told.images[n] for n in rows]
        assert {pairs[i] for i in images}.isdisjoint(
            pairs[i] for i, f in zip(told.images, told.folds, strict=True) if f != fold
        )
        card = read_card(run / "folds" / fold)
        table = data / "target" / "manifest.csv"
        found = answers(card, data, images, table=table)
        np.testing.assert_allclose(found, told.prob[rows], atol=1e-5)
        same = [found[images.index(i)] for i in images if pairs[i] == pairs[images[0]]]
        assert len(same) == 2
        np.testing.assert_array_equal(*same)
        assert np.abs(answers(card, data, images) - found).max() > 0  # films alone


def test_maps_and_the_final_model_know_films_and_studies(begin, data, tmp_path, capsys):
    run = begin()
    film = data / "target" / "images" / "000.png"
    told = explain_film(read_card(run), film, workers=0)
    assert told.bias is not None  # an exact map of the film's own logit
    np.testing.assert_allclose(told.maps.mean(axis=(1, 2)) + told.bias, told.scores, atol=1e-4)
    train_final(run, tmp_path / "final")
    card = read_card(tmp_path / "final")
    assert card.studies == "patient"
    images = ["images/000.png", "images/001.png", "images/002.png"]
    found = answers(card, data, images, table=data / "target" / "manifest.csv")
    np.testing.assert_array_equal(found[0], found[1])
    assert "2 patients: each has the score of its patient" in capsys.readouterr().err
