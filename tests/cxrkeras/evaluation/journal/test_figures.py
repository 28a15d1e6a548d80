"""What a journal asks for, against scikit-learn and against loops over patients and films."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, norm
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    brier_score_loss,
    confusion_matrix,
    precision_score,
    recall_score,
    roc_auc_score,
)

from cxrkeras.evaluation.compare.delong import auroc_covariance
from cxrkeras.evaluation.compare.resampling import sampling_units
from cxrkeras.evaluation.evidence.evidence import row_distortion, row_thresholds, write_metrics
from cxrkeras.evaluation.evidence.subgroups import subgroups
from cxrkeras.evaluation.journal import figures
from cxrkeras.evaluation.journal.citing import which_auroc
from cxrkeras.evaluation.journal.cohort import FEWEST, WHOLE, cohort
from cxrkeras.evaluation.journal.groups import compare_groups, detectable
from cxrkeras.evaluation.journal.reliability import mean_interval
from cxrkeras.evaluation.rules import parse_rule
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.evaluation.scores.curve import Curve
from cxrkeras.evaluation.scores.predictions import read_predictions
from cxrkeras.evaluation.scores.shares import design_effect, wilson, wilson_of
from tests.cxrkeras.evaluation.conftest import make_run

EXACT = {"abs": 1e-9, "rel": 0}
Z = norm.ppf(0.975)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of 300 films with its figures: (folder, metrics, predictions, figures)."""
    run = make_run(tmp_path_factory.mktemp("journal") / "run", n=300)
    metrics = write_metrics(run)
    predictions = read_predictions(run / "predictions.csv")
    return run, metrics, predictions, figures.journal_figures(run, metrics, predictions)


def known(predictions, k):
    rows = np.isfinite(predictions.truth[:, k])
    return rows, predictions.truth[rows, k] == 1


def looped_wilson(right, whose):
    """Wilson's interval by loops over patients, from the formulas in science.md."""
    n, patients = len(right), sorted(set(whose))
    share = sum(right) / n
    sizes = [sum(w == p for w in whose) for p in patients]
    hits = [sum(r for r, w in zip(right, whose, strict=True) if w == p) for p in patients]
    m = len(patients)
    if share in (0, 1):
        return wilson_of(share, m)
    effect = sum((h - s * share) ** 2 for h, s in zip(hits, sizes, strict=True))
    effect /= n * share * (1 - share)
    alike = float(m == 1)
    if 1 < m < n:
        usual = (n - sum(s * s for s in sizes) / n) / (m - 1)
        between = sum(s * (h / s - share) ** 2 for h, s in zip(hits, sizes, strict=True)) / (m - 1)
        within = sum(h * (1 - h / s) for h, s in zip(hits, sizes, strict=True)) / (n - m)
        alike = min(max((between - within) / (between + (usual - 1) * within), 0), 1)
    effect = max(1, effect, 1 + alike * (sum(s * s for s in sizes) / n - 1))
    return wilson_of(share, n / effect)


def test_decisions_are_scikit_learn_s_and_their_intervals_a_loop_over_patients(made):
    _, metrics, predictions, found = made
    cut = row_thresholds(metrics, np.array(predictions.folds, int))["corrected"]
    for k, label in enumerate(predictions.labels):
        part = found["operating_points"]["corrected"][label]
        rows, y = known(predictions, k)
        called = predictions.prob[rows, k] > cut[rows, k]
        (tn, fp), (fn, tp) = confusion_matrix(y, called)
        assert [part[name] for name in ("tp", "fp", "tn", "fn")] == [tp, fp, tn, fn]
        expected = {
            "sensitivity": (recall_score(y, called), y),
            "specificity": (recall_score(~y, ~called), ~y),
            "ppv": (precision_score(y, called), called),
            "npv": (precision_score(~y, ~called), ~called),
        }
        whose = np.array(predictions.patients)[rows]
        for share, (value, among) in expected.items():
            assert part[share]["value"] == pytest.approx(value, **EXACT)
            ends = looped_wilson((called == y)[among].tolist(), whose[among].tolist())
            assert (part[share]["low"], part[share]["high"]) == pytest.approx(ends, **EXACT)
    assert cut.shape == predictions.prob.shape


def test_fitted_points_decide_each_fold_by_the_others(made):
    _, _, predictions, found = made
    rows, y = known(predictions, 0)
    p, fold = predictions.prob[rows, 0], np.array(predictions.folds)[rows]
    for text in ("youden", "sensitivity=0.9"):
        called = np.zeros(len(y), bool)
        for one in set(fold):
            here = fold == one
            called[here] = p[here] > parse_rule(text).threshold(Curve(y[~here], p[~here]))
        part = found["operating_points"][text][predictions.labels[0]]
        assert part["sensitivity"]["value"] == pytest.approx(recall_score(y, called), **EXACT)
        assert part["tp"] + part["fp"] == called.sum()


def test_one_film_a_patient_is_the_binomial_wilson_interval():
    right = np.array([True] * 17 + [False] * 5)
    expected = binomtest(17, 22).proportion_ci(method="wilson")
    assert wilson(right, np.arange(22)) == pytest.approx((expected.low, expected.high), **EXACT)
    assert design_effect(np.repeat(right, 3), np.repeat(np.arange(22), 3)) == pytest.approx(3)


def test_calibration_is_scikit_learn_s_and_a_loop_over_bins(made):
    _, metrics, predictions, found = made
    distortion = row_distortion(metrics, np.array(predictions.folds, int))
    adjusted = distortion.undistort(predictions.prob)
    for kind, table in (("scores", predictions.prob), ("adjusted", adjusted)):
        for k, label in enumerate(predictions.labels):
            rows, y = known(predictions, k)
            p, part = table[rows, k], found["calibration"][kind][label]
            assert part["brier"]["value"] == pytest.approx(brier_score_loss(y, p), **EXACT)
            constant = brier_score_loss(y, np.full(len(y), y.mean()))
            assert part["constant"] == pytest.approx(constant, **EXACT)
            share, mean = calibration_curve(y, p, n_bins=10, strategy="quantile")
            bins = part["bins"]
            assert [one["share"] for one in bins] == pytest.approx(share.tolist(), **EXACT)
            assert [one["probability"] for one in bins] == pytest.approx(mean.tolist(), **EXACT)
            gaps = [one["n"] * abs(one["share"] - one["probability"]) for one in bins]
            assert part["ece"] == pytest.approx(sum(gaps) / len(y), **EXACT)
            assert sum(one["n"] for one in bins) == len(y)
            edges = np.quantile(p, np.linspace(0, 1, 11))
            whose = np.array(predictions.patients)[rows]
            first = p <= edges[1]
            ends = looped_wilson(y[first].tolist(), whose[first].tolist())
            assert (bins[0]["low"], bins[0]["high"]) == pytest.approx(ends, **EXACT)


def test_a_mean_s_interval_is_a_double_loop_over_films_of_a_patient():
    rng = np.random.default_rng(0)
    unit = rng.integers(0, 12, 60)
    values = rng.normal(size=60) + unit
    mean, m = sum(values) / 60, len(set(unit))
    total = 0.0
    for i in range(60):
        for j in range(60):
            if unit[i] == unit[j]:
                total += (values[i] - mean) * (values[j] - mean)
    reach = Z * np.sqrt(m / (m - 1) * total) / 60
    part = mean_interval(values, unit)
    assert [part[n] for n in ("value", "low", "high")] == pytest.approx(
        [mean, mean - reach, mean + reach], **EXACT
    )


def test_net_benefit_is_a_loop_over_films(made):
    _, metrics, predictions, found = made
    adjusted = row_distortion(metrics, np.array(predictions.folds, int)).undistort(predictions.prob)
    label = predictions.labels[0]
    rows, y = known(predictions, 0)
    curve, p = found["decision_curve"][label], adjusted[rows, 0]
    assert len(curve["thresholds"]) == 50
    for t, model, everyone in zip(curve["thresholds"], curve["model"], curve["all"], strict=True):
        found_, alarms, all_alarms = 0, 0, 0
        for truth, probability in zip(y, p, strict=True):
            found_ += truth and probability > t
            alarms += (not truth) and probability > t
            all_alarms += not truth
        n = len(y)
        assert model == pytest.approx(found_ / n - alarms / n * t / (1 - t), **EXACT)
        assert everyone == pytest.approx(y.sum() / n - all_alarms / n * t / (1 - t), **EXACT)


def table_of(predictions, **columns):
    return pd.DataFrame({"image": predictions.images, **columns}).astype(str)


def looped_influence(y, score, whose, patients):
    """AUROC by pairs, and what each patient adds to its error."""
    pos, neg = np.flatnonzero(y), np.flatnonzero(~y)
    wins = (score[pos][:, None] > score[neg]) + 0.5 * (score[pos][:, None] == score[neg])
    auroc, added = wins.mean(), np.zeros(len(patients))
    for part, films in ((wins.mean(axis=1), pos), (wins.mean(axis=0), neg)):
        owners = {whose[i] for i in films}
        for u, patient in enumerate(patients):
            own = [part[n] - auroc for n, i in enumerate(films) if whose[i] == patient]
            added[u] += np.sqrt(len(owners) / (len(owners) - 1)) * sum(own) / len(films)
    return auroc, added


def test_groups_are_loops_over_pairs_and_patients(simulated, tmp_path):
    simulated = replace(simulated, prob=np.round(simulated.prob, 1))  # with ties
    sex = np.where(np.arange(300) % 3, "F", "M")  # a patient's films fall into both
    table = table_of(simulated, sex=sex)
    female, male = compare_groups(simulated, table)
    patients = sorted(set(simulated.patients))
    sums = {}
    for code in "FM":
        parts = []
        for k in range(7):
            rows, _ = known(simulated, k)
            rows &= sex == code
            y = simulated.truth[rows, k] == 1
            whose = np.array(simulated.patients)[rows]
            parts.append(looped_influence(y, simulated.prob[rows, k], whose, patients))
            assert parts[-1][0] == pytest.approx(roc_auc_score(y, simulated.prob[rows, k]))
        sums[code] = np.mean([p[0] for p in parts]), np.mean([p[1] for p in parts], axis=0)
    (first, by_first), (second, by_second) = sums["F"], sums["M"]
    error = np.sqrt(np.sum((by_first - by_second) ** 2))
    gap = female["difference"]
    assert female["auroc"]["value"] == pytest.approx(first, **EXACT)
    assert gap["value"] == pytest.approx(first - second, **EXACT)
    assert gap["high"] - gap["value"] == pytest.approx(Z * error, **EXACT)
    assert female["detectable"] == pytest.approx((Z + norm.ppf(0.8)) * error, **EXACT)
    assert male["difference"]["value"] == pytest.approx(-gap["value"], **EXACT)
    table.to_csv(tmp_path / "manifest.csv", index=False)
    drawn = {group.name: group for group in subgroups(simulated, tmp_path / "manifest.csv")}
    for group in (female, male):  # the model card's intervals come from resamples
        one = drawn[group["name"]]
        assert group["auroc"]["value"] == pytest.approx(one.auroc, abs=1e-12)
        assert group["auroc"]["low"] == pytest.approx(one.low, abs=0.012)
        assert group["auroc"]["high"] == pytest.approx(one.high, abs=0.012)


def test_a_group_of_few_persons_has_no_score(simulated):
    number = {name: n for n, name in enumerate(sorted(set(simulated.patients)))}
    own = np.array([number[name] for name in simulated.patients])

    def told(few):
        sex = np.where(own < few, "O", np.where(own % 2, "F", "M"))
        return compare_groups(simulated, table_of(simulated, sex=sex))

    assert [group["name"] for group in told(FEWEST - 1)] == ["female", "male"]
    assert "other" in [group["name"] for group in told(FEWEST)]
    female, male = told(FEWEST - 1)  # nor does it follow from what the others are compared with
    assert female["difference"]["value"] == -male["difference"]["value"]
    two = np.where(own < FEWEST - 1, "F", "M")
    assert compare_groups(simulated, table_of(simulated, sex=two)) == []


def test_one_label_s_interval_is_obuchowski_s(simulated):
    one = replace(
        simulated,
        labels=simulated.labels[:1],
        prob=simulated.prob[:, :1],
        truth=np.nan_to_num(simulated.truth[:, :1]),
    )
    unit = sampling_units(one.images, one.patients)
    group = compare_groups(one, table_of(one, sex=["F"] * 280 + ["M"] * 20))[0]["auroc"]
    y, p = one.truth[:280, 0] == 1, one.prob[:280, 0]
    auroc, variance = auroc_covariance(y, p[None], unit[:280])
    reach = Z * np.sqrt(variance[0, 0]) / (auroc[0] * (1 - auroc[0]))
    low = 1 / (1 + np.exp(-(np.log(auroc[0] / (1 - auroc[0])) - reach)))
    assert group["low"] == pytest.approx(low, abs=1e-3)  # cross terms are enlarged differently


def test_power_is_what_the_gap_says():
    error, rng = 0.03, np.random.default_rng(0)
    found = rng.normal(detectable(error), error, 40_000)
    assert np.mean(np.abs(found) > Z * error) == pytest.approx(0.8, abs=0.01)


def test_the_cohort_is_counted_patient_by_patient(simulated):
    number = {name: n for n, name in enumerate(sorted(set(simulated.patients)))}
    own = np.array([number[name] for name in simulated.patients])
    age = 20 + own % 60 + np.arange(300) % 2
    table = table_of(simulated, sex=np.where(own % 2, "F", "M"), age=age, view="PA")
    found = cohort(simulated, table)
    assert list(found) == [WHOLE, "0", "1", "2", "3", "4"]
    for name, part in found.items():
        rows = np.array([name in (WHOLE, fold) for fold in simulated.folds])
        people = sorted(set(own[rows].tolist()))
        youngest = [min(age[rows & (own == one)]) for one in people]
        assert part["images"] == rows.sum()
        assert part["patients"] == part["age"]["known"] == len(people)
        assert part["age"]["median"] == np.median(youngest)
        assert part["age"]["q3"] == np.quantile(youngest, 0.75)
        assert part["sex"] == {
            "female": sum(one % 2 for one in people),
            "male": sum(1 - one % 2 for one in people),
        }
        assert part["views"] == {"PA": rows.sum()}
        counts = part["labels"][simulated.labels[0]]
        assert counts["positives"] == (simulated.truth[rows, 0] == 1).sum()
        assert counts["known"] == np.isfinite(simulated.truth[rows, 0]).sum()


def test_few_persons_are_not_told_apart(simulated):
    number = {name: n for n, name in enumerate(sorted(set(simulated.patients)))}
    own = np.array([number[name] for name in simulated.patients])
    rare = own < FEWEST - 1
    found = cohort(simulated, table_of(simulated, sex=np.where(rare, "F", "M"), age=50))
    assert {part["sex"] is None for part in found.values()} == {True}
    other = cohort(
        simulated, table_of(simulated, sex=np.where(own < 40, "F", np.where(own < 42, "O", "M")))
    )
    assert set(other[WHOLE]["sex"]) == {"female", "male"}
    one_fold = np.array(simulated.folds) == "2"
    ages = np.where(one_fold & (own % 4 > 0), "", "50")
    folds = cohort(simulated, table_of(simulated, age=ages))
    assert folds[WHOLE]["age"]["median"] == 50
    assert {folds[str(k)]["age"] for k in range(5)} == {None}  # else the fifth would follow


def test_which_auroc_is_cited():
    def metrics(pooled, mean, folds=5):
        over = {"auroc": {"mean": mean, "sd": 0.01, "folds": folds}}
        return {
            "folds": [0, 1, 2, 3, 4],
            "macro": {
                "pooled": {"auroc": pooled},
                "over_folds": {"auroc": over["auroc"] | {"folds": 5}},
            },
            "per_label": {"Mass": {"pooled": {"auroc": pooled}, "over_folds": over}},
        }

    assert which_auroc(metrics(0.80, 0.805))["cite"] == "pooled"
    assert which_auroc(metrics(0.80, 0.85))["cite"] == "over_folds"
    lacking = which_auroc(metrics(0.80, 0.85, folds=4))
    assert lacking["cite"] == "pooled"
    assert "leaves out Mass" in lacking["why"]
    assert which_auroc({"folds": [], "macro": {"pooled": {"auroc": 0.8}}}) is None


def test_figures_are_kept_until_what_they_are_made_from_changes(made, tmp_path):
    original, metrics, predictions, found = made
    run = shutil.copytree(original, tmp_path / "run")
    path = RunFolder(run).evidence
    assert json.loads(path.read_text("utf-8")) == found
    first = path.read_bytes()
    path.write_text(path.read_text("utf-8").replace('"images": 300', '"images": 301'))
    assert figures.journal_figures(run, metrics, predictions)["images"] == 301  # kept
    told = (run / "metrics.json").read_text("utf-8")
    (run / "metrics.json").write_text(told + " ")
    assert figures.journal_figures(run, metrics, predictions)["images"] == 300
    path.write_text("{")
    (run / "metrics.json").write_text(told)
    (run / "test_predictions.csv").unlink()
    assert figures.journal_figures(run, metrics, predictions)["held_out"] is None
    shutil.copyfile(original / "test_predictions.csv", run / "test_predictions.csv")
    figures.journal_figures(run, metrics, predictions)
    assert path.read_bytes() == first


def test_who_was_filmed_is_told_once_the_data_are_there_and_still_when_they_are_gone(
    made, tmp_path
):
    original, metrics, predictions, _ = made
    run, data = shutil.copytree(original, tmp_path / "run"), tmp_path / "data"
    (run / "experiment.toml").write_text(f'data = "{data}"\n')
    assert figures.journal_figures(run, metrics, predictions)["groups"] == []
    data.mkdir()
    sex = ["F", "M"] * (len(predictions.images) // 2)
    table_of(predictions, sex=sex).to_csv(data / "manifest.csv", index=False)
    there = figures.journal_figures(run, metrics, predictions)
    assert [group["name"] for group in there["groups"]] == ["female", "male"]
    shutil.rmtree(data)
    assert figures.journal_figures(run, metrics, predictions) == there


def test_the_test_set_is_decided_at_the_run_s_own_points(made):
    run, metrics, _, found = made
    test = read_predictions(run / "test_predictions.csv")
    name = test.labels[0]
    share = np.mean([part["prevalence"][name] for part in metrics["training"].values()])
    rows, y = known(test, 0)
    part = found["held_out"]["prevalence"][name]
    assert part["tp"] == (y & (test.prob[rows, 0] > share)).sum()
    for secret in (*test.patients, *test.images):
        assert secret not in RunFolder(run).evidence.read_text("utf-8")
