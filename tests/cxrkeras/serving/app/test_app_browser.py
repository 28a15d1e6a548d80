"""The page in a browser, driven as a person would: with mouse, files and keys."""

import base64
import io
import json
import re
import shutil
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from tests.cxrkeras.serving.app import page_files
from tests.cxrkeras.serving.app.page_files import LIMIT_MB

pytestmark = pytest.mark.slow
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT = 120_000  # milliseconds; a machine may be busy


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed")
    if not BROWSER:
        pytest.skip("there is no Chromium or Chrome on this machine")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def opened(browser, served):
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.set_default_timeout(WAIT)
    page.asked, page.failed = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.failed.append(str(error)))
    page.goto(served.url)
    page.wait_for_selector("#cx-file-A", state="attached")
    yield page
    context.close()
    assert not page.failed
    assert all(url.startswith((served.url, "data:", "blob:")) for url in page.asked)


@pytest.fixture
def page(browser, served):
    with opened(browser, served) as page:
        yield page


def send(page, slot, body, name="film"):
    """Choose a file, and wait for what the page says of it."""
    content = {"name": name, "mimeType": "", "buffer": body}
    old = page.locator(f"#cx-message-{slot} p").get_attribute("data-n") if _told(page, slot) else ""
    page.set_input_files(f"#cx-file-{slot}", files=[content])
    page.wait_for_function(
        "([slot, old]) => { const p = document.querySelector(`#cx-message-${slot} p`);"
        " return p && p.dataset.n !== old }",
        arg=[slot, old],
    )
    return page.inner_text(f"#cx-message-{slot} p")


def _told(page, slot):
    return page.locator(f"#cx-message-{slot} p").count()


def shown(page, slot="A"):
    return page.get_attribute(f"#cx-film-{slot} img", "src")


def changed(page, old, slot="A"):
    """The picture, once it is another one."""
    page.wait_for_function(
        "([slot, old]) => document.querySelector(`#cx-film-${slot} img`)?.src !== old",
        arg=[slot, old],
    )
    return shown(page, slot)


def pixels(url):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))


def download(page, kind):
    with page.expect_download() as waiting:
        page.click(f".cx-link[download$='{kind}']")
    assert waiting.value.suggested_filename == f"cxrkeras.{kind}"
    with open(waiting.value.path(), "rb") as file:
        return file.read()


def test_a_film_is_seen_with_window_bars_and_maps(page):
    assert send(page, "A", page_files.picture(page_files.grey(0))) == "Film A is read."
    plain = shown(page)
    assert pixels(plain).ndim == 2
    for label in page_files.LABELS:
        assert label in page.inner_text(".cx-table")
    assert page.locator(".cx-table tbody .cx-track i").count() == len(page_files.LABELS)

    page.locator("#cx-label label", has_text=page_files.LABELS[0]).click()
    first = changed(page, plain)
    assert np.ptp(pixels(first).astype(int), axis=-1).max() > 30  # colours
    page.locator("#cx-label label", has_text=page_files.LABELS[2]).click()
    second = changed(page, first)

    page.locator("#cx-opacity input[type=number]").fill("100")
    page.keyboard.press("Enter")
    strong = changed(page, second)
    colour = [np.ptp(pixels(url).astype(int), axis=-1).mean() for url in (second, strong)]
    assert colour[1] > 1.3 * colour[0]

    page.locator("#cx-label label", has_text="Film only").click()
    again = changed(page, strong)
    assert np.array_equal(pixels(again), pixels(plain))


def test_a_dragged_slider_ends_where_the_film_does(page):
    send(page, "A", page_files.picture(page_files.grey(0)))
    slider = page.locator("#cx-level-A input[type=range]")
    slider.scroll_into_view_if_needed()
    place = 0.5
    for goal in (0.8, 0.2, 0.6):
        box = slider.bounding_box()
        row = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + box["width"] * place, row)
        page.mouse.down()
        for step in range(1, 31):
            at = place + (goal - place) * step / 30
            page.mouse.move(box["x"] + box["width"] * at, row)
            page.wait_for_timeout(10)
        page.mouse.up()
        place = goal
        page.wait_for_function(
            "() => document.querySelector('#cx-film-A img').alt.includes(`level "
            "${document.querySelector('#cx-level-A input[type=range]').value} %`)"
        )
    assert abs(float(slider.input_value()) - 60) < 8


def test_everything_works_from_the_keyboard(page):
    send(page, "A", page_files.picture(page_files.grey(0)))
    page.focus("#cx-file-A")
    ring = "getComputedStyle(document.querySelector('.cx-drop')).outlineStyle"
    page.keyboard.press("Shift")  # the ring shows for keyboards
    assert page.evaluate(ring) == "solid"
    order = []
    for _ in range(14):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.closest('[id^=cx-]')?.id ?? ''"))
    wanted = ["cx-level-A", "cx-width-A", "cx-whole-A", "cx-clear-A", "cx-file-B", "cx-label"]
    places = [order.index(name) for name in [*wanted, "cx-opacity"]]
    assert places == sorted(places)

    old = shown(page)
    page.focus("#cx-width-A input[type=range]")
    for _ in range(40):
        page.keyboard.press("ArrowLeft")
    narrow = changed(page, old)
    page.wait_for_function("document.querySelector('#cx-film-A img').alt.includes('width 60 %')")
    assert pixels(shown(page)).std() > pixels(old).std()
    page.focus("#cx-whole-A")
    page.keyboard.press("Enter")
    changed(page, narrow)
    page.wait_for_function("document.querySelector('#cx-film-A img').alt.includes('width 100 %')")
    page.focus("#cx-label input[value='Effusion']")
    page.keyboard.press("Space")
    page.wait_for_selector("#cx-film-A .cx-scale")


def test_two_films_are_compared_and_taken_along(page):
    send(page, "A", page_files.picture(page_files.grey(0)))
    assert send(page, "B", page_files.dicom(page_files.grey(1))) == "Film B is read."
    change = page.locator(".cx-table tbody tr").first.locator(".cx-change").inner_text()
    told = json.loads(download(page, "json"))
    first, second = (film["labels"]["Effusion"]["probability"] for film in told["films"])
    assert float(change.replace("−", "-")) == pytest.approx(second - first, abs=6e-4)
    assert Image.open(io.BytesIO(download(page, "png"))).size == (1240, 1754)
    assert re.match(rb"%PDF-.*%%EOF\s*$", download(page, "pdf"), re.DOTALL)
    page.click("#cx-clear-A")
    page.wait_for_selector("#cx-film-A img", state="detached")
    assert page.locator(".cx-change").count() == 0


def test_two_films_sent_at_once_are_both_in_the_table(page):
    for slot in "AB":
        film = {"name": "film", "mimeType": "", "buffer": page_files.dicom(page_files.grey(1))}
        page.set_input_files(f"#cx-file-{slot}", files=[film])
    for slot in "AB":
        page.wait_for_selector(f"#cx-message-{slot} p")
    assert page.locator(".cx-change").count() == len(page_files.LABELS)


def test_a_film_that_finds_no_room_is_sent_again(page):
    refusals = [503, 503]

    def busy(route):
        if refusals:
            route.fulfill(status=refusals.pop(), headers={"Retry-After": "1"})
        else:
            route.continue_()

    page.route("**/film", busy)
    assert send(page, "A", page_files.picture(page_files.grey(0))) == "Film A is read."
    assert refusals == []


def test_a_cleared_box_leaves_the_film(page, served):
    send(page, "A", page_files.picture(page_files.grey(0)))
    box = page.locator("#cx-level-A input[type=number]")
    for typed in ("", "300"):
        with page.expect_response("**/run/predict") as answer:
            box.fill(typed)
        assert answer.value.status == 200
    page.wait_for_function("document.querySelector('#cx-film-A img').alt.includes('level 100 %')")
    assert "Traceback" not in served.told.read_text()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"neither fish nor fowl", "neither DICOM, PNG, JPEG nor TIFF"),
        (page_files.picture(page_files.grey(0))[:3000], "damaged picture"),
        (b"0" * (round(LIMIT_MB * 2**20) + 1), f"larger than {LIMIT_MB:g} MB"),
        (page_files.dicom(page_files.grey(0), "KNEE"), "body part KNEE: not a chest radiograph"),
    ],
)
def test_what_cant_be_used_gets_a_line_and_the_page_lives_on(page, body, told):
    message = send(page, "A", body, name=f"{page_files.NAME}.dcm")
    assert told in message
    assert "\n" not in message
    assert "Zebedee" not in message
    assert page.locator("#cx-message-A [role=alert]").count() == 1
    assert send(page, "A", page_files.picture(page_files.grey(2))) == "Film A is read."


@pytest.mark.parametrize("width", [1200, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_warns_on_every_screen(page, width, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 844})
    send(page, "A", page_files.dicom(page_files.grey(0)))
    send(page, "B", page_files.dicom(page_files.grey(1)))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", paper)[:3])) > 382) is (scheme == "light")
    for place in (0, 600, 100_000):
        page.evaluate(f"scrollTo(0, {place})")
        assert page.locator(".cx-caution").is_visible()
        box = page.locator(".cx-caution").bounding_box()
        assert 0 <= box["y"] < 100
    films = [page.locator(f"#cx-film-{slot} img").bounding_box() for slot in "AB"]
    beside = films[0]["y"] == pytest.approx(films[1]["y"], abs=2)
    assert beside is (width > 640)


@pytest.mark.real
def test_real_films_are_seen(page, real):
    png, dicom = real("nih_originals", "00000100_000.png"), real("dicom", "chest", "test1.dcm")
    assert send(page, "A", png.read_bytes()) == "Film A is read."
    assert send(page, "B", dicom.read_bytes()) == "Film B is read."
    for slot in "AB":
        assert pixels(shown(page, slot)).std() > 20
    assert page.locator(".cx-change").count() == len(page_files.LABELS)


def test_a_server_s_answers_are_shown_as_the_model_s_own(browser, page, served_elsewhere):
    film = page_files.dicom(page_files.grey(3))
    send(page, "A", film)
    own = page.locator(".cx-table .cx-number").all_inner_texts()
    with opened(browser, served_elsewhere) as other:
        assert send(other, "A", film) == "Film A is read."
        assert other.locator(".cx-table .cx-number").all_inner_texts() == own
        assert "No heat maps: a server gives probabilities" in other.inner_text(".cx-head")
        assert not other.locator("#cx-label").is_visible()
        assert "also goes to the server" in other.inner_text(".cx-foot")
        told = json.loads(download(other, "json"))
        assert set(told) == set(json.loads(download(page, "json")))
        other.set_viewport_size({"width": 390, "height": 844})
        assert other.evaluate("document.documentElement.scrollWidth") <= 390


def test_nothing_is_left_on_disk_and_nobody_is_named(page, served):
    send(page, "A", page_files.dicom(page_files.grey(0)), name=f"{page_files.NAME}.dcm")
    send(page, "B", b"broken", name=f"{page_files.NAME}.dcm")
    page.locator("#cx-label label", has_text=page_files.LABELS[0]).click()
    page.wait_for_selector("#cx-film-A .cx-scale")
    link = page.get_attribute(".cx-link[download$=pdf]", "href")
    download(page, "pdf")
    for folder in (served.temporary, served.working):
        assert [path for path in folder.rglob("*") if path.is_file()] == []
    page.goto("about:blank")
    for _ in range(600):
        reply = page.request.get(f"{served.url}/{link}")
        if reply.status == 404:
            break
        page.wait_for_timeout(100)
    assert reply.status == 404  # the films went with the page
    log = served.told.read_text()
    assert log.count("http") == 1
    for word in ("Zebedee", page_files.PATIENT, "127.0.0.1 -", "POST", "Traceback"):
        assert word not in log
