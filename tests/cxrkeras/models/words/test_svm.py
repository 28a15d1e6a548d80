"""Machines on a kernel against scikit-learn's on features; sigmoids against Platt's."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.calibration import _sigmoid_calibration
from sklearn.svm import SVC

from cxrkeras.models.words.svm import _platt, fit_machine

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(60, 5))
KERNEL = FEATURES @ FEATURES.T
TRUTH = (FEATURES[:, 0] + RNG.normal(0, 0.5, 60) > 0.4).astype(float)
FOLDS = np.arange(60) % 3


def decisions_of(machine):
    return KERNEL @ machine.dual + machine.bias


def test_a_machine_is_scikit_learn_s_of_the_features():
    masked = TRUTH.copy()
    masked[::7] = np.nan
    machine, known = fit_machine(KERNEL, masked, FOLDS, 10.0), np.isfinite(masked)
    peer = SVC(C=10, kernel="linear").fit(FEATURES[known], masked[known])
    expected = peer.decision_function(FEATURES)
    np.testing.assert_allclose(decisions_of(machine), expected, atol=5e-3)
    assert (machine.dual[~known] == 0).all()
    # Its sigmoid was fitted on machines that hadn't seen the image.
    held = (FOLDS == 1) & known
    inner = SVC(C=10, kernel="linear").fit(FEATURES[known & ~held], masked[known & ~held])
    expected = machine.slope * inner.decision_function(FEATURES[held]) + machine.offset
    np.testing.assert_allclose(machine.told[held], expected, atol=5e-2)
    assert np.isnan(machine.told[~known]).all()


def test_a_value_between_counts_as_both_classes():
    soft = TRUTH.copy()
    soft[3] = 0.25
    machine = fit_machine(KERNEL, soft, FOLDS, 1.0)
    rows = np.append(np.arange(60), 3)
    classes, weights = np.append(soft, 1), np.ones(61)
    classes[3], weights[[3, 60]] = 0, (0.75, 0.25)
    peer = SVC(C=1, kernel="linear").fit(FEATURES[rows], classes, sample_weight=weights)
    np.testing.assert_allclose(decisions_of(machine), peer.decision_function(FEATURES), atol=5e-3)


def test_the_sigmoid_is_platt_s():
    decisions = FEATURES[:, 0] * 30
    slope, offset = _platt(decisions, TRUTH)
    a, b = _sigmoid_calibration(decisions, TRUTH)
    np.testing.assert_allclose(
        expit(slope * decisions + offset), expit(-a * decisions - b), atol=2e-3
    )


def test_what_tells_nothing_keeps_the_order_and_says_the_prior():
    slope, offset = _platt(-FEATURES[:, 0], TRUTH)
    assert 0 < slope < 0.01
    assert expit(offset) == pytest.approx(TRUTH.mean(), abs=0.03)


@pytest.mark.parametrize(
    ("truth", "prior"),
    [
        (np.zeros(60), 0.5 / 60.5),
        (np.ones(60), 60 / 60.5),
        (np.full(60, np.nan), 0.5),
    ],
)
def test_where_a_class_is_missing_the_prior_answers(truth, prior):
    machine = fit_machine(KERNEL, truth, FOLDS, 1.0)
    np.testing.assert_allclose(expit(machine.slope * decisions_of(machine) + machine.offset), prior)


def test_one_positive_or_one_patient_still_gives_a_machine():
    single = np.zeros(60)
    single[5] = 1
    for folds in (FOLDS, np.zeros(60, int)):
        machine = fit_machine(KERNEL, single, folds, 1.0)
        assert np.isfinite([machine.slope, machine.offset, machine.bias]).all()
        assert machine.slope > 0
