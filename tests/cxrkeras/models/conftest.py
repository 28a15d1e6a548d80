"""A backbone small enough to trace in no time, in the registry while these tests run."""

import pytest

from tests.cxrkeras.backbones import known


@pytest.fixture
def pocket(monkeypatch):
    """`pocket`: a backbone with 16 features."""
    known.add("pocket", monkeypatch)
