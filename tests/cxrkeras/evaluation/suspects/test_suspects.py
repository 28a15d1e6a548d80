"""Labels that look wrong: planted flips come first, and the numbers are cleanlab's own."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from cxrkeras.commands.suspects import command
from cxrkeras.data.distortion import Factor
from cxrkeras.evaluation.suspects import find
from cxrkeras.evaluation.suspects.find import doubts, find_suspects, suspects_of, together
from cxrkeras.evaluation.suspects.report import write_suspects
from data_prep.errors import UserError
from tests.cxrkeras.evaluation.conftest import INFLATION, LABELS, make_run, simulate


def flipped(rate=0.05, n=800):
    """Predictions whose table has planted flips, the probabilities, and where the flips are."""
    rng = np.random.default_rng(0)
    clean = simulate(1, n, 300)
    prob = Factor(INFLATION).undistort(clean.prob)
    flips = (rng.random(clean.truth.shape) < rate) & np.isfinite(clean.truth)
    wrong = np.where(flips, 1 - clean.truth, clean.truth)
    return replace(clean, truth=wrong), prob, flips


def entries(table, predictions):
    rows = {image: row for row, image in enumerate(predictions.images)}
    columns = {label: k for k, label in enumerate(predictions.labels)}
    return [rows[image] for image in table["image"]], [columns[label] for label in table["label"]]


def test_planted_flips_come_first():
    predictions, prob, flips = flipped()
    found = suspects_of(predictions, prob, np.arange(len(prob)))
    planted = flips[entries(found.table, predictions)]
    chance = flips[np.isfinite(predictions.truth)].mean()
    assert planted[:50].mean() > 10 * chance
    assert planted.mean() > 5 * chance
    assert planted.sum() > 0.4 * flips.sum()
    assert found.table["rank"].tolist() == list(range(1, len(planted) + 1))


def least(scores, **_):
    return scores.min(axis=1)


def test_the_numbers_are_cleanlabs_own():
    from cleanlab.multilabel_classification import filter as multilabel
    from cleanlab.multilabel_classification import get_label_quality_scores

    predictions, prob, _ = flipped(n=300)
    truth = np.nan_to_num(predictions.truth)
    lists = [np.flatnonzero(row).tolist() for row in truth]
    issues = multilabel.find_multilabel_issues_per_class(lists, prob, n_jobs=1)
    ours = [doubts(truth[:, k].astype(int), prob[:, k]) for k in range(len(LABELS))]
    np.testing.assert_array_equal(np.stack([one.suspect for one in ours], axis=1), issues)
    own = np.stack([one.confidence for one in ours], axis=1)
    worst = get_label_quality_scores(lists, prob, aggregator_kwargs={"method": least})
    np.testing.assert_allclose(own.min(axis=1), worst)
    np.testing.assert_allclose(own, np.where(truth == 1, prob, 1 - prob))
    for one, given in zip(ours, truth.T, strict=True):
        np.testing.assert_allclose(one.joint.sum(axis=1), [(given == 0).sum(), given.sum()])


def test_films_of_a_patient_and_copies_come_in_one_go(tmp_path):
    predictions, prob, _ = flipped()
    films = list(predictions.images)
    table = pd.DataFrame({"image": films, "sha256": [f"{n:064x}" for n in range(len(films))]})
    table.loc[7, "sha256"] = table.loc[3, "sha256"]  # one film, under two patients
    table.to_csv(tmp_path / "manifest.csv", index=False)
    groups = together(predictions, tmp_path)
    people = np.array(predictions.patients)
    assert people[3] != people[7]
    assert groups[3] == groups[7] != together(predictions, None)[7]
    for person in set(people):
        assert len(set(groups[people == person])) == 1
    joined = len(set(people)) - 1
    assert len(set(groups)) == joined
    found = suspects_of(predictions, prob, groups).table
    shown = found["together"].to_numpy()
    assert (np.diff(shown) >= 0).all()  # each group's entries in one piece
    worst = found.groupby("together")["confidence"].min()
    assert worst.is_monotonic_increasing


def test_a_label_of_one_class_is_left_out_and_said_to_be():
    predictions, prob, _ = flipped(n=200)
    predictions.truth[:, 2] = np.where(np.isnan(predictions.truth[:, 2]), np.nan, 0)
    found = suspects_of(predictions, prob, np.arange(200))
    assert found.counts[LABELS[2]] is None
    assert LABELS[2] not in set(found.table["label"])
    assert not np.isnan(found.table["given"]).any()


@pytest.fixture
def run(tmp_path):
    """A run whose loss multiplied the odds, with `metrics.json` as far as it is read here."""
    folder = make_run(tmp_path / "run", n=200, test=False)
    part = {"inflation": dict.fromkeys(LABELS, INFLATION)}
    training = {str(fold): part for fold in range(5)}
    facts = {"labels": list(LABELS), "training": training}
    (folder / "metrics.json").write_text(json.dumps(facts))
    return folder


def test_of_a_run_the_loss_is_undone_and_the_files_are_written(run, tmp_path):
    out = tmp_path / "out"
    done = CliRunner().invoke(command, [str(run), "--out", str(out)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "no films" in done.output
    table = pd.read_csv(out / "suspects.csv", dtype={"patient": str})
    found = find_suspects(run, None)
    assert len(table) == len(found.table) > 0
    plain = simulate(1, 200, 214)
    rows, columns = entries(found.table, plain)
    expected = Factor(INFLATION).undistort(plain.prob)[rows, columns]
    np.testing.assert_allclose(found.table["probability"], expected)
    assert set(table["image"]) <= set(plain.images)
    assert set(table["patient"]) <= set(plain.patients)
    text = (out / "suspects.html").read_text()
    assert "For a person" in text or "for a person" in text
    assert "Before you change a label" in text
    again = CliRunner().invoke(command, [str(run), "--out", str(out)])
    assert isinstance(again.exception, UserError)
    assert "--overwrite" in str(again.exception)


def test_the_page_shows_the_first_films(run, tmp_path):
    found = find_suspects(run, None)
    from PIL import Image

    first = found.table["image"].iloc[0]
    (tmp_path / "data" / "images").mkdir(parents=True)
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / "data" / first)
    page = write_suspects(tmp_path / "out", found, tmp_path / "data", title="<b>")
    text = page.read_text()
    assert text.count("data:image/png") == 1
    assert "&lt;b&gt;" in text


def test_what_can_t_be_used_is_refused_in_a_line(run, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="finished run"):
        find_suspects(tmp_path, None)
    result = CliRunner().invoke(
        command, [str(run), "--out", str(tmp_path / "o"), "--data", str(tmp_path)]
    )
    assert "--data must be a prepared dataset" in str(result.exception)
    monkeypatch.setattr(find.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'cxrkeras\[noise\]'"):
        find_suspects(run, None)
