from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrkeras.data.distortion import Factor
from cxrkeras.evaluation.scores.operating import from_prevalence
from cxrkeras.evaluation.scores.thresholds import known_prevalence


def corrected(prevalence, inflation):
    return from_prevalence(prevalence, Factor(inflation))["corrected"]


counts = st.integers(1, 10_000)
probabilities = st.floats(0.001, 0.999)
factors = st.floats(0.01, 200)
fractions = st.fractions(0, 1)


@given(p=fractions, positives=counts, negatives=counts)
def test_printed_threshold_is_prevalence_exactly(p, positives, negatives):
    printed = p > (1 - p) * Fraction(positives, negatives)
    assert printed == (p > Fraction(positives, positives + negatives))


@given(positives=counts, negatives=counts, w=st.fractions(Fraction(1, 50), 50), p=fractions)
def test_corrected_rule_decides_like_prevalence_on_true_probability(positives, negatives, w, p):
    pi = Fraction(positives, positives + negatives)
    q = w * p / (w * p + 1 - p)
    assert (q > w * pi / (w * pi + 1 - pi)) == (p > pi)


@given(pi=probabilities)
def test_no_inflation_gives_prevalence(pi):
    assert corrected(pi, 1.0) == pytest.approx(pi, rel=1e-12)
    assert known_prevalence(pi) == pi


def test_study_scale_example():
    # 5 % prevalence under |N|/|P| = 19 is cut at one half: the loss has balanced the classes
    assert corrected(0.05, 19.0) == pytest.approx(0.5)


def test_one_class_in_training_has_no_threshold():
    rules = from_prevalence(np.array([0.0, 0.3, 1.0]), Factor([4.0, 4.0, 4.0]))
    for values in rules.values():
        assert np.isnan(values[[0, 2]]).all()
        assert np.isfinite(values[1])


def test_without_a_known_distortion_there_is_no_corrected_rule():
    assert list(from_prevalence(np.array([0.1, 0.3]), None)) == ["prevalence"]
