"""A browser to look at pages with, and what every page must keep to in it."""

import os
import shutil
from pathlib import Path

import pytest

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
WIDTHS = {1280: 900, 800: 1100, 390: 844}  # pixels: and the height of such a screen
SCHEMES = ("light", "dark")
PICTURES = os.environ.get("CXRKERAS_SCREENSHOTS")  # a folder, to look at them
_TABLES = 800  # pixels from which tables fit, too; on phones they scroll in their own boxes
_GRAVE = ("serious", "critical")


@pytest.fixture(scope="session")
def browser():
    """Chromium or Chrome, whichever the machine has."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed")
    if not BROWSER:
        pytest.skip("there is no Chromium or Chrome on this machine")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield browser
        browser.close()


def grave(page) -> list[str]:
    """What axe-core calls serious or critical: the rule, and the first part that breaks it."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page).response["violations"]
    return [
        f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]} ({len(one['nodes'])} in all)"
        for one in found
        if one["impact"] in _GRAVE
    ]


_SCROLLING = """code => [...document.querySelectorAll("body *")]
  .filter(e => e.scrollWidth > e.clientWidth + 1)
  .filter(e => ["auto", "scroll"].includes(getComputedStyle(e).overflowX))
  .filter(e => !code || !e.closest("pre, .md-sidebar, .md-search"))
  .map(e => e.textContent.trim().slice(0, 60))"""


def keeps_to_the_rules(page, name: str, width: int, scheme: str, *, code: bool = False) -> None:
    """No sideways scrolling at this width, and nothing that axe-core calls grave in this scheme.

    Args:
        page: open, and in the state that is meant.
        name: of the screenshot, where `CXRKERAS_SCREENSHOTS` names a folder for them.
        width: one of `WIDTHS`.
        scheme: one of `SCHEMES`.
        code: of the docs, where listings, the list of pages and the search may scroll.
    """
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": WIDTHS[width]})
    page.wait_for_timeout(300)
    if PICTURES:
        Path(PICTURES).mkdir(parents=True, exist_ok=True)
        for kind, whole in (("", False), ("-whole", True)):
            path = Path(PICTURES) / f"{name}-{width}-{scheme}{kind}.png"
            page.screenshot(path=path, full_page=whole)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width >= _TABLES:
        scrolling = page.evaluate(_SCROLLING, code)
        assert not scrolling, scrolling
    found = grave(page)
    assert not found, found
