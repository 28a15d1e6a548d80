"""Where nobody knows what the loss did to the scores, nothing adjusted is shown anywhere."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from cxrkeras.evaluation.rules import parse_rule
from cxrkeras.serving.app.answers import answers as shown_on_page
from cxrkeras.serving.app.desk import Pane
from cxrkeras.serving.app.judge import LocalJudge
from cxrkeras.serving.app.reading import Seen
from cxrkeras.serving.app.terms import Terms
from cxrkeras.serving.app.words import footer
from cxrkeras.serving.export.card import model_card
from cxrkeras.serving.predict import answers
from cxrkeras.serving.predict.predict import Row, answer
from cxrkeras.serving.predict.shown.lines import as_lines
from cxrkeras.serving.predictor.loaded import load_card
from cxrkeras.serving.predictor.make import make_ensemble
from cxrkeras.serving.predictor.read import read_card
from data_prep.errors import UserError
from tests.cxrkeras.serving.served_runs import LABELS, PREPARED, write_model, write_run

FITTED = {"temperature": {"temperature": 2.0, "bias": 0.5}, "isotonic": None, "n": 90}


def unknown(tmp_path, kind: str):
    """A card of a model, a run or an ensemble, none of whose distortions is known."""
    if kind == "model":
        point = {"n": 90, "positives": 9, "from": "90 predictions"}
        calibration = {label: FITTED | {"positives": 9, "from": "here"} for label in LABELS}
        facts = {"inflation": None, "calibration": calibration}
        points = {label: point | {"threshold": 0.5} for label in LABELS}
        return read_card(write_model(tmp_path / "m", **facts, operating_points={"youden": points}))
    run = write_run(tmp_path / "run", inflation=None)
    metrics = json.loads((run / "metrics.json").read_text())
    for part in metrics["training"].values():
        del part["inflation"]
    (run / "metrics.json").write_text(json.dumps(metrics))
    if kind == "run":
        return read_card(run)
    return make_ensemble([run, write_model(tmp_path / "known")], tmp_path / "both")


every = pytest.mark.parametrize("kind", ["model", "run", "ensemble"])


@every
def test_the_card_and_predict_have_none(tmp_path, kind):
    card = unknown(tmp_path, kind)
    assert card.distortion is None
    assert card.default_rule == parse_rule("prevalence")
    assert "corrected" not in card.facts["operating_points"]
    with pytest.raises(UserError, match=r"no operating point corrected.*isn't known"):
        card.operating_points(parse_rule("corrected"))
    scores = np.full((5, 3), 0.4)
    method = "temperature" if card.facts.get("calibration") else None
    rows = [Row(card.path / f"{n}.png", "", ()) for n in range(5)]
    told = answer(card, card.default_rule, method, rows, scores)
    few = answer(card, card.default_rule, method, rows[:1], scores[:1])
    for one in (told, few):
        shown = ["\n".join(as_lines(one)), answers.as_csv(one), answers.as_json(one)]
        for text in shown:
            assert not [word for word in ("adjust", "inflat", "distort") if word in text.lower()]
    if kind == "model":
        expected = 1 / (1 + np.exp(-(np.log(0.4 / 0.6) / 2 + 0.5)))
        np.testing.assert_allclose(told.calibrated, expected)


@every
def test_the_page_and_the_export_have_none(tmp_path, kind):
    card = unknown(tmp_path, kind)
    judge = LocalJudge(card, load_card(card), card.default_rule)
    assert not judge.distorted
    square = np.full((PREPARED, PREPARED), 100, np.uint8)
    seen = Seen(square.astype(np.uint16), square, ())
    findings = judge.findings(seen)
    assert {finding.adjusted for finding in findings} == {None}
    page = shown_on_page([Pane(1, seen, findings)], judge) + footer(Terms(1), judge.distorted, True)
    exported = model_card(
        card,
        name="x",
        version_number=1,
        formats=["onnx"],
        rule=str(card.default_rule),
        differences=[SimpleNamespace(what="onnx", value=1e-7, images=3)],
    )
    for text in (page, "\n".join(judge.about), exported):
        assert not [word for word in ("djusted", "nflation", "istort", "odds") if word in text]
