"""One judgement of an operating point, told by `predict`, the model card and the page."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from cxrkeras.evaluation.evidence.doubts import UNMEASURED, point_doubt
from cxrkeras.evaluation.evidence.evidence import write_metrics
from cxrkeras.evaluation.rules import parse_rule
from cxrkeras.serving.app.answers import answers as shown_on_page
from cxrkeras.serving.app.desk import Pane
from cxrkeras.serving.app.judge import Finding, _about
from cxrkeras.serving.export.card import model_card
from cxrkeras.serving.predict import answers
from cxrkeras.serving.predict.predict import Row, answer
from cxrkeras.serving.predict.shown.lines import as_lines
from cxrkeras.serving.predictor.read import read_card
from tests.cxrkeras.serving.served_runs import LABELS, write_model, write_run

BAD, UNKNOWN = LABELS[2], LABELS[1]  # its corrected threshold lies below every score
CHANCE = "no better than chance: sensitivity 1.000, specificity 0.017"
LISTED = f"No better than chance, with sensitivity + specificity near 1: {BAD} 1.000 + 0.017."
AT_CHANCE = {
    "per_label": {BAD: {"auroc": {"value": 0.52, "low": 0.41, "high": 0.63}}},
    "macro": {"auroc": {"value": 0.52, "low": 0.41, "high": 0.63}},
    "constant_predictions": [{"label": LABELS[0], "fold": "test"}],
}
TOLD = (
    f"The same score for every image, which says nothing: {LABELS[0]}.",
    "The macro AUROC can't be told from chance: 0.520 (0.410 to 0.630).",
    f"AUROCs that can't be told from chance (0.5): {BAD} (0.520).",
)


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    return read_card(write_run(tmp_path_factory.mktemp("doubts") / "run", frozen=True))


def told_by(card):
    scores = np.array([[0.4, 0.5, 0.6]])
    return answer(card, parse_rule("corrected"), None, [Row(card.path / "f.png", "", ())], scores)


def test_predict_tells_it_beside_the_threshold_and_in_its_json(card):
    told = told_by(card)
    lines = "\n".join(as_lines(told))
    assert f"Before you believe it: {LISTED}" in lines
    labels = json.loads(answers.as_json(told))["labels"]
    assert CHANCE in labels[BAD]["doubt"]
    assert labels[BAD]["doubt"] == str(
        point_doubt(card.operating_points(parse_rule("corrected"))[BAD])
    )
    assert labels[UNKNOWN]["doubt"] == ""
    fitted = answer(card, parse_rule("youden"), None, told.rows, told.probability)
    assert BAD not in "".join(fitted.doubts)


def test_a_single_fold_tells_what_its_run_s_models_reach(card):
    points = read_card(card.path / "folds" / "1").operating_points(parse_rule("corrected"))
    of_run = card.operating_points(parse_rule("corrected"))
    assert points[BAD]["cross_fitted"] == of_run[BAD]["cross_fitted"]
    assert points[BAD]["threshold"] != of_run[BAD]["threshold"]  # its own prevalence decides
    assert LISTED in told_by(read_card(card.path / "folds" / "1")).doubts


def test_of_thresholds_alone_it_is_said_that_nobody_measured_them(tmp_path):
    told = told_by(read_card(write_model(tmp_path / "model")))
    assert UNMEASURED in told.doubts
    assert UNMEASURED in json.loads(answers.as_json(told))["doubts"]
    assert UNMEASURED in carded(told.card)


def test_the_page_tells_it_beside_the_label():
    findings = [
        Finding("Mass", 0.6, None, 0.1, 0.4, "here"),
        Finding("Edema", 0.6, None, 0.1, 0.4, "here", f"{CHANCE} <&>"),
    ]
    judge = SimpleNamespace(
        labels=["Mass", "Edema"],
        no_maps="",
        rule="corrected",
        distorted=False,
        figure="Score",
        reached="",
    )
    shown = shown_on_page([Pane(1, SimpleNamespace(view=""), findings)], judge)
    assert shown.count("Beware") == 1
    assert f"Beware of Edema: {CHANCE} &lt;&amp;&gt;" in shown


def carded(card) -> str:
    shown = {"name": "x", "version_number": 1, "formats": ["onnx"], "rule": "corrected"}
    return model_card(
        card, **shown, differences=[SimpleNamespace(what="onnx", value=1e-7, images=3)]
    )


def test_the_model_card_tells_it_under_the_table(card):
    text = carded(card)
    assert LISTED in text[text.index("Before you believe it:") :]


def test_scores_at_chance_go_with_the_model_to_predict_page_and_card(tmp_path):
    performance = {
        "how": "here",
        "level": 0.95,
        "images": 90,
        "patients": 0,
        "subgroups": [],
        **AT_CHANCE,
    }
    precision = {"value": 0.1, "low": None, "high": None}
    performance["per_label"][BAD] |= {"n": 9, "positives": 4, "average_precision": precision}
    performance["macro"]["average_precision"] = precision
    card = read_card(write_model(tmp_path / "model", performance=performance))
    assert card.doubts() == list(TOLD)
    lines, page = "\n".join(as_lines(told_by(card))), "\n".join(_about(card, None))
    for sentence in TOLD:
        assert sentence in lines
        assert sentence in page
        assert sentence in carded(card)


def test_a_run_and_its_folds_tell_what_metrics_json_holds(tmp_path):
    run = write_run(tmp_path / "run", frozen=True)
    assert read_card(run).doubts() == []  # of a run without intervals nothing is known
    metrics = write_metrics(run)
    metrics["macro"]["pooled"] |= {"auroc": 0.52, "auroc_interval": {"low": 0.41, "high": 0.63}}
    metrics["features"] = {"0": {"all": 64, "constant": 64}}
    (run / "metrics.json").write_text(json.dumps(metrics))
    for folder in (run, run / "folds" / "1"):
        constant, macro, *_ = read_card(folder).doubts()
        assert "64 of 64 in fold 0" in constant
        assert macro == TOLD[1]
