"""What every page that the package writes must prove."""

import re
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "link"}


class Checker(HTMLParser):
    """Collects what a well-formed, accessible and self-contained page must prove."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.links, self.ids, self.images, self.figures = [], [], set(), [], []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        self.ids |= {attrs["id"]} if "id" in attrs else set()
        self.links += [attrs[name] for name in ("src", "href", "action") if name in attrs]
        if tag == "img":
            self.images.append(attrs)
        if tag == "svg":
            self.figures.append(attrs)
        if tag == "th":
            assert attrs.get("scope"), "every header cell says what it heads"
        assert tag not in ("script", "link", "iframe", "object")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text += data


def check(path) -> Checker:
    """The page at `path`, read, once it is known to be whole, self-contained and accessible."""
    html = path.read_text("utf-8")
    page = Checker()
    page.feed(html)
    page.close()
    assert page.open == []
    for link in page.links:
        assert link.startswith(("#", "data:image/png;base64,"))
        assert not link.startswith("#") or link[1:] in page.ids
    assert not re.search(r"https?://|//[a-z]+\.|@import|url\(", html)
    assert all(figure["role"] == "img" and figure["aria-label"] for figure in page.figures)
    assert all(image["alt"] for image in page.images)
    assert "Not for clinical use" in page.text
    assert not re.search(r"\b(nan|None|inf)\b", page.text)
    return page
