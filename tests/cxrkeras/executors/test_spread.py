"""Folds, cells, prepared files and predictions: the same bytes wherever they are worked on."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from cxrkeras.registry import EXECUTORS
from tests.cxrkeras.processes import DRIVER, end, started, tasks_of, with_tiny
from tests.cxrkeras.training.tiny import write_dataset
from tests.data_prep.executors.contract import check_ended, check_items, check_outcomes, task
from tests.data_prep.executors.work import wait_for
from tests.data_prep.readers.archives import film, write_png

pytestmark = pytest.mark.slow

STUDY = """
[run]
data = "{data}/target"
image-size = 32
folds = 2
epochs = 1
batch-size = 8
test-fraction = 0.25
random-trunk = true
[source]
a = "{data}/a"
[grid]
backbone = ["tiny"]
recipe = ["finetune", "frozen"]
[[setting]]
name = "A"
source = "a"
[[setting]]
name = "random"
"""
OF_RUN = ("predictions.csv", "test_predictions.csv", "metrics.json", "operating_points.json")
FILES = 500


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with data, raw files, a study and a package with the tests' backbone."""
    folder = tmp_path_factory.mktemp("spread")
    for name, labels, seed in (("target", ("disc", "bar"), 0), ("a", ("bar", "frame"), 1)):
        write_dataset(folder / name, labels, images=36, seed=seed)
    (folder / "study.toml").write_text(STUDY.replace("{data}", str(folder)))
    rows = ["file,patient,Mass"]
    for number in range(FILES):
        name = f"{number:03}.png"
        if number % 50 == 7:
            (folder / "raw").mkdir(exist_ok=True)
            (folder / "raw" / name).write_bytes(b"no picture")
        else:
            write_png(folder / "raw" / name, film(number))
        rows.append(f"{name},{number // 2},{number % 2}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", with_tiny(folder / "site"))
        yield folder


@pytest.fixture(scope="module")
def call(home):
    """`call(name, verb, *words)` starts a verb with a cache of that name."""

    def start(name: str, verb: str, *words: object) -> subprocess.Popen:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CXRKERAS_CACHE", str(home / f"cache-{name}"))
            return started(DRIVER, verb, *words)

    return start


@pytest.fixture(scope="module")
def cv(home, call):
    """`cv(name, *words)` starts a run of three folds after a source stage."""
    how = ["--data", home / "target", "--source", f"a={home / 'a'}", "--backbone", "tiny"]
    how += ["--image-size", 32, "--epochs", 2, "--batch-size", 8, "--test-fraction", 0.15]
    return lambda name, *words: call(name, "cv", *how, "--folds", 3, "--out", home / name, *words)


@pytest.fixture(scope="module")
def study(home, call):
    """`study(name, *words)` starts a study of four cells."""
    return lambda name, *words: call(
        name, "study", home / "study.toml", "--out", home / name, *words
    )


@pytest.fixture(scope="module")
def prep(home, call):
    """`prep(name, *words)` starts the preparation of the raw files."""
    how = ["--images", home / "raw", "--labels", home / "labels.csv", "--public"]
    how += ["--image-size", 64, "--min-side", 16]
    return lambda name, *words: call(
        name, "prep", "table", *how, "--out", home / name / "data", *words
    )


@pytest.fixture(scope="module")
def cluster(home):
    """Ray's own cluster of two nodes on this machine."""
    pytest.importorskip("ray", reason="Ray isn't installed: pip install 'cxrkeras[ray]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        from ray.cluster_utils import Cluster

        made = Cluster()
        made.add_node(num_cpus=1, object_store_memory=200_000_000, include_dashboard=False)
        made.add_node(num_cpus=1, object_store_memory=200_000_000)
        yield made
        made.shutdown()


@pytest.fixture
def ray(cluster):
    """`--executor` for that cluster."""
    return ["--executor", f"ray={cluster.address}"]


@pytest.fixture(scope="module")
def local(home, cv, study, prep):
    """The folders of the same work on this machine alone."""
    for start, name in ((cv, "cv-local"), (study, "study-local"), (prep, "prep-local")):
        end(start(name))
    return {kind: home / f"{kind}-local" for kind in ("cv", "study", "prep")}


def of_run(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in OF_RUN}


def of_study(folder: Path) -> dict[str, dict]:
    return {run.name: of_run(run) for run in sorted((folder / "runs").iterdir())}


def of_prep(folder: Path) -> dict[str, bytes]:
    files = [path for path in (folder / "data").rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in files
        if ".prepare" not in path.parts
    }


def kill_a_node(cluster, process: subprocess.Popen, reached) -> None:
    """Kill one as soon as something is reached, and put another in its place."""
    deadline = time.monotonic() + 300
    while not reached():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    node = next(node for node in cluster.list_all_nodes() if node is not cluster.head_node)
    cluster.remove_node(node, allow_graceful=False)
    cluster.add_node(num_cpus=1, object_store_memory=200_000_000)


def test_folds_in_processes(home, cv, local):
    end(cv("cv-processes", "--executor", "processes=2"))
    assert of_run(home / "cv-processes") == of_run(local["cv"])


def test_folds_begun_here_and_resumed_in_processes(home, cv, local):
    process = cv("cv-resumed")
    wait_for(home / "cv-resumed" / "folds" / "0" / "fold.json", 300)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    end(cv("cv-resumed", "--executor", "processes=2"))
    assert of_run(home / "cv-resumed") == of_run(local["cv"])


def test_folds_begun_in_processes_and_resumed_here(home, cv, local):
    process = cv("cv-back", "--executor", "processes=2")
    folder = home / "cv-back" / "folds"
    while not list(folder.glob("*/fold.json")):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 30
    while tasks_of(home):
        assert time.monotonic() < deadline, "a task outlived its run"
        time.sleep(0.05)
    end(cv("cv-back"))
    assert of_run(home / "cv-back") == of_run(local["cv"])


def test_ctrl_c_leaves_nothing_behind(home, cv):
    process = cv("cv-stopped", "--executor", "processes=2")
    while not tasks_of(home):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert said.splitlines()[-1] == "Stopped. The same command resumes from here."
    assert not tasks_of(home)


def test_cells_in_processes(home, study, local):
    end(study("study-processes", "--executor", "processes=2"))
    assert of_study(home / "study-processes") == of_study(local["study"])


def test_predictions_in_parts(home, call, local):
    for name, how in (("here", "local"), ("parts", "processes=2")):
        words = [local["cv"], home / "target" / "images", "--batch-size", 4]
        end(call(name, "predict", *words, "--out", home / f"{name}.csv", "--executor", how))
    assert (home / "parts.csv").read_bytes() == (home / "here.csv").read_bytes()


def test_the_contract_on_a_cluster(cluster, tmp_path, capfd):
    import ray as package

    executor = EXECUTORS.make(f"ray:{cluster.address}")
    for name in ("outcomes", "items", "ended"):
        (tmp_path / name).mkdir()
    try:
        check_outcomes(executor, tmp_path / "outcomes", capfd)
        check_items(executor, tmp_path / "items")
        check_ended(executor, tmp_path / "ended")
        away = executor.model_copy(update={"send": True})
        (tmp_path / "sent").mkdir()
        check_items(away, tmp_path / "sent")
        gone = task("gone", "square", 1, reads=(tmp_path / "nowhere",))
        (outcome,) = executor.run([gone])
        assert "must lie under one path on all machines" in outcome.reason
    finally:
        package.shutdown()


@pytest.mark.parametrize("send", ["", ",send=true"])
def test_folds_on_a_cluster(home, cv, local, cluster, send):
    name = "cv-sent" if send else "cv-ray"
    end(cv(name, "--executor", f"ray:address={cluster.address}{send}"))
    assert of_run(home / name) == of_run(local["cv"])


def test_folds_when_a_node_is_killed(home, cv, local, cluster, ray):
    process = cv("cv-lost", *ray)
    folds = home / "cv-lost" / "folds"
    kill_a_node(cluster, process, lambda: folds.is_dir() and list(folds.iterdir()))
    end(process)
    assert of_run(home / "cv-lost") == of_run(local["cv"])


@pytest.mark.parametrize("send", ["", ",send=true"])
def test_cells_on_a_cluster(home, study, local, cluster, send):
    name = "study-sent" if send else "study-ray"
    end(study(name, "--executor", f"ray:address={cluster.address}{send}"))
    assert of_study(home / name) == of_study(local["study"])


def test_files_on_a_cluster(home, prep, local, ray):
    end(prep("prep-ray", *ray))
    assert len(of_prep(local["prep"])) == FILES - FILES // 50 + 4
    assert of_prep(home / "prep-ray") == of_prep(local["prep"])


@pytest.mark.parametrize("send", ["", ",send=true"])
def test_files_when_a_node_is_killed(home, prep, local, cluster, send):
    name = "prep-sent" if send else "prep-lost"
    process = prep(name, "--executor", f"ray:address={cluster.address}{send}")
    staged = home / name / "data" / ".prepare" / "staged"
    kill_a_node(cluster, process, lambda: len(list(staged.glob("*.png"))) > 20)
    end(process)
    assert of_prep(home / name) == of_prep(local["prep"])


def test_a_killed_run_resumes_on_a_cluster(home, cv, local, ray):
    process = cv("cv-killed", *ray)
    folder = home / "cv-killed" / "folds"
    while not list(folder.glob("*/fold.json")):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    end(cv("cv-killed", *ray))
    assert of_run(home / "cv-killed") == of_run(local["cv"])
