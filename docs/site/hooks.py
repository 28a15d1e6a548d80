"""What MkDocs doesn't do by itself: files from outside `docs/`, generated pages, and the nav.

Pages are written so that they also read well where the repository is browsed: links lead from file
to file. Here they are turned into links from page to page.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

import generated
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
# A file of the repository -> its page. `experiments/recipes.md` is a part of a generated one.
OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "experiments/README.md": "project/experiments.md",
    "experiments/learning.md": "reference/learning.md",
    "experiments/recipes.md": "reference/recipes.md",
}
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
_SCHEME = re.compile(r"^(\w+:|#)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that have no file in `docs/`."""
    for place, page in OUTSIDE.items():
        text = (ROOT / place).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    for page, text in generated.pages(ROOT).items():
        if old := files.get_file_from_path(page):
            files.remove(old)
        files.append(File.generated(config, page, content=text))
    config.nav = list(_nav(config.nav, {file.src_uri for file in files.documentation_pages()}))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between pages."""
    here = page.file.src_uri
    source = next((place for place, uri in OUTSIDE.items() if uri == here), f"docs/{here}")
    if verb := generated.verb_of(here):
        markdown += f"\n\nAll options: [`cxrkeras {verb}`](../reference/cli/{verb}.md).\n"
    if here in generated.PAGES:
        return markdown

    def turned(link: re.Match) -> str:
        picture, text, target = link.groups()
        if _SCHEME.match(target):
            return link[0]
        path, mark, anchor = target.partition("#")
        place = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        uri = OUTSIDE.get(place, place.removeprefix("docs/")).replace(".ipynb", ".md")
        if not files.get_file_from_path(uri):
            return text if (ROOT / place).exists() and "docs/" not in place else link[0]
        near = posixpath.relpath(uri, posixpath.dirname(here) or ".")
        return f"{picture}[{text}]({near}{mark}{anchor})"

    return _LINK.sub(turned, markdown)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Give the search a name, which the theme leaves out."""
    return output.replace('role="dialog"', 'role="dialog" aria-label="Search"')


def _nav(given: list, pages: set[str]) -> Iterator:
    """The nav, with folders as the pages in them, and at the end what it doesn't name."""
    named: set[str] = set()

    def filled(items: list) -> Iterator:
        for item in items:
            if isinstance(item, str):
                named.add(item)
                yield item
                continue
            ((title, below),) = item.items()
            if isinstance(below, list):
                yield {title: list(filled(below))}
            elif below.endswith(".md"):
                named.add(below)
                yield {title: below}
            else:
                inside = sorted(page for page in pages if page.startswith(f"{below}/"))
                inside.sort(key=lambda page: not page.endswith("/index.md"))
                named.update(inside)
                yield {title: inside}

    yield from filled(given)
    if more := sorted(pages - named):
        yield {"More": more}
