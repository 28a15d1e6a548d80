"""What a recipe must be: it gives the same bytes again, and after a kill too."""

import json

import numpy as np
import pytest

from cxrkeras.data.dataset import load_dataset
from cxrkeras.data.model_json import write_model_json
from cxrkeras.data.preparation import Preparation
from cxrkeras.data.studies import groups_of, names_in
from cxrkeras.registry import PREDICTORS, RECIPES
from cxrkeras.serving.predictor.loaded import load_model
from cxrkeras.training.fitting.checkpoint import Checkpoint
from tests.cxrkeras.networks import session_of
from tests.parts.each import each, made

EPOCHS = 4
# The others take more fits. A fine-tuned run is killed in test_crossval.py, self-training in
# test_uncertain.py.
QUICK = {"frozen"}
every_recipe = each(RECIPES, slow=set(RECIPES.names()) - QUICK)


@pytest.fixture
def session(experiment, data):
    """`session(part_id)`: of a target with entries to be guessed, so that everything happens."""

    def make(part_id):
        recipe, dataset = str(made(part_id)), load_dataset(data / "target")
        how = {"random_trunk": True, "uncertain": "self_trained", "batch_size": 6, "epochs": EPOCHS}
        return session_of(experiment(recipe=recipe, **how), dataset)

    return make


def fitter_of(session):
    """A new one, as a new process has it."""
    return session.plan.recipe.fitter(session)


def fit(fitter, session, checkpoint=None, first=0):
    """Fit as a fold is fitted: the scores of the rows left out, and what the fit says."""
    rows = np.arange(len(session.target.dataset))
    learned = fitter.fit(
        rows[first:24],
        rows[24:30],
        session.target.targets,
        epochs=EPOCHS,
        learning_rate=3e-3,
        seed=5,
        title="t",
        checkpoint=checkpoint,
    )
    return fitter.predict(rows[30:]), learned


class _Killed(BaseException):
    pass


@every_recipe
def test_it_gives_the_same_bytes_again_and_after_a_kill(part_id, session, tmp_path, monkeypatch):
    session = session(part_id)
    fitter = fitter_of(session)
    whole, learned = fit(fitter, session)
    assert learned.history["epoch"].tolist() == list(range(1, len(learned.history) + 1))
    # One fitter fits every fold: of what it learnt before nothing may be left.
    assert (fit(fitter, session, first=2)[0] != whole).any()
    np.testing.assert_array_equal(fit(fitter, session)[0], whole)
    check_what_it_says_and_saves(fitter, learned, whole, session, tmp_path / "saved")
    if len(learned.history) == 1:
        return  # there is no epoch to go on from

    kept = []

    def dies(self, epoch, logs=None, end=Checkpoint.on_epoch_end):
        end(self, epoch, logs)
        kept.append(self._path)
        if len(kept) == len(learned.history) - 1:
            raise _Killed

    path = tmp_path / "state.npz"
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "on_epoch_end", dies)
        with pytest.raises(_Killed):
            fit(fitter, session, path)
    assert all(each.parent == tmp_path for each in kept)
    resumed, again = fit(fitter_of(session), session, path)
    np.testing.assert_array_equal(resumed, whole)
    assert again.history.equals(learned.history)


def check_what_it_says_and_saves(fitter, learned, scores, session, folder):
    """Scores and facts are what they must be, and a Keras model answers as the fitter does."""
    assert scores.shape == (6, 2)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert np.ptp(scores, axis=0).min() > 0
    assert learned.targets.values.shape == (24, 2)
    json.dumps(fitter.facts, allow_nan=False)
    folder.mkdir()
    labels = session.target.dataset.labels
    card = {"labels": list(labels), "image_size": 48, "preparation": Preparation(48).as_json()}
    shares = dict.fromkeys(labels, 0.5)
    write_model_json(folder, {**card, "training_prevalence": shares, **fitter.save(folder)})
    model = load_model(folder)
    films = model.run_per_film(session.images.take(np.arange(30, 36)))
    groups = np.arange(6)
    if model.card.studies:
        groups = groups_of(names_in(session.target.dataset, model.card.studies)[30:])
    answers = PREDICTORS.make(model.card.kind).fused(model.card, films, groups)
    np.testing.assert_allclose(answers, scores, atol=1e-5)
