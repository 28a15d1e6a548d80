"""Fixtures that every test may use: the real files, or a skip that says where they were sought."""

import os
from pathlib import Path

import hypothesis
import pytest

# A slow machine is no fault: hypothesis must not time examples either.
hypothesis.settings.register_profile("cxrkeras", deadline=None)
hypothesis.settings.load_profile("cxrkeras")

ROOT = Path(__file__).resolve().parents[1]
REAL = Path(os.environ.get("CXRKERAS_REAL_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(autouse=True, scope="session")
def own_key_file(tmp_path_factory):
    """No test makes a key, or uses one, in the config folder of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXRKERAS_KEY_FILE", str(tmp_path_factory.mktemp("key") / "identity.key"))
        yield


@pytest.fixture(scope="session")
def real():
    """`real("nih_target")` is that file or folder of the real data; the test skips without it."""

    def find(*parts: str) -> Path:
        path = REAL.joinpath(*parts)
        if not path.exists():
            pytest.skip(f"real data absent: {path} (set CXRKERAS_REAL_DATA)")
        return path

    return find
