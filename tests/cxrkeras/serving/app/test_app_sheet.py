import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image, ImageChops

from cxrkeras.evaluation.rules import parse_rule
from cxrkeras.serving.app import words
from cxrkeras.serving.app.desk import Desk, Pane
from cxrkeras.serving.app.judge import LocalJudge
from cxrkeras.serving.app.picture import Window
from cxrkeras.serving.app.reading import see
from cxrkeras.serving.app.sheet import WRITERS, as_json, as_pdf, as_png
from cxrkeras.serving.app.terms import Terms
from cxrkeras.serving.predict.films import prepare_film
from cxrkeras.serving.predictor.loaded import load_model
from cxrkeras.serving.predictor.read import read_card
from cxrkeras.serving.predictor.trunks import KerasPredictor
from data_prep.films.admission import Admission
from data_prep.films.square import Settings
from tests.cxrkeras.serving.app import page_files

BODIES = {slot: page_files.dicom(page_files.grey(seed)) for seed, slot in enumerate("AB")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return page_files.write_model(tmp_path_factory.mktemp("app") / "model")


@pytest.fixture(scope="module")
def judge(folder):
    return LocalJudge(read_card(folder), load_model(folder), parse_rule("corrected"))


def opened(judge, *slots):
    desk = Desk()
    for slot in slots:
        seen = see(BODIES[slot], Settings(size=page_files.PREPARED))
        desk.panes[slot] = Pane(seen, judge.findings(seen))
    return desk


def test_findings_are_what_predict_says_of_the_same_file(judge, folder, tmp_path):
    file = tmp_path / "film.dcm"
    file.write_bytes(BODIES["A"])
    model = load_model(folder)
    image = prepare_film(file, model.preparation, model.image_size).image
    (expected,) = model.predict(image[None])
    findings = opened(judge, "A").panes["A"].findings
    assert [finding.label for finding in findings] == list(page_files.LABELS)
    assert [finding.probability for finding in findings] == expected.tolist()
    odds = expected / (1 - expected) / 4.5
    told = [finding.adjusted for finding in findings]
    assert told == pytest.approx((odds / (1 + odds)).tolist())
    assert [finding.prevalence for finding in findings] == [0.2, 0.1, None]
    assert [finding.positive for finding in findings] == [
        None if finding.threshold is None else finding.probability > finding.threshold
        for finding in findings
    ]
    assert findings[2].positive is None


def test_a_labels_map_explains_its_own_logit(judge):
    desk = opened(judge, "A")
    for finding in desk.panes["A"].findings:
        heat = judge.heat(desk.panes["A"].seen, finding.label)
        logit = np.log(finding.probability / (1 - finding.probability))
        assert heat.mean() == pytest.approx(logit, abs=1e-4)


def test_of_a_model_that_sees_a_part_no_map_s_mean_is_said_to_be_the_logit(folder, monkeypatch):
    def lines(card):
        return LocalJudge(card, load_model(folder), parse_rule("corrected")).about

    card, members = read_card(folder), KerasPredictor.members
    assert any("their mean is the label's logit" in line for line in lines(card))
    part = [one._replace(box=(0.25, 0.25, 0.75, 0.75)) for one in members(load_model(folder))]
    monkeypatch.setattr(KerasPredictor, "members", lambda _: part)
    assert "Heat maps are class activation maps, laid where the model looks." in lines(card)
    assert not any("their mean" in line for line in lines(card))


def test_json_holds_the_figures_and_nobody(judge):
    desk = opened(judge, "A", "B")
    text = as_json(desk, judge).decode()
    told = json.loads(text)
    assert told["notice"] == "Not for clinical use."
    for film in told["films"]:
        for finding in desk.panes[film["film"]].findings:
            assert film["labels"][finding.label]["probability"] == finding.probability
            assert film["labels"][finding.label]["positive"] is finding.positive
    first, second = (film["labels"] for film in told["films"])
    for label, change in told["difference"].items():
        assert change == second[label]["probability"] - first[label]["probability"]
    assert page_files.PATIENT not in text
    assert "Zebedee" not in text


@pytest.mark.parametrize("slots", ["A", "B", "AB"])
def test_sheets_open_and_show_the_films_as_they_are_shown(judge, slots):
    desk = opened(judge, *slots)
    plain = Image.open(io.BytesIO(as_png(desk, judge)))
    assert (plain.format, plain.size) == ("PNG", (1240, 1754))
    pane = desk.panes[slots[0]]
    desk.label = page_files.LABELS[0]
    pane.heats[desk.label] = judge.heat(pane.seen, desk.label)
    pane.window = Window(30, 40)
    changed = Image.open(io.BytesIO(as_png(desk, judge)))
    left, top, right, bottom = ImageChops.difference(plain, changed).getbbox()
    assert right - left > 400
    assert bottom - top > 400


def test_the_pdf_is_one_page_of_a4_with_the_sheet_on_it(judge):
    desk = opened(judge, "A", "B")
    pdf = as_pdf(desk, judge)
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 1
    (box,) = re.findall(rb"/MediaBox \[ ([^\]]+)\]", pdf)
    assert [float(side) for side in box.split()] == pytest.approx([0, 0, 595.2, 841.92])
    (jpeg,) = re.findall(rb"stream\r?\n(\xff\xd8.*?)\r?\nendstream", pdf, re.DOTALL)
    page = np.asarray(Image.open(io.BytesIO(jpeg)), int)
    sheet = np.asarray(Image.open(io.BytesIO(as_png(desk, judge))), int)
    assert np.abs(page - sheet).mean() < 2
    assert b"Zebedee" not in pdf


def test_every_download_of_the_page_has_its_writer(judge):
    assert set(re.findall(r'download="cxrkeras\.(\w+)"', words.downloads("key"))) == set(WRITERS)


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

    def handle_data(self, data):
        if self.rows:
            self.rows[-1][-1].append(data)


def test_the_table_says_every_figure_and_decision_in_words(judge):
    desk = opened(judge, "A", "B")
    films = [(slot, pane.findings) for slot, pane in desk.shown()]
    table = Cells(words.results(films, judge.rule))
    assert [cell[0] for cell in table.rows[0]] == ["Label", "Film A", "Film B", "B − A"]
    for row, one, other in zip(table.rows[1:], films[0][1], films[1][1], strict=True):
        assert row[0][0] == one.label
        for cell, finding in zip(row[1:3], (one, other), strict=True):
            assert float(cell[0]) == pytest.approx(finding.probability, rel=0.06, abs=6e-4)
            assert cell[1] == words.DECISIONS[finding.positive]
        change = float(row[3][0].replace("−", "-"))
        assert change == pytest.approx(other.probability - one.probability, abs=6e-4)


def test_labels_and_messages_are_text_and_never_markup(judge):
    desk = opened(judge, "A")
    films = [(slot, pane.findings) for slot, pane in desk.shown()]
    pages = [
        words.results(films, judge.rule),
        words.figure("A", "data:", Window(), films[0][1][1], ["<b>more"], ""),
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
