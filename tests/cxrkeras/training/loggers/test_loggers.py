"""What is logged, read back by the libraries themselves; and what a broken logger does: nothing."""

import json

import pytest

from cxrkeras.registry import LOGGERS
from cxrkeras.runs.description import make_experiment
from cxrkeras.training.loggers import tensorboard
from cxrkeras.training.watching.watch import fit_name, scores_of, tell_epoch, watched
from data_prep.errors import UserError

METRICS = {
    "macro": {
        "pooled": {
            "auroc": 0.75,
            "auroc_interval": {"low": 0.5, "high": 1.0, "level": 0.95},
            "mae": None,
            "labels": {"auroc": 2},
        }
    },
    "per_label": {"Mass": {"pooled": {"auroc": 0.75}}, "Rare": {"pooled": {"auroc": None}}},
}
SCORES = {"auroc": 0.75, "auroc_low": 0.5, "auroc_high": 1.0, "auroc_by_label/Mass": 0.75}
LOSSES = [1.5, 1.25, 1.125]


def trained(run, *log, epochs=(1, 2, 3), killed=False):
    """A run of two folds, of which a killed one ends within the first."""
    run.mkdir(exist_ok=True)
    experiment = make_experiment({"log": log, "backbone": "resnet50", "seed": 7})
    with watched(experiment, run) as watch:
        watch.open()
        for title in ("fold 1/2", "fold 2/2")[: 1 if killed else 2]:
            for epoch in epochs:
                values = {"loss": LOSSES[epoch - 1], "val_auroc": float("nan")}
                tell_epoch(title, epoch, values)
        if not killed:
            watch.results(METRICS)


def test_tensorboard_reads_each_epoch_once(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = tmp_path / "first"
    trained(run, "tensorboard", epochs=(1, 2), killed=True)
    trained(run, "tensorboard")  # a fold begins again, with the same numbers
    for fit in ("fold_1", "fold_2"):
        known = EventAccumulator(str(run / "log" / "tensorboard" / fit)).Reload()
        assert known.Tags()["scalars"] == ["loss"]  # what isn't finite is left out
        assert [(e.step, e.value) for e in known.Scalars("loss")] == [*enumerate(LOSSES, start=1)]
    known = EventAccumulator(str(run / "log" / "tensorboard" / "results")).Reload()
    assert {tag: known.Scalars(tag)[0].value for tag in known.Tags()["scalars"]} == SCORES
    (text,) = known.Tensors("settings")
    assert b"| backbone | resnet50 |" in text.tensor_proto.string_val[0]
    (text,) = known.Tensors("run")
    assert str(run).encode() in text.tensor_proto.string_val[0]


def test_mlflow_reads_each_epoch_once(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow.tracking import MlflowClient

    run, store = tmp_path / "first", tmp_path / "store"
    trained(run, f"mlflow={store}", epochs=(1, 2), killed=True)
    trained(run, f"mlflow={tmp_path / 'elsewhere'}")  # it goes on where it began
    assert not (tmp_path / "elsewhere").exists()
    client = MlflowClient(tracking_uri=store.as_uri())
    experiment = client.get_experiment_by_name("cxrkeras")
    (found,) = client.search_runs([experiment.experiment_id])
    for fit in ("fold_1", "fold_2"):
        history = client.get_metric_history(found.info.run_id, f"{fit}/loss")
        assert [(m.step, m.value) for m in history] == [*enumerate(LOSSES, start=1)]
    assert SCORES.items() <= found.data.metrics.items()
    assert found.data.params["backbone"] == "resnet50"
    assert found.data.params["seed"] == "7"
    assert found.data.tags["cxrkeras.folder"] == str(run)
    assert (found.info.run_name, found.info.status) == ("first", "FINISHED")


@pytest.mark.parametrize("at", ["open", "last", "epoch", "results", "close"])
def test_a_logger_that_fails_says_so_once_and_stops_nothing(tmp_path, monkeypatch, capsys, at):
    def fail(*given):
        raise ConnectionError("Jane Doe")

    owner = tensorboard.Part if at == "open" else tensorboard._Events
    monkeypatch.setattr(owner, at, fail)
    trained(tmp_path / "first", "tensorboard")
    said = capsys.readouterr().err
    assert said == (
        "Warning: --log tensorboard failed (ConnectionError), so it logs no more. The run goes "
        "on.\n"
    )


def test_a_logger_without_its_library_is_refused_before_the_run_begins(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name in ("tensorboard", "mlflow"):
        LOGGERS.load(name)
        with pytest.raises(UserError, match=rf"pip install 'cxrkeras\[{name}\]'"):
            trained(tmp_path / "first", name)
    assert not (tmp_path / "first" / "log").exists()


def test_a_password_in_a_uri_is_refused_before_it_is_kept(tmp_path, monkeypatch):
    uri = "http://jane:secret@host:5000"
    for log, environment in ((f"mlflow={uri}", "http://host"), ("mlflow", uri)):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", environment)
        with pytest.raises(UserError, match="MLFLOW_TRACKING_PASSWORD instead") as error:
            trained(tmp_path / "first", log)
        assert "secret" not in str(error.value)


def test_the_option_is_one_text_per_logger():
    log = ("tensorboard", "mlflow=http://host:5000", "mlflow:experiment=chest")
    made = make_experiment({"log": log})
    assert made.log == ("tensorboard", "mlflow:uri=http://host:5000", "mlflow:experiment=chest")
    assert make_experiment({"log": list(made.log)}) == made  # as experiment.toml has it
    assert make_experiment({"log": "tensorboard"}).log == ("tensorboard",)
    with pytest.raises(UserError, match="--log must be one of"):
        make_experiment({"log": "paper"})


def test_logging_makes_no_other_run():
    usual, logged = make_experiment({}), make_experiment({"log": "tensorboard"})
    assert logged.digest == usual.digest
    assert logged.placeless() == usual.placeless()
    for what in ("stage", "features"):
        assert logged.deciding(what) == usual.deciding(what)


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("fold 2/5", "fold_2"),
        ("fold 10/10, the head", "fold_10_the_head"),
        ("source stage nih+chex", "source_stage_nih_chex"),
        ("final model", "final_model"),
    ],
)
def test_a_fit_is_called_as_people_see_it(title, name):
    assert fit_name(title) == name


def test_scores_are_the_numbers_among_the_metrics():
    assert scores_of(METRICS) == SCORES
    assert json.dumps(scores_of(METRICS))
