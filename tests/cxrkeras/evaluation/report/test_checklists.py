"""TRIPOD+AI and CLAIM as far as a run knows them."""

from types import SimpleNamespace

import pytest

from cxrkeras.evaluation.evidence.evidence import write_metrics
from cxrkeras.evaluation.journal.figures import journal_figures
from cxrkeras.evaluation.report.checklists import _lists as lists
from cxrkeras.evaluation.report.checklists import checklists, known_facts, needed
from cxrkeras.evaluation.scores.predictions import read_predictions

EXPERIMENT = {
    "data": "/far/away/ours",
    "recipe": "frozen",
    "backbone": ["xception"],
    "source": ["imagenet,chx=/far/away/chx"],
    "inputs": ["image"],
    "image_size": 256,
    "loss": "bw_bce",
    "uncertain": "ones",
    "blank": "zeros",
    "epochs": 3,
}


@pytest.fixture
def said(run_of):
    run = run_of(test=False)
    metrics = write_metrics(run)
    predictions = read_predictions(run / "predictions.csv")

    def facts(experiment):
        return known_facts(
            metrics,
            journal_figures(run, metrics, predictions),
            experiment=experiment,
            environment={"cxrkeras": "9.9", "keras": "3.0"},
            run="first",
            calibration=None,
            shortcuts=["borders"],
            samples=False,
        )

    return SimpleNamespace(facts=facts, predictions=predictions, metrics=metrics)


def test_every_item_is_there_once_and_answered_or_left_to_the_author():
    counts = {one["name"]: len(one["item"]) for one in lists()}
    assert counts == {"TRIPOD+AI": 52, "CLAIM 2024": 44}
    for one in lists():
        numbers = [item["number"] for item in one["item"]]
        assert len(set(numbers)) == len(numbers)
        assert all(item.get("answer") or item.get("yours") for item in one["item"])
    assert [item["number"] for item in lists()[1]["item"]] == [str(n) for n in range(1, 45)]


def test_every_fact_that_an_answer_needs_may_be_known(said):
    known = said.facts(EXPERIMENT).keys()
    wanted = {n for one in lists() for item in one["item"] for n in needed(item.get("answer", ""))}
    assert wanted <= known
    assert known <= wanted  # and none is gathered in vain


def test_answers_come_from_the_run_and_name_nobody(said):
    tripod, claim = checklists(said.facts(EXPERIMENT))
    by_number = {item["number"]: item for item in tripod["items"]}
    pooled = said.metrics["macro"]["pooled"]["auroc"]
    assert by_number["23a"]["answer"] == ""  # no groups: the data aren't there
    assert by_number["5a"]["answer"] == "The prepared dataset ours."
    assert "5-fold cross-validation" in by_number["12a"]["answer"]
    assert by_number["17"]["answer"] == ""
    assert by_number["17"]["yours"] == "All of it."
    assert by_number["24"]["answer"] == ""  # nothing was calibrated
    claims = {item["number"]: item["answer"] for item in claim["items"]}
    assert f"{pooled:.3f}" in claims["37"]
    assert claims["20"].startswith("By patient: no patient is in two folds (checked)")
    assert claims["23"] == "cxrkeras 9.9; keras 3.0."
    assert "Xception" in claims["1"] or "xception" in claims["1"]
    assert claims["24"] == "From imagenet then chx."
    told = str((tripod, claim))
    for secret in (*said.predictions.patients, *said.predictions.images, "/far"):
        assert secret not in told


def test_an_evaluation_claims_nothing_of_training(said):
    tripod, claim = checklists(said.facts({}))
    for item in (*tripod["items"], *claim["items"]):
        assert "fold" not in item["answer"] or item["number"] not in ("12a", "16", "22", "19", "32")
    by_number = {item["number"]: item for item in tripod["items"]}
    assert by_number["22"]["answer"] == by_number["18c"]["answer"] == ""
    assert tripod["answered"] < checklists(said.facts(EXPERIMENT))[0]["answered"]
