"""Shortcut baselines: they see what they say, learn from other folds only, and go stale."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from cxrkeras.commands.shortcuts import command
from cxrkeras.evaluation.evidence.shortcuts import measure_shortcuts, read_shortcuts
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.evaluation.scores.predictions import Predictions, write_predictions
from cxrkeras.registry import SHORTCUTS
from data_prep.errors import UserError
from tests.cxrkeras.training.tiny import write_dataset

LABELS = ("disc", "frame")
ROWS = 80


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """`frame` is seen at the borders, `disc` within them, and discs are filmed lying down."""
    root = write_dataset(
        tmp_path_factory.mktemp("shortcuts") / "data", LABELS, images=ROWS, per_patient=1
    )
    table = pd.read_csv(root / "manifest.csv", dtype=str).fillna("")
    table["view"] = np.where(table["disc"] == "1", "AP", "PA")
    table.to_csv(root / "manifest.csv", index=False)
    return root


def run_of(data, folder, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.read_csv(data / "manifest.csv", dtype=str).fillna("")
    truth = table[list(LABELS)].replace({"": "nan", "-1": "nan"}).to_numpy(float)
    folds = np.array([str(n % 2) for n in range(ROWS)])
    rng = np.random.default_rng(0)
    parts = {"truth": truth, "folds": tuple(folds), "prob": rng.random(truth.shape)} | changes
    of_rows = {name: tuple(table[name]) for name in ("image", "patient")}
    predictions = Predictions(
        of_rows["image"],
        of_rows["patient"],
        parts["folds"],
        LABELS,
        parts["prob"],
        parts["truth"],
    )
    write_predictions(RunFolder(folder).predictions, predictions)
    return folder, truth


def test_each_sees_what_it_says(data, tmp_path):
    run, _ = run_of(data, tmp_path / "run")
    told = measure_shortcuts(run, data)
    assert read_shortcuts(run) == told
    found = told["shortcuts"]
    assert set(found) >= {"borders", "metadata", "thumbnail"}
    assert found["thumbnail"]["auroc"]["value"] > 0.9
    # One of two labels is perfectly known, of the other nothing.
    for name in ("borders", "metadata"):
        assert 0.6 < found[name]["auroc"]["value"] < 0.9
        assert found[name]["auroc"]["low"] < found[name]["auroc"]["value"]
        below = found[name]["below"]["auroc"]
        assert below["low"] < below["value"] < below["high"]


def test_a_fold_s_scores_don_t_know_its_labels(data, tmp_path):
    from cxrkeras.evaluation.evidence.shortcuts import _out_of_fold
    from data_prep.progress import Steps

    rng = np.random.default_rng(0)
    features, folds = rng.normal(size=(ROWS, 3)), np.arange(ROWS) % 4
    truth = (rng.random((ROWS, 2)) < 0.4).astype(float)
    steps = Steps("t", 100, shown=False)
    scores = _out_of_fold(features, truth, folds, steps)
    other = np.where((folds == 2)[:, None], 1 - truth, truth)
    again = _out_of_fold(features, other, folds, steps)
    assert np.array_equal(scores[folds == 2], again[folds == 2])
    assert not np.array_equal(scores[folds == 1], again[folds == 1])
    masked = np.where(folds[:, None] == 3, truth, np.nan)
    assert np.isfinite(_out_of_fold(features, masked, folds, steps)).all()


def test_what_was_measured_for_other_predictions_is_no_longer_told(data, tmp_path):
    run, _ = run_of(data, tmp_path / "run")
    measure_shortcuts(run, data)
    run_of(data, run, prob=np.full((ROWS, 2), 0.5))
    assert read_shortcuts(run) is None
    assert read_shortcuts(tmp_path) is None


def test_another_dataset_is_refused(data, tmp_path):
    run, _ = run_of(data, tmp_path / "run")
    other = write_dataset(tmp_path / "other", LABELS, images=10)
    with pytest.raises(UserError, match="lacks 70 of the run's 80 images"):
        measure_shortcuts(run, other)
    run_of(data, run, folds=("0",) * ROWS)
    with pytest.raises(UserError, match="fitted on a run's folds"):
        measure_shortcuts(run, data)
    result = CliRunner().invoke(command, [str(run)])
    assert isinstance(result.exception, UserError)
    assert "finished run" in str(result.exception)


@pytest.mark.parametrize("name", SHORTCUTS.names())
def test_features_are_finite_numbers_for_each_image(name, data):
    rows = pd.read_csv(data / "manifest.csv", dtype=str).fillna("").iloc[:7]
    found = SHORTCUTS.make(name).features(data, rows)
    assert len(found) == 7
    assert np.isfinite(found).all()
    some = SHORTCUTS.make(name).features(data, rows.iloc[2:4])
    np.testing.assert_array_equal(some, found[2:4])
