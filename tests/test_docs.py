"""What the documents name is there."""

import re

import pytest

from tests.conftest import ROOT

_NAME = re.compile(r"`([\w./]+\.py)`")


@pytest.mark.parametrize("document", ["README.md", "docs/architecture.md", "docs/science.md"])
def test_every_file_that_a_document_names_is_there(document):
    """In full or within `cxrkeras/`; a bare name beside the one before it."""
    folder, missing = ROOT, []
    for name in _NAME.findall((ROOT / document).read_text(encoding="utf-8")):
        places = [ROOT / name, ROOT / "cxrkeras" / name] if "/" in name else [folder / name]
        found = [place for place in places if place.is_file()]
        if not found and not name.endswith("VERB.py"):
            missing.append(name)
        folder = found[0].parent if found else folder
    assert not missing
