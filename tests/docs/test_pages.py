"""Links lead somewhere, every verb has its page, and the site needs nothing from outside."""

import re
from pathlib import Path

import pytest

from cxrkeras.cli import VERBS
from tests.conftest import ROOT
from tests.docs.commands import PAGES
from tests.docs.site import build_site

_LINK = re.compile(r"\]\(([^()\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    heads = re.findall(r"^#+ (.*)$", _FENCE.sub("", text), re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", head.lower()).strip() for head in heads)
    return {re.sub(r"[\s-]+", "-", head) for head in plain}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    """From file to file, so that they work where the repository is browsed too."""
    for link in _LINK.findall(_FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def test_the_readme_is_a_page():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 100


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_page(verb):
    pages = [Path(page) for page in PAGES if Path(page).stem == verb]
    assert any(f"cxrkeras {verb}" in (ROOT / page).read_text(encoding="utf-8") for page in pages)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    return build_site(tmp_path_factory.mktemp("site"))


@pytest.mark.slow
def test_the_site_has_every_page(site):
    for page in PAGES[1:]:
        assert (site / Path(page).relative_to("docs").with_suffix(".html")).is_file()
    for verb in VERBS:
        text = (site / "reference" / "cli" / f"{verb}.html").read_text(encoding="utf-8")
        assert f"cxrkeras {verb}" in text


@pytest.mark.slow
def test_the_site_asks_nothing_from_outside(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.findall(
            r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"?(?:https?:)?//", text
        )
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(\"?(?:https?:)?//", style.read_text(encoding="utf-8"))
    assert (site / "search" / "search_index.js").is_file()  # the search opens from a folder
