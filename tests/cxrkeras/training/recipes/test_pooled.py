"""A head on features computed once: the features, the standardisation, what is told of it."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from cxrkeras.data.dataset import load_dataset
from cxrkeras.data.images import Images
from cxrkeras.data.labels.targets import Targets
from cxrkeras.data.pipeline import Features, Part
from cxrkeras.models.losses import bw_bce
from cxrkeras.models.network import TARGET
from cxrkeras.registry import BACKBONES
from cxrkeras.runs.sources import Weights
from cxrkeras.runs.target import Target, load_target
from cxrkeras.training.fitting.learner import Learner
from cxrkeras.training.folds import _learned, _prevalence, fit_rows
from cxrkeras.training.plan import resolve
from cxrkeras.training.recipes.shared.pooled import features
from cxrkeras.training.recipes.shared.pooled.features import frozen_features
from cxrkeras.training.recipes.shared.pooled.heads import Pooled, digest_of
from tests.cxrkeras.networks import network_of, session_of

FROZEN = {"recipe": "frozen", "random_trunk": True}


@pytest.fixture(scope="module")
def network():
    return network_of(("tiny",), 48, {TARGET: 2})


@pytest.fixture(scope="module")
def dataset(data):
    return load_dataset(data / "target")


@pytest.fixture(scope="module")
def images(dataset):
    return Images(dataset.paths, 48)


def test_only_equal_trunks_behind_equal_scalings_are_shared(network, monkeypatch):
    tiny = BACKBONES.load("tiny")
    digest = digest_of(network.features)
    assert digest_of(network_of(("tiny",), 48, {TARGET: 3}).features) == digest
    monkeypatch.setattr(tiny, "scaling", "caffe" if tiny.scaling != "caffe" else "torch")
    other = network_of(("tiny",), 48, {TARGET: 2}).features
    for one, two in zip(other.get_weights(), network.features.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert digest_of(other) != digest
    monkeypatch.undo()
    other = network_of(("tiny",), 48, {TARGET: 2}).features
    other.set_weights([values + 1 for values in other.get_weights()])
    assert digest_of(other) != digest


def test_the_leak_test_permutes_whole_rows_of_the_training_part_only(experiment, dataset):
    one = experiment(shuffle_labels=True)
    target = load_target(one, dataset, None)
    unique = np.arange(72, dtype=np.float32).reshape(36, 2)  # rows that can be told apart
    target = Target(dataset, Targets(unique), target.truth, target.folds)
    learn = np.flatnonzero(target.folds != 0)
    shuffled = _learned(one, target, learn, seed=3).values
    assert np.array_equal(shuffled[target.folds == 0], unique[target.folds == 0])
    assert not np.array_equal(shuffled[learn], unique[learn])
    assert np.array_equal(np.sort(shuffled[learn], axis=0), unique[learn])
    assert (shuffled[:, 1] - shuffled[:, 0] == 1).all()
    assert np.array_equal(_learned(one, target, learn, seed=3).values, shuffled)
    assert not np.array_equal(_learned(one, target, learn, seed=4).values, shuffled)
    assert np.array_equal(_learned(experiment(), target, learn, seed=3).values, unique)


def test_a_label_without_positives_or_without_any_known_entry(experiment, dataset):
    target = load_target(experiment(), dataset, None)
    targets = np.zeros((36, 2), np.float32)
    targets[:, 1] = -1
    assert _prevalence(target, Targets(targets)) == {"disc": 0.0, "bar": None}
    part = Part(TARGET, Features(np.zeros((36, 1))), np.arange(36), Targets(targets))
    model = network_of(("tiny",), 32, {TARGET: 2}).logits
    learner = Learner(model, resolve(experiment()), [part])
    assert learner.distortions([part])[TARGET].w.tolist() == [1, 1]


def test_the_inflation_told_is_that_of_the_rows_that_were_learnt(usual, monkeypatch, capsys):
    fitter, target = usual
    fitted, fit = [], fitter.fit
    noted = lambda train, *args, **how: fitted.append(train) or fit(train, *args, **how)  # noqa: E731
    monkeypatch.setattr(fitter, "fit", noted)
    rows = np.arange(36)
    plan = fitter._session.plan
    facts = fit_rows(fitter, plan, target, rows, number=0, what="all", title="t").facts
    values = target.targets.values[fitted[0]]
    assert len(values) < 30
    assert f"t: learning from {len(values)} images\n" in capsys.readouterr().err
    drawn = np.random.default_rng(1).permuted(np.tile(np.arange(len(values)), (9000, 1)), axis=1)
    told = bw_bce.Part().distortion([values], [drawn[:, :5]]).w
    np.testing.assert_allclose(list(facts["inflation"].values()), told, rtol=0.04)
    without = bw_bce.Part().distortion([target.targets.values], [np.tile(rows, (2, 1))]).w
    assert (abs(told / without - 1) > 0.08).all()  # what the test can tell apart


@pytest.fixture(scope="module")
def usual(experiment, dataset):
    """A fitter and its target, for tests that fit anew or leave its weights alone; traced once."""
    return fitter_of(experiment(**FROZEN, validation_fraction=0.4, batch_size=5), dataset)


def fitter_of(one, dataset) -> tuple[Pooled, Target]:
    session = session_of(one, dataset)
    return session.plan.recipe.fitter(session), session.target


def features_of(network, dataset, one):
    session = session_of(one, dataset)
    return frozen_features(network, session, session.plan.recipe.copies)


def test_features_are_the_network_s_and_copies_differ_from_them(
    experiment, network, dataset, images
):
    one = experiment(**FROZEN | {"recipe": "frozen:copies=2"}, augment="light")
    found = features_of(network, dataset, one)
    pixels = images.take(np.arange(36))
    expected = keras.ops.convert_to_numpy(network.features(pixels, training=False))
    assert found.shape == (3, *expected.shape)
    np.testing.assert_allclose(found[0], expected, rtol=1e-5, atol=1e-6)
    changes = [np.abs(a - b).mean(axis=1) for a, b in ((found[0], found[1]), (found[1], found[2]))]
    for change in changes:  # every image of every copy is changed, but stays the same image
        assert (change > 1e-6).all()
    spread = np.abs(expected - expected.mean(axis=0)).mean()
    assert changes[0].mean() < spread


@pytest.fixture
def computed(monkeypatch):
    """Counts the passes through the trunk, which give their number instead of features."""
    titles = []

    def counted(model, batches, title):
        titles.append(title)
        return np.full((36, 16), len(titles), np.float32)

    monkeypatch.setattr(features, "_predict", counted)
    return titles


def test_features_are_computed_once_for_what_they_depend_on(experiment, network, dataset, computed):
    first = features_of(network, dataset, experiment(**FROZEN))
    copy = {"recipe": "frozen:copies=1"}
    for same in ({"epochs": 9}, {"folds": 3}, {"batch_size": 4}, {"loss": "bce"}, copy):
        again = features_of(network, dataset, experiment(**FROZEN | same))
        assert np.array_equal(first, again)
    assert len(computed) == 1
    drawn = {"augment": "light", **copy}
    for other in (drawn, {**drawn, "batch_size": 4}, {**drawn, "augment": "study"}, {"seed": 1}):
        features_of(network, dataset, experiment(**FROZEN | other))
    assert len(computed) == 1 + 3 * 2 + 1
    features_of(network, dataset.subset(np.arange(36)), experiment(**FROZEN))
    assert len(computed) == 8


def test_the_standardisation_is_folded_into_the_dense_layer(usual, images):
    fitter, target = usual
    rows = np.arange(36)
    fitter.fit(
        rows[:24], rows[24:30], target.targets, epochs=3, learning_rate=0.01, seed=0, title="t"
    )
    by_features = fitter.predict(rows)
    by_image = fitter._network.probability.predict(images.take(rows), verbose=0)
    np.testing.assert_allclose(by_features, by_image, atol=1e-6)
    assert by_features.std(axis=0).min() > 0.01

    values = fitter._copies[0]
    mean, scale = values[:24].mean(axis=0), values[:24].std(axis=0)
    standard = (values - mean) / np.where(scale > 1e-6, scale, 1)
    logits = fitter._head(standard.astype(np.float32))[TARGET]
    np.testing.assert_allclose(keras.ops.sigmoid(logits), by_features, atol=1e-5)


def test_features_as_faint_as_a_random_trunk_s_are_learned_from_and_constant_ones_are_counted(
    usual, monkeypatch
):
    fitter, _ = usual
    rows, how = np.arange(36), {"epochs": 3, "learning_rate": 0.01, "seed": 0, "title": "t"}
    targets = Targets(np.float32(np.arange(72).reshape(36, 2) % 4 == 0))
    fitter.fit(rows, rows[:0], targets, **how)
    before = fitter.predict(rows)
    monkeypatch.setattr(fitter, "_copies", fitter._copies * np.float32(1e-10))
    fitter._copies[..., 0] = 0.3
    fitter.fit(rows, rows[:0], targets, **how)
    assert fitter.facts["features"] == {"all": 16, "constant": 1}
    faint = fitter.predict(rows)
    assert faint.std(axis=0).min() > 0.5 * before.std(axis=0).min() > 1e-3
    fitter._copies[:] = fitter._copies[:, :1]
    fitter.fit(rows, rows[:0], targets, **how)
    assert fitter.facts["features"] == {"all": 16, "constant": 16}
    assert np.ptp(fitter.predict(rows), axis=0).max() < 1e-6


def test_predictions_from_features_stay_finite_at_extreme_logits(usual):
    fitter, target = usual
    rows = np.arange(36)
    how = {"epochs": 1, "learning_rate": 0.01, "seed": 0, "title": "t"}
    fitter.fit(rows, rows[:0], target.targets, **how)
    dense = fitter._network.logits.get_layer(TARGET)
    kernel, _ = dense.get_weights()
    dense.set_weights([kernel, np.float32([-1e4, 1e4])])
    assert np.array_equal(fitter.predict(np.arange(3)), [[0, 1]] * 3)


def test_several_views_learn_by_the_first_and_answer_as_the_saved_model(
    experiment, dataset, images
):
    rows, found, learnt = np.arange(36), [], []
    for views in ("whole", "shifts:count=3,by=0.2"):
        one = experiment(**FROZEN, views=views, epochs=2, validation_fraction=0)
        fitter, target = fitter_of(one, dataset)
        fit_rows(fitter, resolve(one), target, rows, number=0, what="all", title="t")
        found.append(fitter.predict(rows))
        learnt.append(fitter.model().get_weights()[-2:])
        told = keras.ops.convert_to_numpy(fitter.model()(images.take(rows), training=False))
        np.testing.assert_allclose(found[-1], told, atol=1e-5)
    assert all(map(np.array_equal, *learnt))
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_features_that_nothing_is_drawn_for_are_one_for_all_seeds(experiment, dataset, data):
    def key(copies, weights, **choices):
        session = session_of(experiment(**FROZEN, **choices), dataset)
        return features.identity(replace(session, weights=weights), copies)

    known = (Weights("trunk.keras"),)
    assert key(0, known, seed=1) == key(0, known)
    assert key(1, known, seed=1) != key(1, known)  # copies are drawn
    assert key(0, (None,), seed=1) != key(0, (None,))  # so is the trunk
    assert key(0, known, batch_norm="never") == key(0, known)
    assert key(0, known, image_size=56) != key(0, known)
