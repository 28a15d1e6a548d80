"""The recipe hierarchy: products along the path, what no gradient reaches, both readings."""

import keras
import numpy as np
import pytest

from cxrkeras.data.dataset import load_dataset
from cxrkeras.data.labels.targets import Targets
from data_prep.errors import UserError
from tests.cxrkeras.networks import session_of

EDGE = "parents=bar<disc"


def session_for(experiment, data, recipe):
    dataset = load_dataset(data / "target")
    how = {"random_trunk": True, "loss": "bce", "batch_size": 8}
    return session_of(experiment(recipe=recipe, **how), dataset)


def fit(fitter, targets, epochs=2):
    rows = np.arange(36)
    how = {"learning_rate": 1e-2, "seed": 1, "title": "t"}
    return fitter.fit(rows[:28], rows[:0], targets, epochs=epochs, **how)


@pytest.fixture(scope="module")
def alone(experiment, data):
    """A session, and a fitter that has no head learn again; traced once."""
    session = session_for(experiment, data, f"hierarchy:{EDGE},head_again=false")
    return session, session.plan.recipe.fitter(session)


def test_conditional_outputs_are_multiplied_and_the_root_stays(alone, tmp_path):
    session, whole = alone
    learned = fit(whole, session.target.targets)
    rows = np.arange(28, 36)
    parts, told = whole._first.predict(rows), whole.predict(rows)
    np.testing.assert_array_equal(told[:, 0], parts[:, 0])
    np.testing.assert_allclose(told[:, 1], parts[:, 0] * parts[:, 1], rtol=1e-6)
    assert (told[:, 1] <= told[:, 0]).all()
    assert learned.distortion.none
    truth = session.target.targets.values[:28]
    positive = truth[:, 0] == 1
    positive |= truth[:, 1] == 1  # which implies the parent
    facts = whole.facts["hierarchy"]
    assert facts == {
        "bar": {"parent": "disc", "entries": int((positive & (truth[:, 1] >= 0)).sum())}
    }
    whole.save(tmp_path)
    model = keras.saving.load_model(tmp_path / "model.keras")
    images = session.images.take(rows)
    np.testing.assert_allclose(model.predict(images, verbose=0), told, atol=1e-6)


def test_entries_under_a_negative_parent_change_nothing(alone):
    session, fitter = alone
    values = session.target.targets.values
    under = (values[:, 0] == 0) & (values[:, 1] == 0)
    assert under.any()

    def scores(hide):
        changed = values.copy()
        changed[under, 1] = -1 if hide else 0
        fit(fitter, Targets(changed), epochs=1)
        return fitter.predict(np.arange(28, 36))

    hidden = scores(True)
    np.testing.assert_array_equal(hidden, scores(False))
    assert under[:28].any()  # some of what was learnt from
    other = Targets(np.where(np.arange(2) == 1, 1 - np.abs(values), values))
    fit(fitter, other, epochs=1)
    assert (fitter.predict(np.arange(28, 36)) != hidden).any()  # the fitter does learn anew


def test_the_head_alone_learns_again_on_everything(experiment, data):
    session = session_for(experiment, data, f"hierarchy:{EDGE}")
    fitter = session.plan.recipe.fitter(session)
    fit(fitter, session.target.targets)
    first, last = fitter._first.weights(), fitter._again.weights()
    same = [np.array_equal(a, b) for a, b in zip(first, last, strict=True)]
    assert same[:-2] == [True] * (len(same) - 2)  # the trunk's bytes
    assert not any(same[-2:])


def test_what_makes_no_sense_is_refused(experiment, data):
    with pytest.raises(UserError, match="head_again=false"):
        session_for(experiment, data, "hierarchy:base=frozen")
