"""Tables that a package holds: `pip download --no-deps torchxrayvision==1.5.7`, unzipped."""

import os
from pathlib import Path

import pytest

from tests.conftest import REAL

FOLDER = Path(os.environ.get("CXRKERAS_TORCHXRAYVISION", REAL / "torchxrayvision"))


def published(name: str) -> Path:
    """A file of the unzipped package's folder `torchxrayvision/data`; without it the test skips."""
    path = FOLDER / "data" / name
    if not path.exists():
        pytest.skip(f"table absent: {path} (set CXRKERAS_TORCHXRAYVISION)")
    return path
