"""What the documents name is there."""

import configparser
import re
from pathlib import Path

import numpy as np
import pytest

from cxrkeras.evaluation.external import report
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.models import familiar
from cxrkeras.registry import HEADS, KINDS
from tests.conftest import ROOT
from tests.cxrkeras.networks import network_of
from tests.docs.commands import PAGES
from tests.other_package import install

_NAME = re.compile(r"`([\w./]+\.py)`")


@pytest.mark.parametrize("document", PAGES)
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


def test_the_example_of_a_part_is_one(tmp_path, monkeypatch):
    """The head in docs/architecture.md, put into a package: it builds a network."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    site = install(tmp_path / "site", {"cxrkeras.models.heads/peak": source}, "documented")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(HEADS.__dict__, "_places", raising=False)
    assert HEADS.about("peak").package == "documented"
    network = network_of(("mobilenet_v3_small",), 32, {"target": 2}, head="peak:share=1")
    images = np.zeros((3, 32, 32, 1), np.float32)
    assert network.probability(images).shape == (3, 2)
    monkeypatch.delitem(HEADS.__dict__, "_places")


def test_the_page_on_files_has_those_of_a_run():
    text = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
    run = RunFolder(ROOT)
    made = {value.name for name in dir(run) if isinstance(value := getattr(run, name), Path)}
    names = {name for name in made - {ROOT.name} if "." in name} | {familiar.FILE, report.FACTS}
    assert {"evidence.json", "train.log", "external.json"} <= names
    assert [name for name in names if f"`{name}`" not in text] == []


def test_the_table_of_extras_has_all_that_a_user_needs():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = {name for name in setup["options.extras_require"] if not name.startswith("test")}
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    assert extras - {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set()


def test_the_table_of_parts_has_every_kind_and_its_example():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for kind in KINDS:
        (row,) = re.findall(rf"^\| {kind.kind} \| `{kind.package}` .*$", text, re.MULTILINE)
        example = re.findall(r"`(\w+)`", row)[-1]
        assert (ROOT / "tests" / "plugins" / "example_parts" / f"{example}.py").is_file()
