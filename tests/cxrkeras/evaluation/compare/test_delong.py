import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t
from sklearn.metrics import roc_auc_score

from cxrkeras.evaluation.compare.delong import auroc_covariance, paired_difference, placements
from cxrkeras.evaluation.compare.resampling import bootstrap

# DeLong et al. 1988, their own data as SAS/STAT's example "Comparing Receiver Operating
# Characteristic Curves" prints them: albumin, total protein, K-G score and the outcome of the 43
# patients with all three tests.
OVARIAN = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0
1.6 5.6 5 1  3.8 5.7 5 1  3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1
4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0  4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1
3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1  4.3 6.5 4 1
3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1
3.5 6.2 5 1  2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1
3.6 6.6 5 1
"""


def clustered(seed, n=40, runs=3, levels=6, patients=15):
    """Images of few patients with coarse scores; both classes present."""
    random = np.random.default_rng(seed)
    truth = random.random(n) < 0.4
    truth[:2] = True, False
    scores = np.round((random.random((runs, n)) + 0.4 * truth) * levels)
    return truth, scores, random.integers(0, patients, n)


def test_delongs_own_example():
    table = np.array(OVARIAN.split(), dtype=float).reshape(-1, 4)
    truth = table[:, 3] == 1
    scores = np.stack([table[:, 0], 10 - table[:, 2], table[:, 1]])  # a high K-G score is bad
    unit = np.arange(len(table))
    auroc, covariance = auroc_covariance(truth, scores, unit)
    # areas, standard errors, and contrasts with the K-G score as SAS/STAT prints them
    np.testing.assert_allclose(auroc, [0.7366, 0.7258, 0.6478], atol=5e-5)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), [0.0927, 0.1028, 0.1000], atol=5e-5)
    albumin = paired_difference(truth.astype(float), scores[0], scores[1], unit, 0.95)
    protein = paired_difference(truth.astype(float), scores[2], scores[1], unit, 0.95)
    freedom = min(truth.sum(), (~truth).sum()) - 1
    for found, printed in (
        (albumin, [0.0108, -0.1761, 0.1976, 0.9102]),
        (protein, [-0.0780, -0.2830, 0.1271, 0.4561]),
    ):
        value = found["value"]
        error = (found["high"] - value) / t.ppf(0.975, freedom)
        ends = value + error * norm.ppf([0.025, 0.975])  # as SAS has them
        normal = [value, *ends, 2 * norm.sf(abs(value) / error)]
        assert normal == pytest.approx(printed, abs=5e-5)
        assert found["p"] == pytest.approx(2 * t.sf(abs(value) / error, freedom))
    contrast = np.array([[1, -1, 0], [0, -1, 1]])
    both = contrast @ auroc
    chi_square = both @ np.linalg.solve(contrast @ covariance @ contrast.T, both)
    assert chi_square == pytest.approx(2.5340, abs=5e-5)


def test_hanley_and_mcneils_ratings():
    # 109 computed tomograms in five grades (Radiology 1982;143:29), as Stata's roctab prints them
    normal, abnormal = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)
    rating = np.concatenate([np.repeat(range(5), normal), np.repeat(range(5), abnormal)])
    truth = np.arange(109) >= 58
    auroc, covariance = auroc_covariance(truth, rating[None].astype(float), np.arange(109))
    error = np.sqrt(covariance[0, 0])
    assert (auroc[0], error) == pytest.approx((0.8932, 0.0307), abs=5e-5)
    ends = auroc[0] - 1.959964 * error, auroc[0] + 1.959964 * error
    assert ends == pytest.approx((0.83295, 0.95339), abs=5e-6)


def structural_components(truth, scores):
    """Every pair compared, as the 1988 paper writes it."""
    kernel = [
        (s[truth][:, None] > s[~truth]) + 0.5 * (s[truth][:, None] == s[~truth]) for s in scores
    ]
    return [k.mean(axis=1) for k in kernel], [k.mean(axis=0) for k in kernel]


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(4, 40), levels=st.sampled_from([1, 3, 50]))
@settings(max_examples=50)
def test_midranks_give_the_structural_components(seed, n, levels):
    truth, scores, _ = clustered(seed, n, levels=levels)
    above, below = structural_components(truth, scores)
    for r, score in enumerate(scores):
        found = placements(truth, score)
        np.testing.assert_allclose(found[0], above[r], atol=1e-12)
        np.testing.assert_allclose(found[1], below[r], atol=1e-12)
        assert found[0].mean() == pytest.approx(roc_auc_score(truth, score), abs=1e-12)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(6, 40))
@settings(max_examples=50)
def test_with_one_image_per_patient_it_is_delongs_covariance(seed, n):
    truth, scores, _ = clustered(seed, n)
    truth[2:4] = True, False  # two of each, for a sample variance
    above, below = structural_components(truth, scores)
    wanted = np.cov(above) / truth.sum() + np.cov(below) / (~truth).sum()
    _, found = auroc_covariance(truth, scores, np.random.default_rng(seed).permutation(n))
    np.testing.assert_allclose(found, wanted, atol=1e-12)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_with_several_images_per_patient_it_is_obuchowskis_covariance(seed):
    truth, scores, patient = clustered(seed)
    above, below = structural_components(truth, scores)
    own = patient[truth], patient[~truth]
    if min(len(set(part)) for part in own) < 2:
        return
    m, n, people = truth.sum(), (~truth).sum(), sorted(set(patient))
    areas = [part.mean() for part in above]

    def s(r, i, who):  # V(X_i.) - m_i A, or V(Y_i.) - n_i A
        part, people = ((above, own[0]), (below, own[1]))[i]
        return sum(part[r][j] - areas[r] for j in range(len(people)) if people[j] == who)

    ill, well = len(set(own[0])), len(set(own[1]))
    count = len(people)
    wanted = np.zeros((3, 3))
    for a in range(3):
        for b in range(3):
            s10 = ill / ((ill - 1) * m) * sum(s(a, 0, p) * s(b, 0, p) for p in people)
            s01 = well / ((well - 1) * n) * sum(s(a, 1, p) * s(b, 1, p) for p in people)
            s11 = [
                count / (count - 1) * sum(s(x, 0, p) * s(y, 1, p) for p in people)
                for x, y in ((a, b), (b, a))
            ]
            wanted[a, b] = s10 / m + s01 / n + sum(s11) / (m * n)
    _, found = auroc_covariance(truth, scores, patient)
    np.testing.assert_allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize("images", [1, 4])
def test_agrees_with_the_patient_bootstrap(images):
    random = np.random.default_rng(images)
    patient = np.repeat(np.arange(300), images)
    alike = random.normal(size=300)[patient]  # a patient's images resemble each other
    truth = (random.random(300) < 0.3)[patient]
    score = truth + alike + 0.3 * random.normal(size=len(patient))
    other = truth + 0.8 * alike + random.normal(size=len(patient))
    _, covariance = auroc_covariance(truth, np.stack([score, other]), patient)
    column = truth.astype(float)[:, None]
    auroc, _ = bootstrap(column, [score[:, None], other[:, None]], patient, resamples=2000, seed=0)
    np.testing.assert_allclose(np.cov(auroc[:, 0]), covariance, rtol=0.12)


def test_masked_entries_count_nowhere():
    truth, scores, patient = clustered(4)
    first = paired_difference(truth.astype(float), scores[0], scores[1], patient, 0.9)
    more = np.concatenate([truth.astype(float), [np.nan] * 3])
    wide = [np.concatenate([s, [9.0, -9.0, 0.0]]) for s in scores[:2]]
    # nor does a patient without a known entry, whatever its number
    again = paired_difference(more, *wide, np.concatenate([2 * patient + 1, [0, 2, 99]]), 0.9)
    assert again == pytest.approx(first)


@pytest.mark.parametrize(
    ("truth", "value"),
    [([1, 1, 1, 1], None), ([0, 0, 0, 0], None), ([1, 0, 0, 0], 1 / 3), ([np.nan] * 4, None)],
)
def test_too_few_patients_have_no_interval(truth, value):
    truth = np.array(truth, dtype=float)
    found = paired_difference(truth, np.arange(4.0), np.array([1, 0, 1, 2.0]), np.arange(4), 0.95)
    assert found["low"] is found["p"] is None
    if value is None:
        assert found["value"] is None


def test_the_same_ranking_differs_by_nothing():
    truth, scores, patient = clustered(2)
    found = paired_difference(truth.astype(float), scores[0], scores[0] ** 3, patient, 0.95)
    assert found == {"value": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}
