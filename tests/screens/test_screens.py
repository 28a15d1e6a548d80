"""Every page that people see, at every width, light and dark.

`CXRKERAS_SCREENSHOTS=FOLDER pytest -m slow tests/screens` leaves the pictures to look at.
"""

from contextlib import contextmanager

import pytest

from cxrkeras.evaluation.compare.report import write_comparison
from cxrkeras.evaluation.evidence.evidence import write_metrics
from cxrkeras.evaluation.report.run import write_report
from cxrkeras.study.report.report import write_study
from data_prep.phantom import write_phantoms
from tests.cxrkeras.evaluation.compare.test_compare import compare, noisier
from tests.cxrkeras.evaluation.conftest import make_images, make_run, simulate
from tests.cxrkeras.serving.app import page_files
from tests.cxrkeras.study.report.study_folder import write_study_folder
from tests.docs.site import build_site
from tests.screens.browser import SCHEMES, WAIT, WIDTHS, keeps_to_the_rules

pytestmark = pytest.mark.slow
SITE = (
    "index",
    "tutorial",
    "performance",
    "howto/cv",
    "limits/index",
    "reference/cli/cv",
    "notebooks/explore-a-model",
)
FILES = ("report", "study", "compare")
STATES = ("empty", "film", "map", "two", "refused", "keys")


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """{page: file} of what is written as HTML."""
    folder = tmp_path_factory.mktemp("written")
    data = make_images(folder / "data", simulate(1, 546, 214))
    run = make_run(folder / "run", data=str(data))
    write_metrics(run)
    write_study_folder(folder / "study")
    write_study(folder / "study")
    ours = simulate(3, 300, 120)
    compared = compare({"ours": ours, "noisier": noisier(ours, 2), "third": noisier(ours, 1)})
    return {
        "report": write_report(run),
        "study": folder / "study" / "study.html",
        "compare": write_comparison(folder / "compared", compared),
    }


@contextmanager
def opened(browser, url, scheme="light"):
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(WAIT)
    page.goto(url)
    yield page
    context.close()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", FILES)
def test_what_is_written(browser, files, name, width, scheme):
    with opened(browser, files[name].as_uri()) as page:
        keeps_to_the_rules(page, name, width, scheme)


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder of the docs site."""
    return build_site(tmp_path_factory.mktemp("site"))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", SITE)
def test_the_docs(browser, site, name, width, scheme):
    with opened(browser, (site / f"{name}.html").as_uri(), scheme) as page:
        keeps_to_the_rules(page, f"docs-{name.replace('/', '-')}", width, scheme, code=True)


@pytest.fixture(scope="session")
def films(tmp_path_factory):
    """Chest films of phantoms."""
    folder = tmp_path_factory.mktemp("phantoms")
    write_phantoms(folder, patients=3, seed=3, size=512, workers=0, progress=False)
    return sorted(folder.glob("dicom/*.dcm"))[:3]


def brought_to(page, state, films):
    """The page of films in a state of it."""
    page.wait_for_selector("#cx-file", state="attached")
    page.wait_for_timeout(500)
    if state == "refused":
        page.set_input_files("#cx-file", {"name": "x", "mimeType": "", "buffer": b"no film"})
        page.wait_for_selector(".cx-refused p")
    if state in ("film", "map", "two", "keys"):
        page.set_input_files("#cx-file", films)
        page.wait_for_selector(".cx-table")
    if state in ("map", "two"):
        page.keyboard.press("ArrowDown")
        page.wait_for_selector(".cx-scale")
    if state == "two":
        page.keyboard.press("b")
        page.wait_for_selector(".cx-change")
    if state == "keys":
        page.keyboard.press("?")
    page.wait_for_function("!document.querySelector('.cx-film[aria-busy]')")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("state", STATES)
def test_the_page_of_films(browser, served_plainly, films, state, width, scheme):
    with opened(browser, served_plainly.url) as page:
        brought_to(page, state, films)
        keeps_to_the_rules(page, f"page-{state}", width, scheme)
        if state in ("film", "map", "two"):
            for canvas in page.locator(".cx-film:not([hidden]) canvas").all():
                assert min(canvas.bounding_box()[side] for side in ("width", "height")) > 200


def test_film_and_answers_stand_beside_each_other_without_scrolling(browser, served_plainly, films):
    with opened(browser, served_plainly.url) as page:
        page.set_viewport_size({"width": 1280, "height": 900})
        brought_to(page, "map", films)
        film = page.locator(".cx-film canvas").first.bounding_box()
        table = page.locator(".cx-table").bounding_box()
        assert film["x"] + film["width"] <= table["x"]
        assert film["width"] > 600
        assert film["height"] > 600
        for box in (film, table):
            assert box["y"] >= 0
            assert box["y"] + box["height"] <= 900
        assert len(page_files.Saying.labels) == 14  # as many as NIH's
