"""What is given away: the wheel has every file that the program reads, conda's list is ours."""

import configparser
import fnmatch
import os
import re
from pathlib import Path

import jinja2
import pytest

import cxrkeras
from tests.conftest import ROOT

# Of conda-forge, where they differ from PyPI's.
_OTHERWISE = {"python-gdcm": "gdcm", "isal": "python-isal"}


@pytest.fixture(scope="module")
def setup():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def lines(text):
    return [line.strip() for line in text.splitlines() if line.strip()]


def test_every_file_beside_the_code_is_in_the_wheel(setup):
    given = {
        (ROOT / package.replace(".", "/") / pattern)
        for package, patterns in setup["options.package_data"].items()
        for pattern in lines(patterns)
    }
    there = {
        path
        for top in ("cxrkeras", "data_prep")
        for folder, _, names in os.walk(ROOT / top, followlinks=True)
        for name in names
        if (path := Path(folder, name)).suffix not in (".py", ".pyc")
    }
    assert any("runs/recipes" in path.as_posix() for path in there)
    missing = [p for p in there if not any(fnmatch.fnmatch(str(p), str(g)) for g in given)]
    assert not missing
    empty = [g for g in given if not fnmatch.filter(map(str, there), str(g))]
    assert not empty


def test_every_folder_of_code_is_a_package():
    """`find:` takes only folders with an `__init__.py`."""
    folders = {
        path.parent for top in ("cxrkeras", "data_prep") for path in (ROOT / top).rglob("*.py")
    }
    assert not [folder for folder in folders if not (folder / "__init__.py").is_file()]


def test_the_conda_recipe_requires_what_setup_cfg_does(setup):
    yaml = pytest.importorskip("yaml", reason="PyYAML isn't installed")
    text = (ROOT / ".ci" / "conda" / "meta.yaml").read_text("utf-8")
    recipe = yaml.safe_load(
        jinja2.Template(text, undefined=jinja2.StrictUndefined).render(PYTHON="python")
    )
    python, *run = recipe["requirements"]["run"]
    assert python == f"python {setup['options']['python_requires']}"
    assert python in recipe["requirements"]["host"]
    required = [
        re.match(r"([\w-]+)(.*)", line).groups()
        for line in lines(setup["options"]["install_requires"])
    ]
    assert run == [f"{_OTHERWISE.get(name, name)} {limits}" for name, limits in required]
    assert recipe["package"]["version"] == cxrkeras.__version__
    assert recipe["build"]["entry_points"] == lines(
        setup["options.entry_points"]["console_scripts"]
    )
