"""A head and an attention over the films of a study: what stands in for a film, and what learns."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit

from cxrkeras.data.dataset import load_dataset
from cxrkeras.data.studies import fused
from cxrkeras.models.network import TARGET
from cxrkeras.training.recipes.shared.pooled.fusing import Studies, lone, masked_softmax, mean_by
from data_prep.errors import UserError
from tests.cxrkeras.networks import session_of
from tests.cxrkeras.training.tiny import write_dataset

HOW = {"epochs": 3, "learning_rate": 0.01, "seed": 0, "title": "t"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Patients with three films, the last three alone with one."""
    folder = tmp_path_factory.mktemp("studies")
    dataset = load_dataset(write_dataset(folder / "data", images=36, per_patient=3))
    patients = dataset.patients.copy()
    patients[-3:] = ["x", "y", "z"]
    return replace(dataset, patients=patients)


def fitter_of(experiment, dataset, recipe="study_fusion:by=patient", **choices):
    session = session_of(experiment(recipe=recipe, random_trunk=True, **choices), dataset)
    return session.plan.recipe.fitter(session), session.target


def turn(fitter) -> None:
    """An attention that isn't level, as a long fit would end with."""
    (dense,) = [layer for layer in fitter._attention.layers if layer.name == "attention"]
    values = np.random.default_rng(1).normal(size=dense.kernel.shape)
    dense.set_weights([values.astype(np.float32)])


def test_films_of_one_study_are_answered_together(experiment, dataset):
    fitter, target = fitter_of(experiment, dataset)
    rows = np.arange(36)
    learned = fitter.fit(rows[:27], rows[:0], target.targets, **HOW)
    assert fitter.facts["studies"] == 9
    # Every film's target is its study's.
    values = target.targets.known[:27].reshape(9, 3, 2)
    expected = np.repeat((values == 1).any(axis=1), 3, axis=0)
    np.testing.assert_array_equal(learned.targets.values, expected)

    turn(fitter)
    scores, alone = fitter.predict(rows), expit(np.float64(fitter._of_films(rows)))
    np.testing.assert_array_equal(scores[33:], alone[33:])  # to the bit
    assert (scores[0] == scores[1]).all()
    assert (scores[0] != alone[0]).all()
    some = fitter.predict(rows[[5, 1, 34]])
    np.testing.assert_allclose(some, scores[[5, 1, 34]], atol=1e-7)

    # What learnt gives the same of a study, filled up with nothing, as what answers.
    standard = (fitter._copies[0] - fitter._mean) / fitter._scale
    pairs = np.array([[0, 1, -1], [2, -1, -1], [1, 0, -1], [0, 1, 2]])
    given = Studies(standard, pairs).take(np.arange(4))
    assert given.shape == (4, 3, 17)
    logits = np.asarray(fitter._head.predict(given, verbose=0)[TARGET])
    attention = fitter._attention.predict(standard, verbose=0)
    for line, found in zip(pairs, logits, strict=True):
        films = line[line >= 0]
        own = fused(fitter._of_films(films), attention[films], np.zeros(len(films), int))
        np.testing.assert_allclose(found, own[0], atol=1e-4)
    assert np.abs(logits[0] - logits[3]).min() > 1e-3  # one film more


def test_where_no_study_has_several_films_nothing_warns():
    """Keras does of a softmax over one, and of no gradient; warnings are errors here."""
    attention = keras.Variable(np.random.default_rng(0).normal(size=(3, 1, 2)))
    with tf.GradientTape() as tape:
        weights = masked_softmax(attention.value, np.ones((3, 1, 1), np.float32))
    assert (keras.ops.convert_to_numpy(weights) == 1).all()
    assert (np.asarray(tape.gradient(weights, attention.value)) == 0).all()


@pytest.mark.jax
def test_what_fills_a_study_up_weighs_nothing_whatever_it_holds():
    rng = np.random.default_rng(0)
    attention, values = rng.normal(size=(2, 4, 3)), rng.normal(size=(8, 3))
    there = np.array([[1, 1, 0, 0], [1, 0, 1, 1]], np.float32)[..., None]
    weights = keras.ops.convert_to_numpy(masked_softmax(np.float32(attention), there))
    np.testing.assert_array_equal(weights[there[..., 0] == 0], 0)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    changed = np.where(there > 0, values.reshape(2, 4, 3), 1e30).reshape(8, 3)
    found = [
        keras.ops.convert_to_numpy(mean_by(keras.ops.array(weights), np.float32(each)))
        for each in (values, changed)
    ]
    np.testing.assert_array_equal(*found)
    # An uncertain class goes by the same films; one attention serves all labels.
    both = np.concatenate([values, 2 * values], axis=1)
    wide = keras.ops.convert_to_numpy(mean_by(keras.ops.array(weights), np.float32(both)))
    np.testing.assert_allclose(wide, np.concatenate([found[0], 2 * found[0]], axis=1), atol=1e-6)
    single = keras.ops.array(weights[..., :1])
    expected = (weights[..., :1] * values.reshape(2, 4, 3)).sum(axis=1)
    np.testing.assert_allclose(mean_by(single, np.float32(values)), expected, atol=1e-6)


def test_films_of_several_are_learnt_from_alone_too():
    table = np.array([[0, 1, -1], [2, -1, -1], [3, 4, 5]])
    assert lone(table)[:, 0].tolist() == [0, 1, 3, 4, 5]
    assert (lone(table)[:, 1:] == -1).all()


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        ({"recipe": "study_fusion"}, "column study of its manifest.*by=patient"),
        ({"head": "lse"}, "takes a head on pooled features.*lse"),
        ({"head": "label_lstm"}, "that no truth teaches.*label_lstm"),
        (
            {"recipe": "hierarchy:base=study_fusion:by=patient,head_again=false"},
            "study_fusion:by=patient answers by.*product=never",
        ),
        ({"views": "shifts:3"}, "learns from one view of a film.*shifts:count=3"),
        ({"transform": "mixup"}, "which --transform mixup can't change"),
    ],
)
def test_what_it_cant_do_is_refused_before_any_work(experiment, dataset, choices, reason):
    with pytest.raises(UserError, match=reason):
        fitter_of(experiment, dataset, **choices)
