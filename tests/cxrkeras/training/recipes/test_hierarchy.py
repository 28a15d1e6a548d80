"""The recipe hierarchy: products along the path, what no gradient reaches, both readings."""

import keras
import numpy as np
import pytest

from cxrkeras.data.dataset import load_dataset
from data_prep.errors import UserError
from tests.cxrkeras.networks import session_of

EDGE = "parents=bar<disc"


def fitted(experiment, data, recipe, folder=None, **changes):
    dataset = load_dataset(data / "target")
    session = session_of(
        experiment(recipe=recipe, random_trunk=True, loss="bce", batch_size=8, **changes), dataset
    )
    fitter = session.plan.recipe.fitter(session)
    rows = np.arange(36)
    learned = fitter.fit(
        rows[:28],
        rows[:0],
        session.target.targets,
        epochs=2,
        learning_rate=1e-2,
        seed=1,
        title="t",
    )
    return fitter, session, learned


def test_conditional_outputs_are_multiplied_and_the_root_stays(experiment, data, tmp_path):
    given, session, _ = fitted(experiment, data, f"hierarchy:{EDGE},head_again=false,product=never")
    whole, _, learned = fitted(experiment, data, f"hierarchy:{EDGE},head_again=false")
    rows = np.arange(28, 36)
    parts, told = given.predict(rows), whole.predict(rows)
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


def test_entries_under_a_negative_parent_change_nothing(experiment, data):
    _, session, _ = fitted(experiment, data, f"hierarchy:{EDGE},head_again=false")
    values = session.target.targets.values
    under = (values[:, 0] == 0) & (values[:, 1] == 0)
    assert under.any()

    def scores(hide):
        from cxrkeras.data.labels.targets import Targets

        changed = values.copy()
        changed[under, 1] = -1 if hide else 0
        fitter = session.plan.recipe.fitter(session)
        rows = np.arange(36)
        fitter.fit(
            rows[:28], rows[:0], Targets(changed), epochs=1, learning_rate=1e-2, seed=1, title="t"
        )
        return fitter.predict(rows[28:])

    np.testing.assert_array_equal(scores(True), scores(False))


def test_the_head_alone_learns_again_on_everything(experiment, data):
    fitter, _, _ = fitted(experiment, data, f"hierarchy:{EDGE}")
    first, last = fitter._first.weights(), fitter._again.weights()
    same = [np.array_equal(a, b) for a, b in zip(first, last, strict=True)]
    assert same[:-2] == [True] * (len(same) - 2)  # the trunk's bytes
    assert not any(same[-2:])


def test_what_makes_no_sense_is_refused(experiment, data):
    with pytest.raises(UserError, match="head_again=false"):
        fitted(experiment, data, "hierarchy:base=frozen")
