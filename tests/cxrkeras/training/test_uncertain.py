"""What uncertain labels teach: U-SelfTrained's two fits, U-MultiClass's third class, in a fit."""

import json

import keras
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from cxrkeras.data.dataset import load_dataset
from cxrkeras.data.distortion import Factor
from cxrkeras.data.labels.entries import MASKED
from cxrkeras.data.labels.targets import Targets, targets_from_codes
from cxrkeras.data.pipeline import Features, Part, three_way_labels
from cxrkeras.models.network import classifiers
from cxrkeras.runs.target import check_uncertain
from cxrkeras.training.crossval import cross_validate
from cxrkeras.training.fitting import trainer as fit
from cxrkeras.training.fitting.guessing import learn_parts
from cxrkeras.training.fitting.learner import Learner
from cxrkeras.training.plan import resolve
from cxrkeras.training.stages.plan import describe, plan_stages, trained
from data_prep.errors import UserError
from tests.cxrkeras.networks import session_of
from tests.cxrkeras.training.tiny import write_dataset

ROWS, LABELS = 40, 3
rng = np.random.default_rng(0)
VALUES = rng.normal(size=(ROWS, 4)).astype(np.float32)
CODES = (VALUES[:, :LABELS] > 0.4).astype(np.float32)
CODES[rng.random(CODES.shape) < 0.25] = -1
CODES[rng.random(CODES.shape) < 0.1] = np.nan
CODES[:, 2] = np.abs(CODES[:, 2])  # the last label is never uncertain


def part(uncertain, rows=slice(None), head="h", **how) -> Part:
    index = np.arange(ROWS)[rows]
    return Part(
        head, Features(VALUES), index, targets_from_codes(CODES[rows], **how, uncertain=uncertain)
    )


def learner_of(experiment, parts, heads=("h",), **choices) -> tuple[Learner, keras.Model]:
    """A learner of one dense layer per head, and its logits."""
    plan = resolve(experiment(**{"dropout": 0.2, **choices}))
    inputs = keras.Input((VALUES.shape[1],))
    widths = dict.fromkeys(heads, LABELS)
    found = classifiers(plan.architecture, inputs, widths, three_way_labels(parts))
    logits = keras.Model(inputs, found.outputs)
    return Learner(logits, plan, parts), logits


def learn(learner, train, validation=(), epochs=4, **how):
    how = {"learning_rate": 0.05, "seed": 3, "title": "t"} | how
    return learn_parts(learner, train, list(validation), epochs=epochs, **how)


def same(one, other) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    "loss",
    [
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("bce", "bw_bce")),
        "bw_bce_per_label",
    ],
)
def test_guesses_are_the_masked_model_s_probabilities_on_their_true_scale(experiment, loss):
    train = part("self-trained", blank="ignore")
    learner, logits = learner_of(experiment, [train], loss=loss)
    learned = learn(learner, [train])
    found, weights = learned.parts[0].targets, logits.get_weights()

    plain = part("ignore", blank="ignore")
    learn(learner, [plain])  # the same seed: the first of the two fits
    scores = expit(logits.predict(VALUES, verbose=0)["h"])
    w = learner.distortions([plain])["h"].w
    asked = CODES == -1
    np.testing.assert_allclose(Factor(w).distort(found.values)[asked], scores[asked], rtol=1e-5)
    assert ((found.values[asked] > 0) & (found.values[asked] < 1)).all()
    np.testing.assert_array_equal(found.values[~asked], plain.targets.values[~asked])

    again = learn(learner, learned.parts)  # the second fit: from the start state, nothing to guess
    assert same(logits.get_weights(), weights)
    assert again.history.equals(learned.history)
    assert again.parts[0].targets is found


def test_what_steers_is_never_a_guess(experiment, monkeypatch):
    seen = []
    fitted = fit.Trainer.fit

    def noted(self, train, validation, *args, **kwargs):
        seen.append(np.concatenate([targets["h"] for _, targets in validation]))
        return fitted(self, train, validation, *args, **kwargs)

    monkeypatch.setattr(fit.Trainer, "fit", noted)
    train, held = part("self-trained", slice(0, 30)), part("self-trained", slice(30, 40))
    learner, _ = learner_of(experiment, [train])
    learn(learner, [train], [held], epochs=1)
    assert len(seen) == 2
    for values in seen:
        np.testing.assert_array_equal(values == MASKED, CODES[30:] == -1)


def test_the_inflation_behind_guesses_is_that_of_the_batches(experiment):
    """Two parts of one head: each batch holds as many rows of the short part as of the long."""
    one, two = part("ignore", slice(0, 30)), part("ignore", slice(30, 40))
    rates = [(p.targets.values == v).mean(axis=0) for v in (1, 0) for p in (one, two)]
    positive, negative = (rates[0] + rates[1]).sum(), (rates[2] + rates[3]).sum()
    # A batch holds all of the long part, and all of the short one three times.
    learner, _ = learner_of(experiment, [one, two], batch_size=30)
    w = learner.distortions([one, two])["h"].w
    np.testing.assert_allclose(w, negative / positive, rtol=1e-4)


@pytest.mark.parametrize("fits", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_killed_in_either_fit_it_goes_on_to_the_same_bits(experiment, tmp_path, monkeypatch, fits):
    train = [part("self-trained", slice(0, 30)), part("ignore", slice(30, 40), head="g")]
    learner, logits = learner_of(experiment, train, heads=("h", "g"))
    whole = learn(learner, train)
    weights = logits.get_weights()
    begin, begun = fit.EpochLines.on_epoch_begin, []

    def kill(lines, epoch, logs=None):
        begun.append(epoch)
        if len(begun) == 4 * (fits - 1) + 3:
            raise KeyboardInterrupt
        begin(lines, epoch, logs)

    path = tmp_path / "state.npz"
    with monkeypatch.context() as patch:
        patch.setattr(fit.EpochLines, "on_epoch_begin", kill)
        with pytest.raises(KeyboardInterrupt):
            learn(learner, train, checkpoint=path)
        learned = learn(learner, train, checkpoint=path)
    assert len(begun) == 8 + 1  # the killed epoch alone was begun twice
    assert learned.history.equals(whole.history)
    assert same([p.targets.values for p in learned.parts], [p.targets.values for p in whole.parts])
    assert same(logits.get_weights(), weights)
    assert {file.name for file in tmp_path.iterdir()} == {"state.npz", "first-state.npz"}


def test_a_third_class_is_learned_where_a_label_is_uncertain_and_nowhere_else(experiment):
    train = part("multi-class")
    learner, logits = learner_of(experiment, [train])
    learn(learner, [train], epochs=40)
    kernel, bias = logits.get_layer("head_h-uncertain").get_weights()
    assert (np.abs(kernel[:, :2]) > 0.01).all()
    assert not kernel[:, 2].any()
    assert bias[2] == np.float32(learner._biases([train])["head_h-uncertain"][2])  # as it began
    outputs = logits.predict(VALUES, verbose=0)["h"]
    assert outputs.shape == (ROWS, 2 * LABELS)
    f = outputs[:, :LABELS]
    known = CODES[:, :2] >= 0
    assert ((f[:, :2] > 0) == (CODES[:, :2] == 1))[known].mean() > 0.85


@pytest.fixture
def asked(tmp_path):
    """A prepared dataset whose labels disc and bar are often uncertain."""

    def make(name: str, **how):
        root = write_dataset(tmp_path / name, **how)
        table = pd.read_csv(root / "manifest.csv", dtype=str, keep_default_na=False)
        for number, label in enumerate(("disc", "bar")):
            table.loc[number::4, label] = "-1"
        table.to_csv(root / "manifest.csv", index=False)
        return root

    return make


MIXED = "disc=self-trained,bar=multi-class"


def described(run) -> dict:
    """The policies that a run's stage is kept under."""
    (stage,) = (run / "stages").glob("*/stage.json")
    return json.loads(stage.read_text())["description"]["uncertain"]


@pytest.mark.parametrize(
    ("recipe", "sources"),
    [
        ("frozen", False),
        *(
            pytest.param(*row, marks=pytest.mark.slow)
            for row in (("frozen", True), ("finetune", False))
        ),
    ],
)
def test_a_run_with_a_policy_per_label(experiment, asked, tmp_path, recipe, sources):
    root, run = asked("t", images=36), tmp_path / "run"
    source = {"source": f"s={asked('s', images=24, seed=1)}"} if sources else {}
    one = experiment(data=str(root), uncertain=MIXED, recipe=recipe, **source)
    cross_validate(one, run)
    codes = pd.read_csv(root / "manifest.csv", index_col="image")[["disc", "bar"]]
    predictions = pd.read_csv(run / "predictions.csv", index_col="image")
    truth = predictions[["true_disc", "true_bar"]].to_numpy()
    assert np.isnan(truth[codes.loc[predictions.index] == -1]).all()
    folds = pd.read_csv(run / "folds.csv", index_col="image")["fold"]
    for fold in (0, 1):
        facts = json.loads((run / "folds" / str(fold) / "fold.json").read_text())
        bar, disc = (codes.loc[folds[folds != fold].index, c].fillna(0) for c in ("bar", "disc"))
        found = facts["training_prevalence"]
        # The third class is neither positive nor negative; what was guessed is a bit of both.
        assert found["bar"] == pytest.approx((bar == 1).sum() / (bar >= 0).sum())
        assert (disc == 1).mean() < found["disc"] < (disc != 0).mean()
        assert found["disc"] != pytest.approx((disc == 1).sum() / (disc >= 0).sum(), abs=1e-6)
    if source:
        assert described(run) == {"s": {"disc": "self_trained", "bar": "multi_class"}}


def test_labels_that_are_held_out_reach_no_guess(experiment, asked):
    frozen = {"recipe": "frozen", "random_trunk": True}
    one = experiment(data=str(asked("t")), uncertain="self-trained", **frozen)
    session = session_of(one, load_dataset(one.data))
    fitter, target = session.plan.recipe.fitter(session), session.target
    train, held_out = (np.flatnonzero(target.folds == fold) for fold in (0, 1))
    how = {"epochs": 3, "learning_rate": 0.1, "seed": 0, "title": "t"}
    found = []
    for invented in (0.0, 1.0):
        values = target.targets.values.copy()
        values[held_out] = invented
        targets = Targets(values, None, target.targets.guessed)
        learned = fitter.fit(train, train[:0], targets, **how)
        found.append((learned.targets.values, fitter.predict(held_out)))
    assert same(*found)
    assert (found[0][0] != target.targets.values[train]).any()
    asked_of = target.targets.guessed[train]
    assert np.isin(found[0][0][~asked_of], (0, 1)).all()
    assert ((found[0][0][asked_of] > 0) & (found[0][0][asked_of] < 1)).all()


@pytest.fixture
def merged(experiment, asked, data):
    """The stage of two sources with policies of their own, and the plan."""
    sources = [f"s={asked('s', images=24, seed=1)}", f"b={data / 'b'}"]
    policies = {"uncertain": f"{MIXED},frame=half", "joint": "merged"}
    plan = resolve(experiment(method="cotrain", source=sources, **policies))
    return plan_stages(plan, 0, None), plan


def test_each_source_is_kept_under_the_policies_of_its_own_labels(merged):
    told = describe(*merged)["uncertain"]
    assert told["s"] == {"disc": "self_trained", "bar": "multi_class"}
    assert told["b"] == {"disc": "self_trained"}  # of b's labels disc and frame


@pytest.mark.slow
def test_several_sources_with_policies_of_their_own_share_merged_labels(merged, tmp_path):
    trained(*merged, tmp_path)
    assert described(tmp_path)["b"] == {"disc": "self_trained"}
    (history,) = tmp_path.glob("stages/*/history.csv")
    assert np.isfinite(pd.read_csv(history)).all().all()


def test_a_label_that_no_dataset_has_is_named_before_anything_is_made(experiment, data, tmp_path):
    source = f"b={data / 'b'}"
    check_uncertain(experiment(source=source, uncertain="frame=zeros"))  # frame is b's alone
    check_uncertain(experiment(source=source, label_set=["b=nih14"], uncertain="Hernia=zeros"))
    unknown = experiment(source=source, uncertain="Edema=zeros")
    with pytest.raises(UserError, match=r"names Edema, .* Labels there: disc, frame, bar\."):
        cross_validate(unknown, tmp_path / "unknown")
    assert not (tmp_path / "unknown").exists()
