"""Logistic regression on frozen features: scikit-learn's numbers, and what may choose."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cxrkeras.data.dataset import load_dataset
from cxrkeras.data.images import Images
from cxrkeras.data.labels.targets import Targets
from cxrkeras.training.plan import resolve
from cxrkeras.training.recipes.shared.pooled.regression import STRENGTHS, regressed
from data_prep.errors import UserError
from tests.cxrkeras.networks import session_of

EXACT = {"tol": 1e-6, "max_iter": 10_000}


def drawn(rows=60, width=5, labels=3, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, width))
    truth = features[:, :labels] + rng.normal(size=(rows, labels)) > 0.3
    return features, truth.astype(float), rng.integers(1, 4, rows).astype(float)


@pytest.mark.parametrize("strength", [1e-3, 0.1, 10.0])
def test_each_label_is_scikit_learn_s_whatever_is_unknown_of_others(strength):
    features, known, weights = drawn()
    known[::4, 1] = np.nan
    kernel, bias = regressed(features, known, weights, strength)
    for label in range(3):
        rows = ~np.isnan(known[:, label])
        fit = LogisticRegression(C=strength, **EXACT)
        fit.fit(features[rows], known[rows, label], sample_weight=weights[rows])
        theirs = fit.predict_proba(features)[:, 1]
        ours = expit(features @ kernel[:, label] + bias[label])
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_whole_weight_is_so_many_rows_and_a_soft_target_so_much_of_both_classes():
    features, known, weights = drawn()
    often = weights.astype(int)
    ours = regressed(features, known, weights, 0.1)
    rows = regressed(
        np.repeat(features, often, axis=0),
        np.repeat(known, often, axis=0),
        np.ones(often.sum()),
        0.1,
    )
    np.testing.assert_allclose(ours[0], rows[0], atol=1e-4)
    soft = regressed(features, np.where(known == 1, 0.75, 0.25), np.ones(60), 0.1)
    many = np.concatenate([known, known, known, 1 - known])
    hard = regressed(np.tile(features, (4, 1)), many, np.full(240, 0.25), 0.1)
    np.testing.assert_allclose(soft[0], hard[0], atol=1e-4)


def test_a_label_of_one_class_or_none_has_a_finite_bias_and_no_slopes():
    features, known, weights = drawn()
    known[:, 0], known[:, 1] = 0, np.nan
    kernel, bias = regressed(features, known, weights, 0.1)
    assert not kernel[:, :2].any()
    assert bias[1] == 0
    assert bias[0] == pytest.approx(np.log(0.5 / weights.sum()))


def test_the_network_answers_as_scikit_learn_s_pipeline(experiment, data, monkeypatch, capsys):
    dataset = load_dataset(data / "target")
    session = session_of(experiment(recipe="logistic:strength=0.02"), dataset)
    fitter, rows = session.plan.recipe.fitter(session), np.arange(36)
    values, targets = fitter._copies[0], session.target.targets
    how = {"epochs": 1, "learning_rate": 1.0, "title": "t"}
    learned = fitter.fit(rows[:24], rows[24:28], targets, seed=0, **how)
    pixels = Images(dataset.paths, 48).take(rows)
    by_image = fitter.model().predict(pixels, verbose=0)
    for label in range(2):
        theirs = make_pipeline(StandardScaler(), LogisticRegression(C=0.02, **EXACT))
        theirs.fit(np.float64(values[:24]), targets.values[:24, label])
        expected = theirs.predict_proba(np.float64(values))[:, 1]
        np.testing.assert_allclose(by_image[:, label], expected, atol=1e-5)
        np.testing.assert_allclose(fitter.predict(rows)[:, label], expected, atol=1e-5)
    assert learned.distortion.none

    # What a fold holds out chooses nothing.
    fitter._strength, fitter._inner = None, 2
    monkeypatch.setattr("data_prep.progress._SILENT", 0)
    scores = []
    for changed in (targets.values, np.where(np.arange(36)[:, None] < 24, targets.values, 0)):
        fitter.fit(rows[:24], rows[:0], Targets(np.float32(changed)), seed=0, **how)
        assert fitter.facts["strength"] in STRENGTHS
        scores.append(fitter.predict(rows))
    np.testing.assert_array_equal(*scores)
    trials = 2 * len(STRENGTHS)
    assert f"t, choosing the strength: {trials} of {trials}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"head": "cosine"}, "--head cosine. Give --head gap"),
        ({"head": "lse"}, "--head lse. Give --head gap"),
        ({"loss": "focal"}, "--loss focal. Leave it out"),
        ({"transform": "mixup"}, "--transform mixup. Leave it out"),
        ({"average": "swa"}, "--average swa. Leave it out"),
        ({"optimizer": "sgd"}, "--optimizer sgd. Leave it out"),
        ({"validation_fraction": 0.2}, "--validation-fraction 0.2. Leave it out"),
    ],
)
def test_what_plays_no_part_is_refused(experiment, choices, message):
    with pytest.raises(UserError, match=message):
        resolve(experiment(recipe="logistic", **choices))


def test_what_a_source_s_training_goes_by_is_not(experiment, data):
    link = f"a={data / 'a'}"
    resolve(experiment(recipe="logistic", source=link, average="swa", optimizer="sgd"))
