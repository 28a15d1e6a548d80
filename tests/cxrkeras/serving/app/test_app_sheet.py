import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageChops

from cxrkeras.evaluation.rules import parse_rule
from cxrkeras.serving.app import answers, words
from cxrkeras.serving.app.desk import Desk, Pane
from cxrkeras.serving.app.judge import LocalJudge
from cxrkeras.serving.app.picture import Window
from cxrkeras.serving.app.reading import see
from cxrkeras.serving.app.sheet import WRITERS, View, as_json, as_pdf, as_png
from cxrkeras.serving.app.terms import Terms
from cxrkeras.serving.predict.films import prepare_film
from cxrkeras.serving.predictor.loaded import load_model
from cxrkeras.serving.predictor.read import read_card
from cxrkeras.serving.predictor.trunks import KerasPredictor
from data_prep.films.admission import Admission
from data_prep.films.square import Settings
from tests.cxrkeras.serving.app import page_files

BODIES = {film: page_files.dicom(page_files.grey(film)) for film in (1, 2)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return page_files.write_model(tmp_path_factory.mktemp("app") / "model")


@pytest.fixture(scope="module")
def judge(folder):
    return LocalJudge(read_card(folder), load_model(folder), parse_rule("corrected"))


def opened(judge, *films):
    desk = Desk()
    for film in films:
        seen = see(BODIES[film], Settings(size=page_files.PREPARED))
        desk.panes[film] = Pane(film, seen, judge.findings(seen), judge.unlike(seen))
    return desk


def test_findings_are_what_predict_says_of_the_same_file(judge, folder, tmp_path):
    file = tmp_path / "film.dcm"
    file.write_bytes(BODIES[1])
    model = load_model(folder)
    image = prepare_film(file, model.preparation, model.image_size).image
    (expected,) = model.predict(image[None])
    findings = opened(judge, 1).panes[1].findings
    assert [finding.label for finding in findings] == list(page_files.LABELS)
    assert [finding.probability for finding in findings] == expected.tolist()
    odds = expected / (1 - expected) / 4.5
    told = [finding.adjusted for finding in findings]
    assert told == pytest.approx((odds / (1 + odds)).tolist())
    assert told == [finding.meant for finding in findings]
    bounds = [finding.bound for finding in findings]
    assert bounds == [pytest.approx(0.2), pytest.approx(0.1), None]  # the prevalence
    assert [finding.prevalence for finding in findings] == [0.2, 0.1, None]
    assert [finding.positive for finding in findings] == [
        None if finding.threshold is None else finding.probability > finding.threshold
        for finding in findings
    ]
    assert findings[2].positive is None


def test_a_labels_map_explains_its_own_logit(judge):
    desk = opened(judge, 1)
    for finding in desk.panes[1].findings:
        heat = judge.heat(desk.panes[1].seen, finding.label)
        logit = np.log(finding.probability / (1 - finding.probability))
        assert heat.mean() == pytest.approx(logit, abs=1e-4)


def test_of_a_model_that_sees_a_part_no_map_s_mean_is_said_to_be_the_logit(folder, monkeypatch):
    def lines(card):
        return LocalJudge(card, load_model(folder), parse_rule("corrected")).about

    card, members = read_card(folder), KerasPredictor.members
    assert any("their mean is the logit of the label's score" in line for line in lines(card))
    part = [one._replace(box=(0.25, 0.25, 0.75, 0.75)) for one in members(load_model(folder))]
    monkeypatch.setattr(KerasPredictor, "members", lambda _: part)
    assert "Heat maps are class activation maps, laid where the model looks." in lines(card)
    assert not any("their mean" in line for line in lines(card))


def test_json_holds_the_figures_and_nobody_but_who_was_typed(judge):
    desk = opened(judge, 1, 2)
    view = View((2, 1), {2: Window(30, 40, inverted=True)}, words="Ödem, case 7")
    text = as_json(desk, judge, view).decode()
    told = json.loads(text)
    assert told["notice"] == "Not for clinical use."
    assert told["words"] == "Ödem, case 7"
    assert [film["film"] for film in told["films"]] == [1, 2]
    assert told["films"][1]["window"] == {"level": 30, "width": 40, "inverted": True}
    for film in told["films"]:
        for finding in desk.panes[film["film"]].findings:
            for name in ("probability", "positive", "sensitivity", "specificity"):
                assert film["labels"][finding.label][name] == getattr(finding, name)
    first, second = (film["labels"] for film in told["films"])
    assert told["difference"]["films"] == [2, 1]
    for label, change in told["difference"]["labels"].items():
        assert change == second[label][told["shown"]] - first[label][told["shown"]]
    assert told["shown"] == "adjusted"
    assert page_files.PATIENT not in text
    assert "Zebedee" not in text
    assert "difference" not in json.loads(as_json(desk, judge, View((2,))))


@pytest.mark.parametrize("films", [(1,), (2,), (1, 2)])
def test_sheets_open_and_show_the_films_as_they_are_shown(judge, films):
    desk = opened(judge, *films)
    plain = Image.open(io.BytesIO(as_png(desk, judge, View(films))))
    assert (plain.format, plain.size) == ("PNG", (1240, 1754))
    pane, label = desk.panes[films[0]], page_files.LABELS[0]
    pane.heats[label] = judge.heat(pane.seen, label)
    view = View(films, {films[0]: Window(30, 40)}, label)
    changed = Image.open(io.BytesIO(as_png(desk, judge, view)))
    left, top, right, bottom = ImageChops.difference(plain, changed).getbbox()
    assert right - left > 400
    assert bottom - top > 400


def test_the_sheet_is_headed_by_what_was_typed(judge):
    desk = opened(judge, 1)
    drawn = [Image.open(io.BytesIO(as_png(desk, judge, View((1,), words=words))))
             for words in ("", "case 7", "case 8")]  # fmt: skip
    for one, other in ((0, 1), (1, 2)):
        _, top, _, bottom = ImageChops.difference(drawn[one], drawn[other]).getbbox()
        assert top > 40
        assert bottom < 110


def test_the_pdf_is_one_page_of_a4_with_the_sheet_on_it(judge):
    desk, view = opened(judge, 1, 2), View((1, 2))
    pdf = as_pdf(desk, judge, view)
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 1
    (box,) = re.findall(rb"/MediaBox \[ ([^\]]+)\]", pdf)
    assert [float(side) for side in box.split()] == pytest.approx([0, 0, 595.2, 841.92])
    (jpeg,) = re.findall(rb"stream\r?\n(\xff\xd8.*?)\r?\nendstream", pdf, re.DOTALL)
    page = np.asarray(Image.open(io.BytesIO(jpeg)), int)
    sheet = np.asarray(Image.open(io.BytesIO(as_png(desk, judge, view))), int)
    assert np.abs(page - sheet).mean() < 2
    assert b"Zebedee" not in pdf


def test_every_download_of_the_page_has_its_writer():
    page = words.desk(Terms(2**20), maps=True)
    assert set(re.findall(r'data-save="(\w+)"', page)) == set(WRITERS)


class Cells(HTMLParser):
    """The text of a table, row by row."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.tags = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append([])

    def handle_endtag(self, tag):
        self.tags += ["/table"] * (tag == "table")

    def handle_data(self, data):
        if self.rows and "/table" not in self.tags:
            self.rows[-1][-1].append(data)


def cells(row):
    return [" ".join("".join(cell).split()) for cell in row]


def test_the_table_says_every_figure_and_decision_in_words(judge):
    desk = opened(judge, 1, 2)
    panes = [desk.panes[2], desk.panes[1]]
    table = Cells(answers.answers(panes, judge))
    assert cells(table.rows[0]) == ["Label", "Film 2", "Film 1", "2 − 1"]
    for row, one, other in zip(table.rows[1:], *(pane.findings for pane in panes), strict=True):
        label, *told, change = cells(row)
        assert label.startswith(one.label)
        for cell, finding in zip(told, (one, other), strict=True):
            number, *_, decision = re.split(r"(?<=\d) ", cell)
            assert float(number) == pytest.approx(finding.adjusted, rel=0.06, abs=6e-4)
            assert answers.DECISIONS[finding.positive] in decision
        change = float(change.replace("−", "-"))
        assert change == pytest.approx(one.adjusted - other.adjusted, abs=6e-4)


def test_sensitivity_and_specificity_stand_beside_each_decision(judge):
    (pane,) = opened(judge, 1).panes.values()
    known = replace(pane.findings[0], adjusted_threshold=0.4, sensitivity=0.81, specificity=0.72)
    pane.findings = (known, *pane.findings[1:])
    decisions = [cells(row)[2] for row in Cells(answers.answers([pane], judge)).rows[1:]]
    assert "above 0.400 · sens. 0.81 · spec. 0.72" in decisions[0]
    assert not any("sens." in told for told in decisions[1:])
    assert "aren't known here" in answers.answers([pane], judge)
    judge_that_knows = SimpleNamespace(**vars(judge) | {"reached": "on 7 images."})
    told = answers.answers([pane], judge_that_knows)
    assert "Sensitivity (sens.) and specificity (spec.) on 7 images." in told


def test_the_figure_to_believe_is_the_one_without_the_loss_s_inflation(judge):
    (pane,) = opened(judge, 1).panes.values()
    first = replace(pane.findings[0], probability=0.674, adjusted=0.188, threshold=0.25,
                    adjusted_threshold=0.08)  # fmt: skip
    pane.findings = (first, *pane.findings[1:])
    told = answers.answers([pane], judge)
    table = Cells(told).rows
    assert cells(table[0])[1] == "Probability"
    assert cells(table[1])[1] == "0.188 score 0.674"
    assert "above 0.080" in cells(table[1])[2]
    assert "<b>Effusion</b> 0.188" in told
    assert "Positive, yet below the prevalence: Effusion" in told  # 0.2
    assert 'style="width:18.8%"></i><b style="left:8.0%">' in told
    assert "above the operating point (corrected), not likely: see the prevalence" in told
    assert "Effusion 0.188" in answers.map_words(np.eye(2), first, True, "logit")
    # Where nobody knows what the loss did, nothing is called a probability.
    pane.findings = (replace(first, adjusted=None), *pane.findings[1:])
    unknown = SimpleNamespace(**vars(judge) | {"figure": "Score"})
    told = answers.answers([pane], unknown)
    assert cells(Cells(told).rows[0])[1] == "Score"
    assert "a score isn't a probability" in told
    assert "below the prevalence" not in told
    assert "above 0.250" in cells(Cells(told).rows[1])[2]


def test_a_film_unlike_the_training_films_is_said_to_be(judge):
    (pane,) = opened(judge, 1).panes.values()
    assert "Unlike" not in answers.answers([pane], judge)
    pane.unlike = "Unlike the training films: <1%."
    assert "Unlike the training films: &lt;1%." in answers.answers([pane], judge)


def test_no_name_of_a_label_is_markup(judge):
    (pane,) = opened(judge, 1).panes.values()
    at = {"threshold": 0.5, "adjusted_threshold": 0.2}
    named = (replace(one, label=f"<i>{k}", **at) for k, one in enumerate(pane.findings))
    pane.findings = tuple(replace(one, origin=f"<i>{one.label}") for one in named)
    told = answers.answers([pane], judge) + answers.map_words(
        np.eye(2), pane.findings[0], True, "<i>"
    )
    assert "&lt;i&gt;0" in told
    assert "<i>" not in told


def test_a_map_tells_its_grid_and_whether_it_says_anything(judge):
    (pane,) = opened(judge, 1).panes.values()
    heat = np.arange(48, dtype=np.float32).reshape(6, 8)
    told = answers.map_words(heat, pane.findings[0], True, "logit")
    assert "map of 6 x 8 cells" in told
    assert "nearly flat" not in told
    assert "outside" not in told
    assert "nearly flat" in answers.map_words(heat / 1000, pane.findings[0], True, "logit")
    assert "highest outside" in answers.map_words(heat, pane.findings[0], False, "logit")


def test_labels_and_messages_are_text_and_never_markup(judge):
    desk = opened(judge, 1)
    pane = desk.panes[1]
    pane.seen = replace(pane.seen, warnings=("<b>more",), view="<b>more")
    pages = [
        answers.answers([pane], judge),
        answers.notes(pane),
        answers.map_words(np.zeros((2, 2)), pane.findings[1], True, "<b>more"),
        words.message("<b>more", 1, bad=True),
        words.header("<b>more", ["<b>more"], "<b>more"),
    ]
    for page in pages:
        assert "<b>more" not in page
        assert "&lt;b&gt;more" in page


def test_the_page_says_where_films_go():
    for served in (False, True):
        told = words.footer(Terms(2**20, for_server=served), False, maps=not served)
        assert ("goes to the server" in told) is served
        assert "at most 1 MB" in told
        assert ("{" in told) is False


def test_the_footer_tells_the_bounds_that_were_chosen():
    told = words.footer(Terms(2**20), False, maps=False)
    assert "1 MB and 100 million pixels, 24 pixels or more a side" in told
    assert "another body part or another modality than radiography is refused" in told
    chosen = Admission(any_body_part=True, any_modality=True, min_side=8, max_pixels=2_500_000_000)
    told = words.footer(Terms(2**20, chosen), False, maps=False)
    assert "2,500 million pixels, 8 pixels or more a side" in told
    assert "is refused" not in told
