"""What a cluster is asked for, and folders that its machines don't see; without a cluster."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from cxrkeras.registry import EXECUTORS
from cxrkeras.training.task import cache_of
from data_prep.errors import UserError
from data_prep.executors import Folder, Task
from data_prep.executors.shared.away import Brought, archives, do_task, folders_of
from data_prep.executors.shared.bundle import state
from tests.conftest import ROOT

MACHINES = ((8, 0), (2, 1), (4, 1))  # cores, GPUs


@pytest.fixture
def ray():
    """A cluster of these machines."""
    nodes = [{"Alive": True, "Resources": {"CPU": c, "GPU": g}} for c, g in MACHINES]
    total = {"CPU": 14, "GPU": 2}
    return SimpleNamespace(nodes=lambda: nodes, cluster_resources=lambda: total)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"gpus": 2}, "--gpus-per-task 2 is more than any machine of the cluster has: 1"),
        ({"cpus": 8}, "--cpus-per-task 8 is more than any machine .* that has 1 GPUs"),
        ({"cpus": 8, "gpus": 0.5}, "--cpus-per-task 8 is more than any machine .* that has 0.5"),
    ],
)
def test_what_no_machine_has_is_refused_rather_than_waited_for(ray, options, said):
    with pytest.raises(UserError, match=said):
        EXECUTORS.of("ray", options).gpus_for(ray, Task("a", "b:c"))


def test_what_a_machine_has_is_reserved(ray):
    assert EXECUTORS.of("ray", {}).gpus_for(ray, Task("a", "b:c")) == 1
    assert EXECUTORS.of("ray", {"cpus": 8}).gpus_for(ray, Task("a", "b:c", trains=False)) == 0
    assert EXECUTORS.of("ray", {"cpus": 4, "gpus": 1}).gpus_for(ray, Task("a", "b:c")) == 1


def test_a_file_that_is_just_given_its_name_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "one.png").write_bytes(b"1")
    (tmp_path / ".two.png.tmp").write_bytes(b"2")

    def listed(folder: Path, pattern: str):
        found = list(folder.glob("**/*"))
        (folder / ".two.png.tmp").rename(folder / "two.png")
        return found

    monkeypatch.setattr(Path, "rglob", listed)
    monkeypatch.setattr(Path, "is_file", lambda path: True)  # it was, when it was looked at
    assert list(state(tmp_path)) == ["one.png"]


def test_what_is_soon_made_again_is_not_brought_back(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "given.txt").write_text("so")
    brought = {}
    for name in ("kept", "pixels"):
        folder = Folder(tmp_path, needs=("given.txt",), stays=("pixels",))
        task = Task(name, "tests.data_prep.executors.work:write", (folder, name))
        *_, end = do_task(task, "no mark", archives(folders_of(task)))
        assert isinstance(end, Brought)
        assert end.said.value == "so"
        brought[name] = set(end.files)
    assert brought == {"kept": {tmp_path}, "pixels": set()}


def test_the_pixel_cache_is_such_a_folder(monkeypatch, tmp_path):
    from cxrkeras.training.images import _cache  # imports TensorFlow

    monkeypatch.setenv("CXRKERAS_CACHE", str(tmp_path))
    monkeypatch.setattr("cxrkeras.training.images.fit_in_memory", lambda *_: False)
    opened = []
    monkeypatch.setattr(
        "cxrkeras.training.images.open_pixels", lambda f, *_, **__: opened.append(f)
    )
    _cache("auto", (), 8)
    assert [folder.relative_to(tmp_path).as_posix() for folder in opened] == [*cache_of(()).stays]
