"""Ensembles of any predictors: equal to the mean by hand, honest about what is known, exported."""

import json
import shutil
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from cxrkeras.cli import main
from cxrkeras.evaluation.rules import parse_rule
from cxrkeras.evaluation.scores.predictions import read_predictions
from cxrkeras.serving.app.judge import LocalJudge
from cxrkeras.serving.app.reading import Seen
from cxrkeras.serving.explain.run import explain_film
from cxrkeras.serving.export.layout import FORMATS
from cxrkeras.serving.export.order import export
from cxrkeras.serving.predict.answers import as_table
from cxrkeras.serving.predict.run import predict_words
from cxrkeras.serving.predictor.loaded import load_card, load_model
from cxrkeras.serving.predictor.make import make_ensemble
from cxrkeras.serving.predictor.read import read_card
from data_prep.errors import UserError
from tests.cxrkeras.serving.served_runs import LABELS, PREPARED, write_model, write_run

LARGE = 32


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """`small` and `large`: runs on the same folds; films. Don't write into them."""
    root = tmp_path_factory.mktemp("ensembles")
    write_run(root / "small", frozen=True)
    write_run(root / "large", first=5, image_size=LARGE)
    rng = np.random.default_rng(0)
    (root / "films").mkdir()
    for number in range(5):
        pixels = rng.integers(0, 256, (64, 64)).astype(np.uint8)
        Image.fromarray(pixels).save(root / "films" / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def both(root):
    """`both(how)`: an ensemble of the two runs by a mean of that kind, three parts to one."""

    @cache
    def made(how: str) -> Path:
        make_ensemble([root / "small", root / "large"], root / how, how, [3, 1])
        return root / how

    return made


@cache
def of_run(name: str, root: Path) -> np.ndarray:
    """`scores` of a run in `root`, or of an ensemble there."""
    return scores(root / name, root)


def scores(model: Path, root: Path) -> np.ndarray:
    """(films, K): what `predict` says of them."""
    card = read_card(model)
    told = predict_words(card, [str(root / "films")], card.default_rule, workers=0)
    return told.probability


def run_verb(*words) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert ended.value.code == 0


def by_hand(scored: np.ndarray, run: Path) -> np.ndarray:
    """Ranks among a run's out-of-fold scores, between them straight in log odds."""
    own = read_predictions(run / "predictions.csv").prob
    found = np.empty_like(scored)
    for k in range(scored.shape[1]):
        levels, counts = np.unique(own[:, k], return_counts=True)
        ranks = (np.cumsum(counts) - counts / 2) / len(own)
        edges = np.clip(levels, 1e-6, 1 - 1e-6)
        found[:, k] = np.interp(logit(scored[:, k]), logit(edges), ranks)
    return found


@pytest.mark.parametrize("how", ["mean", pytest.param("logits", marks=pytest.mark.slow), "ranks"])
def test_members_of_other_sizes_are_combined_as_by_hand(root, both, how):
    runs = [root / "small", root / "large"]
    folder = both(how)
    card = read_card(folder)
    small, large = (of_run(run.name, root) for run in runs)
    expected = {
        "mean": 0.75 * small + 0.25 * large,
        "logits": expit(0.75 * logit(small) + 0.25 * logit(large)),
        "ranks": 0.75 * by_hand(small, runs[0]) + 0.25 * by_hand(large, runs[1]),
    }[how]
    np.testing.assert_allclose(of_run(folder.name, root), expected, atol=1e-6)
    assert (card.image_size, card.count) == (PREPARED, 6)
    out_of_fold = read_predictions(folder / "predictions.csv")
    assert out_of_fold.ranks_only == (how == "ranks")
    if how == "mean":
        each = [read_predictions(run / "predictions.csv").prob for run in runs]
        np.testing.assert_allclose(out_of_fold.prob, np.average(each, axis=0, weights=[3, 1]))


def test_out_of_fold_scores_give_points_and_performance(root, tmp_path):
    card = make_ensemble([root / "small", root / "large"], tmp_path / "both")
    point = card.operating_points(parse_rule("youden"))[LABELS[0]]
    assert point["cross_fitted"]["n"] == point["n"] == 90
    assert card.performance()["macro"]["auroc"]["value"] > 0.5
    assert card.calibration()[LABELS[0]]["temperature"]
    assert card.default_rule == parse_rule("corrected")
    assert card.facts["inflation"][LABELS[0]] == pytest.approx((4 * 5 * 6 * 9 * 10 * 11) ** (1 / 6))


def test_a_mean_of_ranks_shows_nothing_adjusted(root, tmp_path):
    card = make_ensemble([root / "small", root / "large"], tmp_path / "both", "ranks")
    told = predict_words(card, [str(root / "films")], card.default_rule, workers=0)
    assert card.default_rule == parse_rule("youden")
    assert not [name for name in as_table(told) if name.startswith("adjusted")]
    with pytest.raises(UserError, match="has no calibration"):
        card.calibration()
    with pytest.raises(UserError, match="no operating point corrected"):
        card.operating_points(parse_rule("corrected"))
    with pytest.raises(UserError, match="mean of ranks can't be a member"):
        make_ensemble([tmp_path / "both", root / "small"], tmp_path / "more")


def test_models_beside_a_run_and_labels_in_another_order(root, tmp_path, capsys):
    order = LABELS[::-1]
    write_model(tmp_path / "turned", seed=3, labels=order, operating_points=None)
    make_ensemble([root / "small", tmp_path / "turned"], tmp_path / "both")
    assert "This ensemble's performance on new images is unknown" in capsys.readouterr().err
    card = read_card(tmp_path / "both")
    assert card.performance() is None
    assert set(card.facts["operating_points"]) == {"prevalence", "corrected"}
    expected = (of_run("small", root) + scores(tmp_path / "turned", root)[:, ::-1]) / 2
    np.testing.assert_allclose(scores(tmp_path / "both", root), expected, atol=1e-6)
    with pytest.raises(UserError, match="ranks needs each member's own out-of-fold"):
        make_ensemble([root / "small", tmp_path / "turned"], tmp_path / "no", "ranks")


def test_members_prepared_at_other_sides_are_prepared_each_for_itself(root, tmp_path):
    prepared = {"image_size": 30, "pad": False, "stretch": None}
    write_model(tmp_path / "other", seed=4, preparation=prepared)
    runs = [root / "small", tmp_path / "other"]
    make_ensemble(runs, tmp_path / "both")
    expected = (of_run("small", root) + scores(tmp_path / "other", root)) / 2
    np.testing.assert_allclose(scores(tmp_path / "both", root), expected, atol=1e-6)
    with pytest.raises(UserError, match="prepared at 40, 30 px"):
        load_model(tmp_path / "both").keras_model()


def test_an_ensemble_stands_alone_and_in_others(root, tmp_path):
    copies = [shutil.copytree(root / name, tmp_path / name) for name in ("small", "large")]
    make_ensemble(copies, tmp_path / "both")
    expected = scores(tmp_path / "both", root)
    for copy in copies:
        shutil.rmtree(copy)
    np.testing.assert_array_equal(scores(tmp_path / "both", root), expected)
    make_ensemble([tmp_path / "both", root / "small"], tmp_path / "more")
    both = (expected + of_run("small", root)) / 2
    np.testing.assert_allclose(scores(tmp_path / "more", root), both, atol=1e-6)


def test_its_keras_model_answers_alike(both):
    images = np.random.default_rng(1).integers(0, 256, (3, PREPARED, PREPARED, 1))
    model = load_model(both("logits"))
    found = model.keras_model()(images.astype(np.float32)).numpy()
    np.testing.assert_allclose(found, model.predict(images), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["logits", "ranks"])
def test_its_exports_answer_alike(both, tmp_path, how):
    done = export(both(how), tmp_path / "served", FORMATS, None)
    assert len(done.differences) >= len(FORMATS)
    assert all(difference.passed for difference in done.differences), done.differences


@pytest.mark.parametrize("how", ["mean", pytest.param("ranks", marks=pytest.mark.slow)])
def test_explain_and_the_page_give_what_predict_gives(root, both, tmp_path, how):
    folder = both(how)
    run_verb("explain", folder, root / "films", "--out", tmp_path / "why", "--no-pictures")
    table = pd.read_csv(tmp_path / "why" / "explained.csv")
    expected = of_run(folder.name, root)
    np.testing.assert_allclose(table["probability"], expected.ravel(), rtol=1e-4)
    assert set(table["model"]) == {"all"}
    np.testing.assert_allclose(table["map_mean"] + table["bias"], table["score"], atol=1e-4)
    card = read_card(folder)
    judge = LocalJudge(card, load_card(card), card.default_rule)
    square = explain_film(card, root / "films" / "3.png", workers=0).square
    seen = Seen(square.astype(np.uint16), square, ())
    found = [finding.probability for finding in judge.findings(seen)]
    np.testing.assert_allclose(found, expected[3], atol=1e-6)
    assert np.isfinite(judge.heat(seen, LABELS[0])).all()


def test_evaluate_takes_its_table(root, both, tmp_path):
    run_verb("predict", both("mean"), root / "films", "--out", tmp_path / "p.csv")
    truth = np.array([[0, 1, 0], [1, 0, 1], [0, 0, 1], [1, 1, 0], [0, 1, 1]])
    labels = pd.DataFrame(truth, columns=LABELS)
    labels.insert(0, "image", [f"{number}.png" for number in range(5)])
    labels.to_csv(tmp_path / "labels.csv", index=False)
    tables = "--predictions", tmp_path / "p.csv", "--labels", tmp_path / "labels.csv"
    run_verb("evaluate", *tables, "--out", tmp_path / "scored")
    metrics = json.loads((tmp_path / "scored" / "metrics.json").read_text())
    expected = of_run("mean", root)
    for k, label in enumerate(LABELS):
        found = metrics["per_label"][label]["pooled"]["auroc"]
        assert found == pytest.approx(roc_auc_score(truth[:, k], expected[:, k]))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"labels": ("Atelectasis", "Mass", "Nodule")}, "don't both have: Nodule, Ödem & Co"),
        ({"preparation": {"image_size": 40, "pad": True, "stretch": None}}, "--pad or --stretch"),
    ],
)
def test_what_does_not_go_together_is_refused(root, tmp_path, other, said):
    labels = other.get("labels", LABELS)
    tables = ("training_prevalence", "inflation")
    facts = {name: dict.fromkeys(labels, 0.5) for name in tables} | {"operating_points": None}
    write_model(tmp_path / "other", **facts, **other)
    with pytest.raises(UserError, match=said):
        make_ensemble([root / "small", tmp_path / "other"], tmp_path / "both")
    assert not (tmp_path / "both").exists()


@pytest.mark.parametrize("weights", [[1], [1, 0], [1, -1], [1, float("nan")]])
def test_weights_are_positive_and_one_each(root, tmp_path, weights):
    with pytest.raises(UserError, match="2 positive numbers"):
        make_ensemble([root / "small", root / "large"], tmp_path / "both", weights=weights)


def test_a_damaged_member_is_named(root, tmp_path):
    make_ensemble([root / "small", root / "large"], tmp_path / "both")
    file = tmp_path / "both" / "members" / "1" / "members" / "0" / "model.keras"
    file.unlink()  # a link to the run's own
    file.write_bytes(b"damaged")
    with pytest.raises(UserError, match="members/1/members/0"):
        load_model(tmp_path / "both")
    facts = json.loads((tmp_path / "both" / "model.json").read_text())
    facts["members"][0]["folder"] = "../../small"
    (tmp_path / "both" / "model.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match="folder"):
        read_card(tmp_path / "both")


def test_the_verb_makes_one(root, tmp_path, capsys):
    run_verb("ensemble", root / "small", root / "large", "--out", tmp_path / "x")
    assert "6 models" in capsys.readouterr().out


def test_other_heads_stand_on_one_trunk(tmp_path):
    """Two models fitted on one trunk, with heads of other layers: it is loaded and run once."""
    images = np.random.default_rng(0).integers(0, 256, (4, 24, 24, 1)).astype(np.float32)
    frozen = {"digest": "a" * 64, "features": "pool"}
    one = write_model(tmp_path / "one", frozen=frozen)
    two = write_model(tmp_path / "two", frozen=frozen)
    model = keras.models.load_model(two / "model.keras", compile=False)
    hidden = keras.layers.Dense(5, activation="relu")(model.get_layer("pool").output)
    output = keras.layers.Dense(3, activation="softmax", name="probability")(hidden)
    keras.Model(model.inputs[0], output).save(two / "model.keras")
    make_ensemble([one, two], tmp_path / "both")
    loaded, each = load_model(tmp_path / "both"), [load_model(path) for path in (one, two)]
    expected = np.mean([single.predict(images) for single in each], axis=0)
    first, second = (member.model for member in loaded.members())
    assert first.get_layer("pool") is second.get_layer("pool")
    layer, calls = first.layers[2], []
    original = layer.call
    layer.call = lambda *args, **how: calls.append(1) or original(*args, **how)
    np.testing.assert_allclose(loaded.predict(images), expected, atol=1e-6)
    assert len(calls) == 1


def test_chosen_members_are_scored_by_choices_that_hadn_t_seen_the_fold(root, tmp_path, capsys):
    runs = [root / "small", root / "large", root / "small"]
    for how in ("mean", "ranks"):
        run_verb("ensemble", *runs, "--select", "greedy", "--combine", how, "--out", tmp_path / how)
        assert "if chosen on the others" in capsys.readouterr().out
        facts = read_card(tmp_path / how).facts
        chosen, members = facts["selection"], facts["members"]
        counts = np.array(chosen["counts"])
        assert [m["weight"] for m in members] == (counts[counts > 0] / counts.sum()).tolist()
        assert chosen["optimism"] == chosen["apparent"] - chosen["nested"]
        assert facts["performance"]["how"].endswith(
            "the members chosen for each fold on the others"
        )
    told = read_predictions(tmp_path / "mean" / "predictions.csv")
    each = [read_predictions(run / "predictions.csv").prob for run in runs]
    for fold, counts in read_card(tmp_path / "mean").facts["selection"]["by_fold"].items():
        rows = np.array(told.folds) == fold
        expected = np.average(each, axis=0, weights=counts)[rows]
        np.testing.assert_allclose(told.prob[rows], expected, atol=1e-12)
    by_film = [of_run(run.name, root) for run in runs]
    weights = read_card(tmp_path / "mean").facts["selection"]["counts"]
    expected = np.average(by_film, axis=0, weights=weights)
    np.testing.assert_allclose(scores(tmp_path / "mean", root), expected, atol=1e-6)


def test_a_choice_needs_scores_of_the_same_folds(root, tmp_path):
    write_model(tmp_path / "alone", seed=3)
    for models, more, said in (
        ([root / "small", tmp_path / "alone"], {"select": "auroc"}, "not every member is a run"),
        ([root / "small"] * 2, {"select": "auroc", "weights": [1, 2]}, "chooses the weights"),
        ([root / "small"] * 2, {"select": "accuracy"}, "must be one of auroc"),
    ):
        with pytest.raises(UserError, match=said):
            make_ensemble(models, tmp_path / "none", **more)
