"""The page in a browser, driven as a person would: with mouse, files and keys."""

import io
import json
import re
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from cxrkeras.serving.app.desk import DESKS
from cxrkeras.serving.app.picture import Window, field_of_view, picture, placed
from cxrkeras.serving.app.reading import see
from data_prep.films.square import Settings
from tests.cxrkeras.serving.app import page_files
from tests.cxrkeras.serving.app.page_files import LIMIT_MB
from tests.cxrkeras.serving.app.visitor import events, visit
from tests.screens.browser import WAIT

pytestmark = pytest.mark.slow


@contextmanager
def opened(browser, served):
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.set_default_timeout(WAIT)
    page.asked, page.failed = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.failed.append(str(error)))
    page.goto(served.url)
    page.wait_for_selector("#cx-file", state="attached")
    page.wait_for_function("document.querySelector('.cx-help dl').childElementCount")
    yield page
    context.close()
    assert not page.failed
    assert all(url.startswith((served.url, "data:", "blob:")) for url in page.asked)


@pytest.fixture
def page(browser, served):
    with opened(browser, served) as page:
        yield page


def file(body, name="film"):
    return {"name": name, "mimeType": "", "buffer": body}


def send(page, *bodies, name="film"):
    """Choose files, and wait until they are dealt with; what the page says."""
    page.set_input_files("#cx-file", [file(body, name) for body in bodies])
    page.wait_for_selector(".cx-drop[aria-busy]", state="attached")
    page.wait_for_selector(".cx-drop:not([aria-busy])", state="attached")
    page.wait_for_function("!document.querySelector('.cx-film[aria-busy]')")
    return page.inner_text(".cx-status") + page.inner_text(".cx-refused")


def settled(page):
    page.wait_for_function("!document.querySelector('.cx-film[aria-busy]')")
    page.wait_for_timeout(200)


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)
    settled(page)


def told(page, place=0):
    """How a film is shown, in words."""
    return page.locator(".cx-film canvas").nth(place).get_attribute("aria-label")


def canvas(page, place=0):
    """(H, W, 3) what is on a canvas."""
    shot = page.locator(".cx-film canvas").nth(place).screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), int)


def download(page, kind):
    with page.expect_download() as waiting:
        page.click(f"[data-save={kind}]")
    assert waiting.value.suggested_filename == f"cxrkeras.{kind}"
    with open(waiting.value.path(), "rb") as content:
        return content.read()


@pytest.mark.parametrize("view", [Window(), Window(40, 30), Window(60, 150, inverted=True)])
@pytest.mark.parametrize("label", [None, 3])
def test_the_browser_paints_what_the_sheet_does(browser, served_plainly, view, label):
    """The script against our own picture, pixel by pixel, at the film's own size."""
    film = page_files.picture(page_files.grey(0, 800, 640))
    seen = see(film, Settings(size=64))
    share = None
    if label is not None:
        judge = page_files.Saying()
        heat = judge.heat(seen, judge.labels[label])
        share = placed(heat, field_of_view(seen.film), pad=False)
    wanted = np.asarray(picture(seen.film, view, share, 0.5).convert("RGB"), int)
    with opened(browser, served_plainly) as page:
        page.set_viewport_size({"width": 1280, "height": 1100})
        send(page, film)
        press(page, *["ArrowDown"] * (0 if label is None else label + 1), *"i" * view.inverted)
        for name, value in (("level", view.level), ("width", view.width)):
            page.fill(f"[data-for=cx-{name}]", f"{value:g}")
        settled(page)
        place = page.locator(".cx-film canvas").first
        place.evaluate(
            "canvas => Object.assign(canvas.style, {flex: 'none', width: '640px',"
            " height: '800px', position: 'fixed', left: 0, top: 0, zIndex: 999})"
        )
        page.wait_for_timeout(500)
        painted = canvas(page)
    difference = np.abs(painted - wanted).max(axis=-1)
    assert difference.max() <= 2


def test_a_film_is_seen_with_bars_and_maps(page):
    assert send(page, page_files.picture(page_files.grey(0))) == "Film 1 has been read."
    plain = canvas(page)
    assert np.ptp(plain[20:-20, 20:-20], axis=-1).max() == 0  # the edges have rounded corners
    for label in page_files.LABELS:
        assert label in page.inner_text(".cx-table")
    assert page.locator(".cx-table tbody .cx-track i").count() == len(page_files.LABELS)

    page.locator(".cx-choice", has_text=page_files.LABELS[0]).click()
    page.wait_for_selector(".cx-scale")
    settled(page)
    assert np.ptp(canvas(page), axis=-1).max() > 30  # colours
    assert re.search(r"map of \d+ x \d+ cells", page.inner_text(".cx-film figcaption"))
    weak = np.ptp(canvas(page), axis=-1).mean()
    page.fill("[data-for=cx-opacity]", "100")
    settled(page)
    assert np.ptp(canvas(page), axis=-1).mean() > 1.3 * weak
    page.locator(".cx-choice", has_text="No heat map").click()
    settled(page)
    assert np.array_equal(canvas(page), plain)


def test_the_mouse_windows_zooms_and_moves_the_film(page):
    send(page, page_files.picture(page_files.grey(0)))
    box = page.locator(".cx-film canvas").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag(across, down):
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + across, y + down, steps=5)
        page.mouse.up()
        settled(page)

    drag(-120, -80)
    assert "level 70 %, width 70 %" in told(page)
    assert page.input_value("#cx-level") == "70"
    page.mouse.wheel(0, -800)
    settled(page)
    zoom = float(re.search(r"zoom (\d+\.\d)", told(page)).group(1))
    assert zoom == pytest.approx(np.exp(1.2), abs=0.06)
    before = canvas(page)
    page.click("[data-do=move]")
    drag(60, 40)
    after = canvas(page)
    assert np.abs(after[40:, 60:] - before[:-40, :-60]).mean() < 3
    page.click("[data-do=reset]")
    assert "level 50 %, width 100 %, zoom 1.0" in told(page)
    page.click("[data-do=invert]")
    assert "inverted" in told(page)
    assert page.get_attribute("[data-do=invert]", "aria-pressed") == "true"


def test_everything_works_from_the_keyboard(page):
    page.focus("#cx-file")
    page.keyboard.press("Shift")  # the ring shows for keyboards
    ring = "getComputedStyle(document.querySelector('.cx-drop')).outlineStyle"
    assert page.evaluate(ring) == "solid"
    send(page, *(page_files.picture(page_files.grey(seed)) for seed in range(3)))
    order = []
    page.focus("#cx-film")
    for _ in range(40):
        page.keyboard.press("Tab")
        order.append(page.evaluate(
            "(({dataset, id, name, tagName}) => dataset.do || dataset.save || dataset.for || name"
            " || id || tagName)(document.activeElement)"))  # fmt: skip
    wanted = ["next", "cx-beside", "close", "cx-folder", "CANVAS", "window", "move", "out", "in",
              "fit", "invert", "reset", "help", "cx-level", "cx-width", "cx-opacity", "cx-label",
              "cx-words", "pdf", "png", "json"]  # fmt: skip
    places = [order.index(name) for name in wanted]
    assert places == sorted(places)

    page.locator(".cx-film canvas").first.focus()
    press(page, "ArrowRight")
    assert told(page).startswith("Film 2,")
    press(page, "ArrowLeft", "ArrowLeft")
    assert told(page).startswith("Film 1,")
    press(page, "ArrowDown", "ArrowDown")
    assert f"Heat map of {page_files.LABELS[1]}" in told(page)
    press(page, "ArrowUp")
    assert f"Heat map of {page_files.LABELS[0]}" in told(page)
    press(page, "m")
    assert "Heat map" not in told(page)
    press(page, "+", "+", "i", "[", ".")
    assert "level 52 %, width 95 %, inverted, zoom 1.6" in told(page)
    press(page, "Shift+ArrowLeft", "0", "r")
    assert "level 50 %, width 100 %, zoom 1.0" in told(page)
    press(page, "b")
    assert told(page, 1).startswith("Film 2,")
    page.focus("[name=cx-label]:checked")
    press(page, "ArrowDown")
    assert page.evaluate("document.activeElement.name") == "cx-label"
    assert f"Heat map of {page_files.LABELS[0]}" in told(page, 1)
    press(page, "x")
    assert page.locator("#cx-film option").count() == 2

    press(page, "?")
    assert page.locator("dialog[open]").count() == 1
    assert page.locator("dialog dt").count() > 15
    page.focus("#cx-keys")
    page.keyboard.press("Space")  # keys off
    page.keyboard.press("Escape")
    before = told(page)
    press(page, "i")
    assert told(page) == before
    page.focus("#cx-words")
    page.keyboard.type("i?m")
    assert page.input_value("#cx-words") == "i?m"


def test_films_are_compared_and_taken_along(page):
    send(page, page_files.picture(page_files.grey(0)), page_files.dicom(page_files.grey(1)))
    page.select_option("#cx-beside", "2")
    page.wait_for_selector(".cx-change")
    change = page.locator(".cx-table tbody tr").first.locator(".cx-change").inner_text()
    page.fill("#cx-words", "case 7")
    page.uncheck("#cx-both")
    press(page, "i")
    content = json.loads(download(page, "json"))
    assert content["words"] == "case 7"
    assert [film["window"]["inverted"] for film in content["films"]] == [True, False]
    first, second = (film["labels"]["Effusion"]["probability"] for film in content["films"])
    assert float(change.replace("−", "-")) == pytest.approx(first - second, abs=6e-4)
    assert Image.open(io.BytesIO(download(page, "png"))).size == (1240, 1754)
    assert re.match(rb"%PDF-.*%%EOF\s*$", download(page, "pdf"), re.DOTALL)
    page.click("[data-do=close]")
    page.wait_for_selector(".cx-change", state="detached")
    page.click("[data-do=close]")
    page.wait_for_selector(".cx-work.cx-empty")
    assert page.locator(".cx-side").is_hidden()


def test_a_folder_is_opened_in_order_and_what_is_no_film_is_counted(page, tmp_path):
    study = tmp_path / "study"
    study.mkdir()
    for name, body in (("im10.dcm", page_files.dicom(page_files.grey(1))),
                       ("im2.dcm", page_files.picture(page_files.grey(0))),
                       ("notes.txt", b"no film"), ("more.txt", b"none"),
                       (".hidden", b"")):  # fmt: skip
        (study / name).write_bytes(body)
    send(page, page_files.picture(page_files.grey(3)))
    page.set_input_files("#cx-folder", study)
    page.wait_for_selector(".cx-refused p")
    page.wait_for_selector(".cx-drop:not([aria-busy])", state="attached")
    assert page.inner_text(".cx-status") == "2 of 4 files have been read."
    assert page.inner_text(".cx-refused").startswith("2 files: This file can't be used: neither")
    assert page.locator("#cx-film option").all_inner_texts() == ["Film 1", "Film 2", "Film 3"]
    assert page.input_value("#cx-film") == "2"


def test_a_film_that_finds_no_room_is_sent_again(page):
    refusals = [503, 503]

    def busy(route):
        if refusals:
            route.fulfill(status=refusals.pop(), headers={"Retry-After": "1"})
        else:
            route.continue_()

    page.route("**/film", busy)
    assert send(page, page_files.picture(page_files.grey(0))) == "Film 1 has been read."
    assert refusals == []


def test_a_page_that_lost_its_server_takes_films_again(browser, served_plainly):
    """Gradio sends nothing more until the application's number has been told."""
    film = page_files.picture(page_files.grey(0))
    with opened(browser, served_plainly) as page:
        page.route("**/run/predict*", lambda route: route.abort())
        with page.expect_navigation():
            page.set_input_files("#cx-file", [file(film)])
        page.unroute("**/run/predict*")
        page.wait_for_function("document.querySelector('.cx-help dl')?.childElementCount")
        assert send(page, film) == "Film 1 has been read."


def test_an_answer_that_never_comes_is_not_waited_for_for_ever(browser, served_plainly):
    film = page_files.picture(page_files.grey(0))
    with opened(browser, served_plainly) as page:
        page.clock.install()
        page.route("**/run/predict*", lambda route: route.fulfill(status=503, body="busy"))
        with page.expect_response("**/run/predict*"):
            page.set_input_files("#cx-file", [file(film)])
        page.clock.fast_forward(361_000)
        page.wait_for_selector(".cx-refused p")
        assert "the page's server doesn't answer" in page.inner_text(".cx-refused")
        assert page.locator(".cx-drop[aria-busy]").count() == 0


def test_a_cleared_box_leaves_the_film(page, served):
    send(page, page_files.picture(page_files.grey(0)))
    for typed, shown in (("", "level 50 %"), ("300", "level 100 %"), ("-3", "level 0 %")):
        page.fill("[data-for=cx-level]", typed)
        assert shown in told(page)
    assert "Traceback" not in served.told.read_text()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"neither fish nor fowl", "neither DICOM, PNG, JPEG nor TIFF"),
        (page_files.picture(page_files.grey(0))[:3000], "damaged picture"),
        (b"0" * (round(LIMIT_MB * 2**20) + 1), f"larger than {LIMIT_MB:g} MB"),
        (page_files.dicom(page_files.grey(0), "KNEE"), "body part KNEE: not a chest radiograph"),
    ],
)
def test_what_cant_be_used_gets_a_line_and_the_page_lives_on(page, body, said):
    message = send(page, body, name=f"{page_files.NAME}.dcm")
    assert said in message
    assert "\n" not in message
    assert "Zebedee" not in message
    assert page.locator(".cx-refused[role=alert] p").count() == 1
    assert send(page, page_files.picture(page_files.grey(2))) == "Film 1 has been read."


def test_films_that_were_forgotten_are_said_to_be(page):
    send(page, page_files.picture(page_files.grey(0)))
    page.route("**/map/**", lambda route: route.fulfill(status=404, body="They are forgotten."))
    press(page, "ArrowDown")
    assert page.inner_text(".cx-refused") == "They are forgotten."


def test_a_film_isnt_taken_for_a_forgotten_one_of_its_number(browser, served_plainly):
    first, second = (page_files.picture(page_files.grey(seed)) for seed in (0, 1))
    with opened(browser, served_plainly) as page:
        send(page, first, second)
        press(page, "b")
        for _ in range(DESKS):
            visit(served_plainly, events(served_plainly)["cx-desk", "upload"], first)
        assert send(page, second) == "Film 1 has been read."
        assert page.locator("#cx-film option").all_inner_texts() == ["Film 1"]
        assert page.locator("#cx-beside option").all_inner_texts() == ["none"]
        assert page.locator(".cx-film:visible").count() == 1
        greys = [url for url in page.asked if url.endswith("/grey/1")]
        assert len(greys) == len(set(greys)) == 2


def test_the_warning_is_always_in_sight(page):
    page.set_viewport_size({"width": 390, "height": 844})
    send(page, page_files.dicom(page_files.grey(0)))
    for place in (0, 600, 100_000):
        page.evaluate(f"scrollTo(0, {place})")
        box = page.locator(".cx-caution").bounding_box()
        assert 0 <= box["y"] < 100


@pytest.mark.real
def test_real_films_are_seen(page, real):
    png, dicom = real("nih_originals", "00000100_000.png"), real("dicom", "chest", "test1.dcm")
    assert send(page, png.read_bytes(), dicom.read_bytes()) == "2 of 2 files have been read."
    press(page, "b")
    for place in (0, 1):
        assert canvas(page, place).std() > 20
    assert page.locator(".cx-change").count() == len(page_files.LABELS)


def test_a_server_s_scores_are_the_model_s_own(browser, page, served_elsewhere):
    film = page_files.dicom(page_files.grey(3))
    send(page, film)
    own = page.locator(".cx-cell .cx-aside").all_inner_texts()
    with opened(browser, served_elsewhere) as other:
        assert send(other, film) == "Film 1 has been read."
        scores = other.locator(".cx-table .cx-number").all_inner_texts()
        assert [f"score {score}" for score in scores] == own
        assert "No heat maps: a server gives scores" in other.text_content(".cx-head")
        assert other.locator("[name=cx-label]").count() == 0
        assert not other.locator("#cx-opacity").is_visible()
        assert "also goes to the server" in other.inner_text(".cx-foot")
        content = json.loads(download(other, "json"))
        assert set(content) == set(json.loads(download(page, "json")))


def test_nothing_is_left_on_disk_and_nobody_is_named(page, served):
    send(page, page_files.dicom(page_files.grey(0)), name=f"{page_files.NAME}.dcm")
    send(page, b"broken", name=f"{page_files.NAME}.dcm")
    press(page, "ArrowDown")
    page.wait_for_selector(".cx-scale")
    page.fill("#cx-words", f"typed {page_files.NAME}")
    download(page, "pdf")
    grey = next(url for url in page.asked if "/grey/" in url)
    assert not any("typed" in url or "Zebedee" in url for url in page.asked)
    for folder in (served.temporary, served.working):
        assert [path for path in folder.rglob("*") if path.is_file()] == []
    page.goto("about:blank")
    for _ in range(600):
        reply = page.request.get(grey)
        if reply.status == 404:
            break
        page.wait_for_timeout(100)
    assert reply.status == 404  # the films went with the page
    log = served.told.read_text()
    assert log.count("http") == 1
    for word in ("Zebedee", page_files.PATIENT, "127.0.0.1 -", "POST", "Traceback"):
        assert word not in log
