"""The recipe deep_auc: what each training starts from, and that nothing is left of another fold."""

import keras
import numpy as np
import pytest

from cxrkeras.data.dataset import load_dataset
from cxrkeras.training.fitting.checkpoint import Checkpoint
from cxrkeras.training.plan import resolve
from cxrkeras.training.recipes.shared.passing import Passing
from data_prep.errors import UserError
from tests.cxrkeras.networks import session_of

ON_FEATURES = "deep_auc:base=frozen,reset=false,epochs=3,learning_rate=0.05"
ROWS = np.arange(36)


def session_for(experiment, data, recipe):
    how = {"random_trunk": True, "loss": "bce", "batch_size": 8}
    return session_of(experiment(recipe=recipe, **how), load_dataset(data / "target"))


def fit(fitter, session, seed=1, checkpoint=None):
    how = {"epochs": 2, "learning_rate": 1e-2, "title": "t"}
    targets = session.target.targets
    return fitter.fit(ROWS[:28], ROWS[:0], targets, seed=seed, checkpoint=checkpoint, **how)


def everything(fitter):
    """All that the maximisation learnt: the network's weights, a, b and alpha, and PESG's state."""
    model = fitter._last._learner._trainer.model
    variables = [*model.variables, *model.optimizer.variables]
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def assert_same(found, wanted):
    assert len(found) == len(wanted)
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


class _Killed(BaseException):
    pass


def test_auc_is_maximised_after_the_fit_at_a_rate_that_falls(experiment, data):
    session = session_for(experiment, data, ON_FEATURES)
    fitter = session.plan.recipe.fitter(session)
    learned = fit(fitter, session)
    (layer,) = fitter._last._learner._trainer.model.loss_layers.values()
    assert (keras.ops.convert_to_numpy(layer.alpha) > 0).all()
    rates = learned.history["learning_rate"].tolist()
    assert rates == pytest.approx([0.05, 0.005, 0.005])
    assert learned.distortion is None
    assert fitter.facts["before"] == {"epochs": 2}
    assert_same(fitter._start(), fitter._first.weights())


@pytest.mark.slow
def test_duals_are_each_fold_s_own_and_survive_a_kill(experiment, data, tmp_path, monkeypatch):
    session = session_for(experiment, data, ON_FEATURES)
    fitter = session.plan.recipe.fitter(session)
    learned, whole = fit(fitter, session), everything(fitter)
    scores = fitter.predict(ROWS[28:])
    fit(fitter, session, seed=2)
    assert (fitter.predict(ROWS[28:]) != scores).any()
    fit(fitter, session)
    assert_same(everything(fitter), whole)

    epochs = []

    def dies(self, epoch, logs=None, end=Checkpoint.on_epoch_end):
        end(self, epoch, logs)
        epochs.append(epoch)
        if len(epochs) == 2 + 2:
            raise _Killed

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "on_epoch_end", dies)
        with pytest.raises(_Killed):
            fit(session.plan.recipe.fitter(session), session, checkpoint=tmp_path / "state.npz")
    resumed = session.plan.recipe.fitter(session)
    again = fit(resumed, session, checkpoint=tmp_path / "state.npz")
    assert_same(everything(resumed), whole)
    assert again.history.equals(learned.history)
    np.testing.assert_array_equal(resumed.predict(ROWS[28:]), scores)


@pytest.mark.slow
@pytest.mark.parametrize("reset", [True, False])
def test_only_the_last_layer_begins_anew(experiment, data, reset):
    recipe = f"deep_auc:reset={reset},epochs=1,learning_rate=1e-30,weight_decay=0"
    session = session_for(experiment, data, recipe)
    fitter = session.plan.recipe.fitter(session)
    new = fitter._last.weights()
    fit(fitter, session)
    before, start = fitter._first.weights(), fitter._start()
    same = [np.array_equal(a, b) for a, b in zip(before, start, strict=True)]
    assert same[:-2] == [True] * (len(same) - 2)
    assert same[-2:] == [not reset] * 2
    if reset:
        assert_same(start[-2:], new[-2:])
    # At such a rate nothing is learnt, so the end is the start, but for batch norm's statistics.
    for end, begun in zip(fitter.weights()[-2:], start[-2:], strict=True):
        np.testing.assert_allclose(end, begun, atol=1e-20)


def test_the_last_layer_is_that_which_learns(experiment, data):
    how = {"random_trunk": True, "head": "cosine"}  # which ends in a layer that only scales
    fitter = Passing(session_of(experiment(**how), load_dataset(data / "target")))
    assert fitter.ending() == [False] * (len(fitter.weights()) - 1) + [True]


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"recipe": "deep_auc", "loss": "auc_margin"}, "Received: --loss auc_margin. Give --loss"),
        ({"recipe": "deep_auc:base=frozen"}, "Add reset=false"),
        ({"recipe": "deep_auc:margin=2"}, "margin"),
        ({"recipe": "deep_auc:base=logistic,reset=false"}, "has a loss of its own"),
    ],
)
def test_what_makes_no_sense_is_refused(experiment, choices, words):
    with pytest.raises(UserError, match=words):
        resolve(experiment(**{"random_trunk": True, **choices}))


@pytest.mark.slow
def test_a_base_that_makes_another_network_is_refused(experiment, data):
    session = session_for(experiment, data, "deep_auc:base=ag_cnn")
    with pytest.raises(UserError, match="Take another base"):
        session.plan.recipe.fitter(session)
