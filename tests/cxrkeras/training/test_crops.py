"""A run whose trunks see crops, from a source stage to a model that plain Keras opens."""

import json

import keras
import numpy as np
import pytest

from cxrkeras.data.dataset import load_dataset
from cxrkeras.evaluation.scores.predictions import read_predictions
from cxrkeras.registry import VIEWS
from cxrkeras.training.crossval import cross_validate


@pytest.mark.slow
@pytest.mark.parametrize(
    "choices",
    [
        {"views": "tencrop:36"},
        {"views": "centre:36", "recipe": "frozen:copies=1"},
        {"views": "tencrop:36", "recipe": "frozen:copies=1"},
        {"views": "shifts:3", "recipe": "frozen", "head": "cosine"},
        {"views": "tencrop:36", "recipe": "frozen", "head": "lse:channels=4"},
    ],
    ids=str,
)
def test_predictions_are_those_of_the_saved_models(choices, experiment, data, tmp_path):
    run = tmp_path / "run"
    learn = {"source": f"a={data / 'a'}", "augment": "crops", "inputs": ("image", "sex")}
    how = {"optimizer": "sgd:momentum=0.5,weight_decay=0.01", "step_epochs": "1", "epochs": 2}
    cross_validate(experiment(**learn, **how, **choices), run)
    dataset = load_dataset(data / "target")
    paths = dict(zip(dataset.images.tolist(), dataset.paths, strict=True))
    for fold in "01":
        card = json.loads((run / "folds" / fold / "model.json").read_text())
        assert card["views"] == str(VIEWS.make(choices["views"]))
        said = read_predictions(run / "folds" / fold / "predictions.csv")
        pixels = [keras.utils.load_img(paths[one], color_mode="grayscale") for one in said.images]
        images = np.stack(pixels).astype(np.float32)[..., None]
        given = {"image": images, "sex": np.full((len(images), 1), -1, np.float32)}
        model = keras.models.load_model(run / "folds" / fold / "model.keras")
        found = model.predict(given, verbose=0)
        np.testing.assert_allclose(found, said.prob, rtol=0, atol=1e-5)
    rates = np.genfromtxt(run / "folds" / "0" / "history.csv", delimiter=",", names=True)
    np.testing.assert_allclose(rates["learning_rate"], [3e-3, 3e-4], rtol=1e-6)
