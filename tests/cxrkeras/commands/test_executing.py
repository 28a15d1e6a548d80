"""`--executor`: its spellings, and what tasks elsewhere are told."""

import pytest
from click.testing import CliRunner

from cxrkeras.commands.shared.executing import executor_of
from cxrkeras.commands.study import command as study
from cxrkeras.registry import EXECUTORS
from cxrkeras.runs.experiment import Experiment
from cxrkeras.runtime.threads import of_tasks
from cxrkeras.serving.predict.parts import _joined
from data_prep.dataset.pool import cores
from data_prep.errors import UserError
from data_prep.executors import Outcome, Task


def test_the_spellings():
    assert executor_of("local") == EXECUTORS.of("local", {})
    assert executor_of("processes=3") == EXECUTORS.of("processes", {"count": 3})
    two = {"count": 3, "gpus": 2}
    assert executor_of("processes=3", gpus=2.0) == executor_of("processes:count=3,gpus=2")
    assert executor_of("processes=3", gpus=2.0) == EXECUTORS.of("processes", two)
    assert executor_of("ray") == EXECUTORS.of("ray", {})
    assert executor_of("ray=10.0.0.1:6379", cpus=2, gpus=0.5) == EXECUTORS.of(
        "ray", {"address": "10.0.0.1:6379", "cpus": 2, "gpus": 0.5}
    )


@pytest.mark.parametrize(
    ("text", "resources", "said"),
    [
        ("rays", {}, "--executor must be one of .*local.*Did you mean 'ray'"),
        ("processes=0", {}, "--executor processes: count must be greater than or equal to 1"),
        ("processes=2", {"cpus": 1}, "--cpus-per-task isn't for --executor processes"),
        ("local", {"gpus": 1}, "--gpus-per-task isn't for --executor local"),
    ],
)
def test_what_cannot_be_is_refused(text, resources, said):
    with pytest.raises(UserError, match=said):
        executor_of(text, **resources)


def test_an_address_of_a_client_is_refused(monkeypatch):
    with pytest.raises(UserError, match="on a machine of the cluster"):
        EXECUTORS.make("ray:ray://host:10001").room()
    monkeypatch.setenv("RAY_ADDRESS", "ray://host:10001")
    with pytest.raises(UserError, match="on a machine of the cluster"):
        EXECUTORS.make("ray").room()


def test_it_is_no_setting_of_a_run():
    assert "executor" not in Experiment.model_fields
    assert "--executor" in CliRunner().invoke(study, ["--help"]).output


def test_tasks_have_the_threads_and_choices_of_whoever_asks(monkeypatch):
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "KERAS_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XLA_FLAGS", "--one")
    monkeypatch.setenv("SECRET", "word")
    told = of_tasks(7)
    assert told["TF_NUM_INTRAOP_THREADS"] == told["OMP_NUM_THREADS"] == "7"
    assert told["XLA_FLAGS"] == "--one"
    assert "SECRET" not in told
    assert of_tasks(None)["TF_NUM_INTRAOP_THREADS"] == str(cores())
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    told = of_tasks(None)
    assert (told["TF_NUM_INTRAOP_THREADS"], told["OMP_NUM_THREADS"]) == ("3", "1")


def test_a_part_of_predict_that_crashed_says_how_to_see_why():
    tasks = [Task(f"part {n}/2", "a:b") for n in (1, 2)]
    crashed = Outcome(tasks[0], reason="Unforeseen KeyError at c.py:1.", crashed=True)
    with pytest.raises(UserError, match=r"^part 1/2 of .* c\.py:1\. See why: .* --debug"):
        _joined([crashed, Outcome(tasks[1])], tasks, [])
