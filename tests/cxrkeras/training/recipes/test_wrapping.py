"""Recipes around others hand on all that a fitter says; what can't be is refused early."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from cxrkeras.data.dataset import load_dataset
from cxrkeras.training.plan import resolve
from cxrkeras.training.recipes import Fitter
from cxrkeras.training.recipes.self_training import _Twice
from cxrkeras.training.recipes.shared.conditional import Conditional
from cxrkeras.training.recipes.shared.wrapping import has_weights
from data_prep.errors import UserError
from tests.cxrkeras.networks import session_of
from tests.cxrkeras.training.tiny import write_dataset

EDGE = "parents=bar<disc"
LABELS = SimpleNamespace(target=SimpleNamespace(dataset=SimpleNamespace(labels=("disc", "bar"))))
SAID = np.array([[0.5, 0.5]])


class _Apart(Fitter):
    """Of two answers, neither a model's."""

    whole = False
    facts = {"told": 1}  # noqa: RUF012

    def predict(self, rows):
        return SAID

    def branches(self, rows):
        return {"branch": SAID}

    def model(self):
        return "model"

    def weights(self):
        return ["weights"]

    def save(self, folder):
        return {"head": None}


@pytest.mark.parametrize("multiplied", [False, True])
@pytest.mark.parametrize("wrap", ["self_training", "hierarchy"])
def test_what_a_wrapped_fitter_says_is_handed_on(wrap, multiplied):
    if wrap == "self_training":
        fitter = _Twice(_Apart())
    else:
        fitter = Conditional(LABELS, _Apart(), None, "bar<disc", multiplied)
    assert not fitter.whole
    # One that learns on in the same network would lose the product.
    if wrap == "hierarchy" and multiplied:
        assert not has_weights(fitter)
    else:
        assert fitter.weights() == ["weights"]
    told = fitter.branches(np.arange(1))
    assert list(told) == ["branch"]
    np.testing.assert_array_equal(told["branch"], fitter.predict(np.arange(1)))
    if wrap == "self_training" or not multiplied:
        assert fitter.model() == "model"
        assert fitter.save(None) == {"head": None}


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"recipe": "hierarchy:base=frozen"}, "head_again=false"),
        ({"recipe": "hierarchy:parents=bar"}, "CHILD<PARENT"),
        ({"recipe": "study_fusion", "head": "lse"}, "--head lse"),
        ({"recipe": "study_fusion", "transform": "mixup"}, "Leave --transform out"),
        ({"loss": "auc_margin", "optimizer": "sgd"}, "--optimizer sgd. Leave --optimizer out"),
    ],
)
def test_what_can_t_be_learnt_is_refused_before_sources_learn(experiment, choices, words):
    with pytest.raises(UserError, match=words):
        resolve(experiment(**{"random_trunk": True, **choices}))


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe",
    [
        f"hierarchy:base=location_aware,{EDGE}",
        f"hierarchy:base=self_training,{EDGE}",
        f"hierarchy:base=self_training,head_again=false,{EDGE}",
        f"hierarchy:base=ag_cnn,head_again=false,{EDGE}",
    ],
)
def test_recipes_around_others_learn_and_are_saved(experiment, tmp_path, recipe):
    write_dataset(tmp_path / "target", images=36, seed=0)
    dataset = load_dataset(tmp_path / "target")
    lines = [f"{image},disc,2,2,9,9" for image in dataset.images[:5]]
    table = "\n".join(["image,label,x,y,width,height", *lines])
    (tmp_path / "target" / "boxes.csv").write_text(table)
    session = session_of(experiment(recipe=recipe, loss="bce", batch_size=8), dataset)
    fitter = session.plan.recipe.fitter(session)
    rows = np.arange(36)
    how = {"epochs": 1, "learning_rate": 1e-2, "seed": 1, "title": "t"}
    fitter.fit(rows[:28], rows[:0], session.target.targets, **how)
    told = fitter.predict(rows[28:])
    if "head_again=false" in recipe:
        assert fitter.save(tmp_path).get("head", "") is None
        assert (told[:, 1] <= told[:, 0]).all()
    else:
        fitter.save(tmp_path)
        first, last = fitter._first.weights(), fitter._again.weights()
        same = [np.array_equal(a, b) for a, b in zip(first, last, strict=True)]
        assert same[:-2] == [True] * (len(same) - 2)
        assert not any(same[-2:])
    model = keras.saving.load_model(tmp_path / "model.keras")
    images = session.images.take(rows[28:])
    np.testing.assert_allclose(model.predict(images, verbose=0), told, atol=1e-6)
