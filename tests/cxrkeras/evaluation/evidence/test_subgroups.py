"""Scores by group of patients, against scikit-learn on the same rows."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from cxrkeras.evaluation.evidence.subgroups import FEWEST, subgroups
from cxrkeras.evaluation.scores.predictions import Predictions

LABELS = ("A", "B")


@pytest.fixture
def scored():
    rng = np.random.default_rng(2)
    truth = (rng.random((90, 2)) < 0.3).astype(float)
    truth[::7, 1] = np.nan
    prob = np.clip(0.2 * np.nan_to_num(truth) + 0.6 * rng.random((90, 2)), 0, 1)
    images = tuple(f"images/{n}.png" for n in range(90))
    patients = tuple(str(n // 2) for n in range(90))
    return Predictions(images, patients, ("0",) * 90, LABELS, prob, truth)


def table(path, predictions, **columns):
    frame = pd.DataFrame({"image": predictions.images, **columns})
    frame.sample(frac=1, random_state=0).to_csv(path, index=False)  # rows go by name
    return path


def test_each_group_is_the_mean_over_its_labels(scored, tmp_path):
    age = np.random.default_rng(0).integers(20, 90, 90)
    manifest = table(tmp_path / "m.csv", scored, sex=["M", "F", ""] * 30, age=age, view="PA")
    found = {(g.what, g.name): g for g in subgroups(scored, manifest)}
    assert set(found) == {
        ("sex", "female"), ("sex", "male"),
        ("age", "under 40"), ("age", "40 to 59"), ("age", "60 and over"),
    }  # fmt: skip
    masks = {
        ("sex", "male"): np.arange(90) % 3 == 0,
        ("age", "40 to 59"): (age >= 40) & (age < 60),
    }
    for key, rows in masks.items():
        aurocs = []
        for k in range(2):
            known = rows & np.isfinite(scored.truth[:, k])
            aurocs.append(roc_auc_score(scored.truth[known, k], scored.prob[known, k]))
        group = found[key]
        assert group.auroc == pytest.approx(np.mean(aurocs), abs=1e-12)
        assert group.low < group.auroc < group.high
        assert (group.images, group.labels) == (rows.sum(), 2)


def test_a_group_without_both_classes_has_no_score(scored, tmp_path):
    scored.truth[: FEWEST * 2] = 0
    lonely = ["F"] * 2 * FEWEST + ["M"] * (90 - 2 * FEWEST)
    (female, male) = subgroups(scored, table(tmp_path / "m.csv", scored, sex=lonely))
    assert (female.images, female.labels, female.auroc, female.low) == (10, 0, None, None)
    assert male.labels == 2


def test_groups_of_few_patients_are_not_told(scored, tmp_path):
    few = 2 * (FEWEST - 1)  # two films of each patient
    sex = ["O"] * few + ["F"] * 40 + ["M"] * (50 - few)
    manifest = table(tmp_path / "m.csv", scored, sex=sex, view=["AP"] * few + ["PA"] * (90 - few))
    assert [group.name for group in subgroups(scored, manifest)] == ["female", "male"]
