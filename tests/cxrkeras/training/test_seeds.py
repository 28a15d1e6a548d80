"""Several trainings on the same folds: their mean, by hand, and each as a run by itself."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from cxrkeras.cli import main
from cxrkeras.evaluation.evidence.evidence import write_metrics
from cxrkeras.evaluation.evidence.out_of_fold import write_operating_points
from cxrkeras.evaluation.evidence.trainings import in_words, spread_of_trainings
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.evaluation.scores.predictions import read_predictions, write_predictions
from cxrkeras.serving.predictor.loaded import load_model
from cxrkeras.serving.predictor.read import read_card
from cxrkeras.training.crossval import cross_validate
from cxrkeras.training.final import train_final
from cxrkeras.training.fitting.progress import EpochLines
from cxrkeras.training.seeds import _put_together, training
from data_prep.errors import UserError
from tests.cxrkeras.serving.served_runs import FOLDS, LABELS, SIDE, simulated, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two seeds, its trainings as `cv` leaves them, their folds put together."""
    whole = RunFolder(tmp_path_factory.mktemp("seeds") / "run")
    parts = {}
    for number, first in enumerate((0, 5)):
        part = RunFolder(write_run(whole.training(number).path, first=first))
        said = simulated(first)
        for k in range(FOLDS):
            rows = [n for n, fold in enumerate(said.folds) if fold == str(k)]
            own = {name: tuple(getattr(said, name)[n] for n in rows) for name in ROWS}
            table = type(said)(**own, labels=LABELS, prob=said.prob[rows], truth=said.truth[rows])
            write_predictions(part.fold(k).predictions, table)
            pd.DataFrame({"epoch": [1], "loss": [0.5]}).to_csv(part.fold(k).history, index=False)
            facts = json.loads(part.fold(k).facts.read_text()) | {"seconds": 2.0}
            part.fold(k).facts.write_text(json.dumps(facts))
        macro = {"pooled": {"auroc": 0.6 + 0.02 * number, "average_precision": None}}
        metrics = json.loads(part.metrics.read_text()) | {"macro": macro}
        part.metrics.write_text(json.dumps(metrics))
        parts[str(number)] = part
    for k in range(FOLDS):
        _put_together({seed: part.fold(k) for seed, part in parts.items()}, whole.fold(k))
    shutil.copy(parts["0"].fold_table, whole.fold_table)
    shutil.copy(parts["0"].experiment, whole.experiment)
    mean = simulated(0), simulated(5)
    write_predictions(
        whole.predictions,
        type(mean[0])(**{**vars(mean[0]), "prob": np.mean([one.prob for one in mean], axis=0)}),
    )
    write_metrics(whole.path)
    write_operating_points(whole.path)
    return whole


ROWS = ("images", "patients", "folds")


def test_a_fold_is_the_mean_of_its_trainings(run):
    for k in range(FOLDS):
        each = [read_predictions(part.fold(k).predictions) for part in run.trainings.values()]
        whole = read_predictions(run.fold(k).predictions)
        assert whole.images == each[0].images
        assert np.array_equal(whole.prob, (each[0].prob + each[1].prob) / 2)
        facts = json.loads(run.fold(k).facts.read_text())
        assert (facts["trainings"], facts["seconds"]) == (2, 4.0)
        assert facts["training_prevalence"][LABELS[0]] == pytest.approx(0.225 + 0.01 * k)
        inflation = np.sqrt((4.0 + k) * (9.0 + k))
        assert facts["inflation"][LABELS[0]] == pytest.approx(inflation)
        steps = pd.read_csv(run.fold(k).history)["step"].tolist()
        assert steps == ["seed 0", "seed 1"]


def test_summary_is_of_the_first_of_its_models(run, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["summary", str(run.path)])
    assert stop.value.code == 0
    assert "One image" in capsys.readouterr().out


def test_the_run_answers_as_the_mean_of_all_its_models(run):
    card = read_card(run.path)
    assert card.count == 2 * FOLDS
    assert card.who == "6 models, 2 for each fold of the run"
    assert read_card(run.training(0).path).who == "3 models, one for each fold of the run"
    images = np.random.default_rng(0).uniform(0, 255, (4, SIDE, SIDE, 1)).astype(np.float32)
    leaves = [load_model(leaf.path).predict(images) for leaf in card.leaves]
    found = load_model(run.path).predict(images)
    np.testing.assert_allclose(found, np.mean(leaves, axis=0), atol=1e-6)
    fold = load_model(run.fold(1).path).predict(images)
    np.testing.assert_allclose(fold, np.mean(leaves[2:4], axis=0), atol=1e-6)


def test_how_far_trainings_lie_apart_is_told(run):
    told = json.loads(run.metrics.read_text())["seeds"]
    assert told == spread_of_trainings(run.path)
    assert [one["seed"] for one in told["trainings"]] == [0, 1]
    wanted = {"mean": 0.61, "sd": np.std([0.6, 0.62], ddof=1), "min": 0.6, "max": 0.62}
    assert told["auroc"] == pytest.approx(wanted)
    assert told["average_precision"] is None
    assert in_words(told).endswith("macro AUROC 0.610 ± 0.014 (0.600 to 0.620)")
    assert spread_of_trainings(run.training(0).path) == {}


def test_a_final_model_is_of_one_training(run, experiment, tmp_path):
    description = tmp_path / "run" / "experiment.toml"
    description.parent.mkdir()
    description.write_text("seeds = 2\nseed = 3\n")
    with pytest.raises(UserError, match=r"of one training.*seeds/3, or"):
        train_final(tmp_path / "run", tmp_path / "model")


def test_a_training_is_described_as_a_run_by_itself(experiment, tmp_path):
    own = training(experiment(seeds=3, seed=7), 2, tmp_path / "folds.csv")
    assert own == experiment(seed=9, folds_file=str(tmp_path / "folds.csv"))
    assert experiment(seeds=1).digest == experiment().digest
    assert experiment(seeds=2).digest != experiment().digest


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bytes_and_each_training_is_a_run(
    experiment, tmp_path, monkeypatch
):
    one = experiment(seeds=2, recipe="frozen", augment="light", epochs=2, test_fraction=0.2)
    whole = tmp_path / "whole"
    metrics = cross_validate(one, whole)
    assert len(metrics["seeds"]["trainings"]) == 2
    begin, begun = EpochLines.on_epoch_begin, []

    def kill(lines, number, logs=None):
        begun.append(number)
        if len(begun) == 7:  # of eight
            raise KeyboardInterrupt
        begin(lines, number, logs)

    with monkeypatch.context() as patch:
        patch.setattr(EpochLines, "on_epoch_begin", kill)
        with pytest.raises(KeyboardInterrupt):
            cross_validate(one, tmp_path / "killed")
    cross_validate(one, tmp_path / "killed")
    alone = training(one, 1, whole / "folds.csv")
    cross_validate(alone, tmp_path / "alone")
    for name in ("predictions.csv", "test_predictions.csv", "metrics.json", "folds.csv"):
        assert (whole / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()
        assert (whole / "seeds" / "1" / name).read_bytes() == (
            tmp_path / "alone" / name
        ).read_bytes()
    each = [read_predictions(whole / "seeds" / s / "predictions.csv").prob for s in "01"]
    found = read_predictions(whole / "predictions.csv").prob
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-15)
    assert "Seeds" in (whole / "report.html").read_text()
    with pytest.raises(SystemExit) as ended:
        main(["explain", str(whole), "--data", one.data, "--out", str(tmp_path / "maps")])
    assert ended.value.code == 0
