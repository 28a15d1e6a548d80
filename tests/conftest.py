"""Fixtures that every test may use: the real files, or a skip that says where they were sought."""

import gc
import os
import re
import sys
from functools import cache
from pathlib import Path

import hypothesis
import pytest

# A slow machine is no fault: hypothesis must not time examples either.
for profile, examples in (("quick", 40), ("thorough", 200)):
    hypothesis.settings.register_profile(profile, deadline=None, max_examples=examples)
hypothesis.settings.load_profile("quick")

ROOT = Path(__file__).resolve().parents[1]
TRAINED = Path("tests", "cxrkeras", "training")
REAL = Path(os.environ.get("CXRKERAS_REAL_DATA", ROOT.parent / "shared" / "data"))


def pytest_collection_modifyitems(items):
    """The tests of training come first: they take longest, and short files fill what is left."""
    items.sort(key=lambda item: TRAINED not in item.path.relative_to(ROOT).parents)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config, log):
    """A file is one process's, and the files with one `shares_...` are all one process's."""
    from xdist.scheduler import LoadFileScheduling

    @cache
    def shared_by(file: str) -> str | None:
        found = re.search(r"mark\.(shares_\w+)", (ROOT / file).read_text(encoding="utf-8"))
        return found and found[1]

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return shared_by(file) or file

    return Scheduling(config, log)


def pytest_collection_finish():
    """Whatever is imported by now stays: no collection of garbage need look through it again.

    Nor is every tenth of them a full one, since traced graphs are many small objects that stay too.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(700, 10, 100)


@pytest.fixture(autouse=True)
def _let_large_networks_go(request):
    """The slow tests build all of keras.applications, one after another."""
    yield
    if request.node.get_closest_marker("slow") and "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()


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
