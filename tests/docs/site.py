"""The docs site, built as `make docs` does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


def build_site(folder: Path) -> Path:
    """The folder that it now lies in; skips where the extra `docs` isn't installed."""
    pytest.importorskip("mkdocs_click", reason="extra docs")
    words = ["-m", "mkdocs", "build", "-f", ROOT / "docs" / "site" / "mkdocs.yml", "-d", folder]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr  # strict: a warning fails it
    return folder
