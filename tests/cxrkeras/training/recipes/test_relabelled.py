"""Relabelling: who predicts what, what is never touched, and that it recovers what was hidden."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from cxrkeras.data.dataset import load_dataset
from cxrkeras.data.labels.entries import MASKED
from cxrkeras.data.labels.targets import targets_from_codes
from cxrkeras.training.fitting import trainer as fit
from cxrkeras.training.plan import resolve
from cxrkeras.training.recipes import Fitter, Learned
from cxrkeras.training.recipes.relabelled import Part
from cxrkeras.training.recipes.shared.relabelling import Relabelling, relabelled
from data_prep.errors import UserError
from tests.cxrkeras.networks import session_of
from tests.cxrkeras.training.tiny import write_dataset

HOW = {"epochs": 1, "learning_rate": 1.0, "seed": 0, "title": "t"}


class _Regression(Fitter):
    """A logistic regression per label, which notes what it is shown and asked."""

    def __init__(self, features):
        self.features, self.facts, self.seen = features, {}, []

    def fit(self, train, validation, targets, **how):
        self.seen.append((how["title"], set(train.tolist()), set(validation.tolist()), set()))
        self.models = []
        for y, w in zip(targets[train].values.T, targets[train].weighed[1].T, strict=True):
            known = y != MASKED
            x = np.concatenate([self.features[train[known]]] * 2)
            sides = np.concatenate([y[known] * w[known], (1 - y[known]) * w[known]])
            truth = np.repeat([1, 0], known.sum())
            model = LogisticRegression() if 0 < sides[truth == 1].sum() < w[known].sum() else None
            self.models.append(model and model.fit(x, truth, sides))
        return Learned(pd.DataFrame({"epoch": [1]}), targets[train], None)

    def predict(self, rows):
        self.seen[-1][-1].update(rows.tolist())
        found = [m.predict_proba(self.features[rows])[:, 1] if m else None for m in self.models]
        return np.stack([np.full(len(rows), 0.5) if p is None else p for p in found], axis=1)


def session_for(patients, labels=("a", "b")):
    dataset = SimpleNamespace(patients=np.array(patients), labels=labels)
    return SimpleNamespace(target=SimpleNamespace(dataset=dataset))


def films(n=600, hidden=0.7, seed=0):
    """Features, what is true of two labels, and codes of which a part is blank."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 4))
    odds = features @ np.array([[2.0, 0.0], [0.0, 1.5], [1.0, -1.5], [0.0, 0.0]]) - 1
    truth = (rng.random((n, 2)) < 1 / (1 + np.exp(-odds))).astype(float)
    return features, truth, np.where(rng.random((n, 2)) < hidden, np.nan, truth)


@given(
    codes=st.integers(0, 2**32 - 1),
    confidence=st.sampled_from([0.5, 0.8, 0.99]),
    soft=st.booleans(),
    weight=st.sampled_from([1.0, 0.25]),
)
def test_what_is_known_stays_to_the_bit_and_the_rest_goes_by_the_rule(
    codes, confidence, soft, weight
):
    rng = np.random.default_rng(codes)
    codes = rng.choice([1.0, 0.0, -1.0, np.nan], (8, 3))
    p = np.where(rng.random(codes.shape) < 0.1, np.nan, rng.random(codes.shape))
    targets = targets_from_codes(codes, uncertain="self_trained", blank="self_trained")
    rule = Part(confidence=confidence, soft=soft, weight=weight)
    found = relabelled(targets, p, rule)
    known = np.isin(codes, (0, 1))
    np.testing.assert_array_equal(found.values[known], codes[known].astype(np.float32))
    assert (found.weighed[1][known] == 1).all()
    both = ((codes == 1).any(axis=0) & (codes == 0).any(axis=0))[None]
    sure = ~known & both & (np.maximum(p, 1 - p) >= confidence)
    made = p if soft else (p >= 0.5).astype(float)
    np.testing.assert_array_equal(found.values[sure], made[sure].astype(np.float32))
    assert (found.weighed[1][sure] == np.float32(weight)).all()
    assert (found.values[~known & ~sure] == MASKED).all()
    assert found.guessed is None


def test_nobody_predicts_what_he_has_seen_and_the_test_fold_is_never_looked_at():
    features, _, codes = films(120)
    patients = [f"p{n // 2}" for n in range(120)]
    targets = targets_from_codes(codes, blank="self_trained")
    train, validation, held_out = np.arange(80), np.arange(80, 100), np.arange(100, 120)
    fitter = _Regression(features)
    whole = Relabelling(session_for(patients), fitter, None, Part(base="frozen"))
    learned = whole.fit(train, validation, targets, **HOW)
    assert len(fitter.seen) == 3 + 1
    asked = set()
    for _, learnt, steering, predicted in fitter.seen[:-1]:
        assert learnt <= set(train.tolist())
        assert steering == set(validation.tolist())
        assert not learnt & predicted
        assert not {patients[row] for row in learnt} & {patients[row] for row in predicted}
        assert predicted <= set(train.tolist())
        asked |= predicted
    assert asked == set(train[np.isnan(codes[train]).any(axis=1)].tolist())
    facts = whole.facts["relabelled"]["a"]
    assert facts["asked"] == facts["replaced"] == np.isnan(codes[train, 0]).sum()

    invented = codes.copy()
    invented[held_out] = 1 - np.nan_to_num(codes[held_out])
    again = Relabelling(session_for(patients), _Regression(features), None, Part(base="frozen"))
    other = again.fit(train, validation, targets_from_codes(invented, blank="self_trained"), **HOW)
    np.testing.assert_array_equal(other.targets.values, learned.targets.values)
    np.testing.assert_array_equal(again.predict(held_out), whole.predict(held_out))


def test_it_recovers_more_of_what_was_hidden_than_zeros_do():
    """Half of the labels are said, most of them the findings: blanks aren't all absent."""
    features, truth, _ = films(900)
    rng = np.random.default_rng(5)
    said = rng.random(truth.shape) < np.where(features[:, :1] > 0, 0.15, 0.7)
    codes = np.where(said, truth, np.nan)
    train, test = np.arange(600), np.arange(600, 900)
    patients = [str(n) for n in range(900)]
    scores, errors = {}, {}
    for blank in ("zeros", "self_trained"):
        fitter = Relabelling(session_for(patients), _Regression(features), None, Part())
        learned = fitter.fit(train, train[:0], targets_from_codes(codes, blank=blank), **HOW)
        hidden = ~said[train]
        errors[blank] = np.abs(learned.targets.values - truth[train])[hidden].mean()
        p = fitter.predict(test)
        scores[blank] = np.mean([roc_auc_score(truth[test, k], p[:, k]) for k in range(2)])
    assert errors["self_trained"] < 0.8 * errors["zeros"]
    assert scores["self_trained"] > scores["zeros"] + 0.05


def test_a_label_of_one_class_has_its_entries_left_out(capsys):
    features, _, codes = films(60)
    codes[:, 0] = np.where(codes[:, 0] == 0, np.nan, codes[:, 0])  # as where nobody says "absent"
    fitter = Relabelling(
        session_for(["", *map(str, range(59))]), _Regression(features), None, Part()
    )
    learned = fitter.fit(
        np.arange(60), np.arange(0), targets_from_codes(codes, blank="self_trained"), **HOW
    )
    assert (learned.targets.values[np.isnan(codes[:, 0]), 0] == MASKED).all()
    assert (learned.targets.values[:, 1] != MASKED).all()
    told = fitter.facts["relabelled"]
    assert (told["a"]["replaced"], told["b"]["replaced"]) == (0, told["b"]["asked"])
    assert "a: none of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"recipe": "relabelled"}, "--blank self_trained"),
        ({"recipe": "deep_auc:base=relabelled", "blank": "self_trained"}, "not within another"),
        ({"recipe": "relabelled:base=self_training", "blank": "self_trained"}, "doesn't guess"),
        ({"recipe": "relabelled:confidence=0.3", "blank": "self_trained"}, "confidence"),
        ({"blank": "ignore", "blank_weight": 0.3}, "Give --blank zeros"),
        ({"blank_weight": 1.5}, "blank_weight|blank-weight"),
    ],
)
def test_what_can_t_be_is_refused_before_anything_is_read(experiment, choices, words):
    with pytest.raises(UserError, match=words):
        resolve(experiment(**choices))


def test_too_few_patients_for_the_inner_folds_are_said_to_be():
    features, _, codes = films(12)
    targets = targets_from_codes(codes, blank="self_trained")
    fitter = Relabelling(session_for(["one"] * 12), _Regression(features), None, Part(inner=3))
    with pytest.raises(UserError, match="12 training images into 3 inner folds"):
        fitter.fit(np.arange(12), np.arange(0), targets, **HOW)


@pytest.fixture
def blanks(tmp_path):
    """A prepared dataset in which every third entry of each label is blank or uncertain."""
    root = write_dataset(tmp_path / "blanks")
    table = pd.read_csv(root / "manifest.csv", dtype=str, keep_default_na=False)
    for number, label in enumerate(("disc", "bar")):
        table.loc[number::6, label] = ""
        table.loc[number + 3 :: 6, label] = "-1"
    table.to_csv(root / "manifest.csv", index=False)
    return load_dataset(root)


def fitted(experiment, blanks, recipe, path=None, **choices):
    both = {"uncertain": "self_trained", "blank": "self_trained", "random_trunk": True}
    session = session_of(experiment(recipe=recipe, **both, **choices), blanks)
    fitter, rows = session.plan.recipe.fitter(session), np.arange(36)
    how = {"epochs": 2, "learning_rate": 1e-2, "seed": 1, "title": "t", "checkpoint": path}
    learned = fitter.fit(rows[:24], rows[24:30], session.target.targets, **how)
    return fitter, learned


@pytest.mark.slow
def test_the_head_learns_on_and_the_trunk_keeps_its_bytes(experiment, blanks):
    fitter, learned = fitted(experiment, blanks, "relabelled:inner=2", batch_norm="always")
    first, last = fitter._first.weights(), fitter._again.weights()
    same = [np.array_equal(a, b) for a, b in zip(first, last, strict=True)]
    assert same[:-2] == [True] * (len(same) - 2)
    assert not any(same[-2:])
    codes = blanks.codes[:24]
    known = np.isin(codes, (0, 1))
    np.testing.assert_array_equal(learned.targets.values[known], codes[known])
    assert ((learned.targets.values[~known] > 0) & (learned.targets.values[~known] < 1)).all()
    np.testing.assert_array_equal(fitter.predict(np.arange(30, 36)).shape, (6, 2))


@pytest.mark.slow
@pytest.mark.parametrize("killed_at", [1, 4, 6, 8])
def test_killed_in_any_of_its_fits_it_ends_with_the_same_bytes(
    experiment, blanks, tmp_path, monkeypatch, killed_at
):
    recipe, rows = "relabelled:inner=2", np.arange(30, 36)
    whole = fitted(experiment, blanks, recipe)[0].predict(rows)
    begin, begun = fit.EpochLines.on_epoch_begin, []

    def kill(lines, epoch, logs=None):
        begun.append(epoch)
        if len(begun) == killed_at:
            raise KeyboardInterrupt
        begin(lines, epoch, logs)

    path = tmp_path / "state" / "state.npz"
    path.parent.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(fit.EpochLines, "on_epoch_begin", kill)
        with pytest.raises(KeyboardInterrupt):
            fitted(experiment, blanks, recipe, path)
        resumed = fitted(experiment, blanks, recipe, path)[0].predict(rows)
    np.testing.assert_array_equal(resumed, whole)
    assert len(list(path.parent.iterdir())) == 4


@pytest.mark.slow
def test_weights_of_blanks_change_a_fit_and_one_changes_nothing(experiment, blanks):
    def scores(**choices):
        one = experiment(recipe="frozen", random_trunk=True, uncertain="zeros", **choices)
        session = session_of(one, blanks)
        fitter, rows = session.plan.recipe.fitter(session), np.arange(36)
        how = {"epochs": 2, "learning_rate": 1e-2, "seed": 1, "title": "t"}
        fitter.fit(rows[:24], rows[:0], session.target.targets, **how)
        return fitter.predict(rows[24:])

    usual = scores()
    np.testing.assert_array_equal(scores(blank_weight=1), usual)
    assert (scores(blank_weight=0.2) != usual).any()
    np.testing.assert_array_equal(scores(blank_weight=0), scores(blank="ignore"))
