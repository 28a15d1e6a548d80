"""The example package installed by pip into a folder of its own, without a network."""

import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parent
PACKAGE = "example_parts"


def install(folder: Path) -> Path:
    """Install it; the folder is to stand in PYTHONPATH.

    Args:
        folder: empty.
    """
    source, site = folder / "source", folder / "site"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "*.py[cod]")
    shutil.copytree(SOURCE, source, ignore=ignored)  # building leaves files beside the source
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--no-compile", "--quiet"]
    words = ["-m", "pip", "install", *offline, "--disable-pip-version-check"]
    done = subprocess.run(
        [sys.executable, *words, "--target", str(site), str(source)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return site
