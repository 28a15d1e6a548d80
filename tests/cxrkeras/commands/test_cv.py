"""`cxrkeras cv`: how options, a config file and the built-in data become an experiment."""

from pathlib import Path

import pytest

from cxrkeras.cli import main
from cxrkeras.runs.description import make_experiment
from cxrkeras.training import begin, crossval

METRICS = {
    "kind": "cv",
    "per_label": {},
    "undefined": [],
    "folds": [0, 1, 2],
    "micro": {"pooled": {"binary_accuracy": 0.9, "all_negative_accuracy": 0.8}},
    "macro": {
        "pooled": {"auroc": 0.8123},
        "over_folds": {"auroc": {"mean": 0.8, "sd": 0.02, "folds": 3}},
    },
}


@pytest.fixture
def called(monkeypatch, tmp_path):
    """The (experiment, run) that `cv` hands on, without training; phantoms are named, not made."""
    calls = []

    def cross_validate(experiment, run, executor):
        assert not executor.spreads
        calls.append((experiment, run))
        return METRICS

    monkeypatch.setattr(crossval, "cross_validate", cross_validate)
    monkeypatch.setattr(begin, "_phantoms", lambda: (Path("/p/t"), Path("/p/a"), Path("/p/b")))
    monkeypatch.chdir(tmp_path)
    Path("d").mkdir()
    for name in ("dataset.json", "manifest.csv"):
        Path("d", name).touch()
    return calls


def code_of(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["cv", *words])
    return end.value.code


def test_options_become_the_experiment(called, tmp_path):
    assert code_of("--data", "d", "--source", "imagenet,nih=n", "--epochs", "3", "--out", "o") == 0
    ((experiment, run),) = called
    assert run == Path("o")
    expected = {"data": f"{tmp_path}/d", "source": f"imagenet,nih={tmp_path}/n", "epochs": 3}
    assert experiment == make_experiment(expected)


def test_options_go_before_a_config_file_before_defaults(called):
    Path("c.toml").write_text('data = "d"\nepochs = 3\nbatch-size = 4\nshuffle_labels = true\n')
    assert code_of("--config", "c.toml", "--epochs", "5") == 0
    ((experiment, _),) = called
    assert (experiment.epochs, experiment.batch_size, experiment.folds) == (5, 4, 5)
    assert experiment.shuffle_labels


@pytest.mark.parametrize("option", [("--folds", "5"), ("--test-fraction", "0")])
def test_a_folds_file_and_how_to_make_folds_exclude_each_other(called, capsys, option):
    Path("c.toml").write_text('data = "d"\nfolds-file = "f.csv"\n')
    for words in (("--data", "d", "--folds-file", "f.csv"), ("--config", "c.toml")):
        assert code_of(*words, *option) == 2
        assert "leave --folds and --test-fraction out, or --folds-file" in capsys.readouterr().err
        assert not called
        assert code_of(*words) == 0
        called.clear()


def test_a_value_of_zero_is_a_choice(called):
    assert code_of("--data", "d", "--seed", "0", "--plateau-patience", "0", "--dropout", "0") == 0
    ((experiment, _),) = called
    assert (experiment.plateau_patience, experiment.dropout) == (0, 0.0)


def test_the_run_folder_is_named_after_what_is_done(called):
    for words in (["--seed", "1"], ["--seed", "1"], ["--seed", "2"]):
        assert code_of("--data", "d", *words) == 0
    one, same, other = (run for _, run in called)
    assert one == same != other
    assert str(one).startswith("runs/densenet121-regular-")


def test_without_data_it_says_so_and_uses_the_phantoms(called, capsys):
    assert code_of("--method", "cotrain") == 0
    said = capsys.readouterr()
    assert "built-in phantoms" in said.err
    assert "Macro AUROC: 0.812 pooled out-of-fold, 0.800 ± 0.020 over 3 folds" in said.out
    assert "report.html" in said.out
    ((experiment, _),) = called
    assert (experiment.data, experiment.source) == ("/p/t", ("a=/p/a", "b=/p/b"))
    assert experiment.image_size == 64


def test_what_a_reader_must_know_is_printed_too(called, capsys, monkeypatch):
    interval = {"auroc": 0.52, "auroc_interval": {"low": 0.41, "high": 0.63}}
    dead = {**METRICS, "macro": {**METRICS["macro"], "pooled": interval}}
    monkeypatch.setattr(crossval, "cross_validate", lambda *args: dead)
    said = "Before you believe a number: The macro AUROC can't be told from chance: 0.520 (0.410 to"
    assert code_of("--data", "d") == 0
    assert said in capsys.readouterr().out
    assert code_of("--data", "d", "--shuffle-labels") == 0
    assert said not in capsys.readouterr().out


def test_a_run_without_anything_to_score_ends_well(called, capsys, monkeypatch):
    nothing = {
        "pooled": {"auroc": None},
        "over_folds": {"auroc": {"mean": None, "sd": None, "folds": 0}},
    }
    monkeypatch.setattr(crossval, "cross_validate", lambda *args: METRICS | {"macro": nothing})
    assert code_of("--data", "d") == 0
    said = capsys.readouterr().out
    assert "Macro AUROC: none pooled out-of-fold, none ± none over 0 folds" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--epochs", "0"], "--epochs"),
        (["--source", "nih"], "NAME=DIR"),
        (["--source", "imagenet", "--source", "imagenet"], "one chain"),
        (["--method", "cotrain", "--source", "imagenet"], "cotrain"),
        (
            ["--backbone", "xception", "--image-size", "64"],
            "at least 71 px",
        ),
        (["--config", "gone.toml"], "gone.toml"),
        (["--data", "gone"], "with dataset.json and manifest.csv"),
        (["--data", "d", "--out", "d"], "d holds something that isn't a run"),
        (["--data", "d", "--out", "d/dataset.json/run"], "dataset.json takes no new folder"),
    ],
    ids=str,
)
def test_a_mistake_is_said_before_any_phantom_is_made(called, capsys, monkeypatch, words, said):
    monkeypatch.setattr(begin, "_phantoms", lambda: pytest.fail("made for nothing"))
    assert code_of(*words) == 1
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not called


@pytest.mark.parametrize("method", ["regular", "mixed"])
@pytest.mark.parametrize("data", [["--data", "d"], []])
def test_a_frozen_random_trunk_is_wrong_usage_unless_it_is_meant(called, capsys, method, data):
    words = [*data, "--method", method, "--recipe", "frozen"]
    assert code_of(*words) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert (
        "the weights of densenet121 are random. Give a --source, or --recipe finetune, or" in said
    )
    Path("c.toml").write_text('recipe = "frozen"\n')
    assert code_of(*data, "--method", method, "--config", "c.toml") == 2
    assert not called
    assert code_of(*words, "--random-trunk") == 0
    Path("c.toml").write_text('recipe = "frozen"\nrandom-trunk = true\n')
    assert code_of(*data, "--method", method, "--config", "c.toml") == 0
    (one, run), (same, again) = called
    assert (one, run) == (same, again)


def test_one_of_two_frozen_trunks_may_not_be_random_either(called, capsys):
    trunks = ["--method", "mixed", "--source", "imagenet", "--source", "a=x", "--recipe", "frozen"]
    assert code_of("--data", "d", *trunks) == 0
    assert code_of("--method", "cotrain", "--recipe", "frozen") == 0  # the built-in hospitals
    assert len(called) == 2


def test_consent_to_a_random_trunk_makes_no_other_run(called):
    consent = make_experiment({"data": "d", "recipe": "frozen", "random_trunk": True})
    plain = make_experiment({"data": "d", "recipe": "frozen"})
    assert consent.digest == plain.digest
    assert consent.placeless() == plain.placeless()
