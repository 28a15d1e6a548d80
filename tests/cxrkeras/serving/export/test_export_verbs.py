"""`cxrkeras export` and `cxrkeras serve`, as a person calls them; the model card."""

import re
import shlex
import subprocess
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cxrkeras.cli import main
from cxrkeras.data.labels.label_sets import LABEL_SETS
from cxrkeras.evaluation.compare.uncertainty import with_intervals
from cxrkeras.evaluation.evidence.evidence import write_metrics
from cxrkeras.evaluation.journal.figures import figures_of
from cxrkeras.evaluation.scores.metrics import evaluate
from cxrkeras.evaluation.scores.predictions import Predictions, write_predictions
from cxrkeras.serving.export.card import model_card
from cxrkeras.serving.export.layout import earlier
from cxrkeras.serving.export.run import Difference
from cxrkeras.serving.predictor.read import read_card
from data_prep.errors import UserError
from tests.cxrkeras.evaluation.conftest import make_run
from tests.cxrkeras.serving.served_runs import LABELS, write_model


def code_of(*words: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return end.value.code


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("verbs") / "final model")


@pytest.fixture
def saved_model(tmp_path):
    """What `serve` looks for, without the seconds of an export."""
    (tmp_path / "served" / "chest" / "2").mkdir(parents=True)
    (tmp_path / "served" / "chest" / "2" / "saved_model.pb").touch()
    return tmp_path / "served" / "chest"


def test_export_prints_the_round_trip_and_counts_versions(model, tmp_path, capsys):
    before = tmp_path / "chest" / "litert" / "1"
    before.mkdir(parents=True)
    words = ("export", model, "--out", tmp_path, "--name", "chest", "--format", "litert")
    assert code_of(*words, "--operating-point", "youden") == 0
    said = capsys.readouterr().out
    difference = re.search(r"litert +(\S+)  on \d+ images", said)
    assert float(difference[1]) < 1e-6
    assert f"Written: {tmp_path / 'chest' / 'litert' / '2'}" in said
    card = (tmp_path / "chest" / "README.md").read_text("utf-8")
    assert "litert/2/model.tflite" in card
    assert sorted(path.name for path in (tmp_path / "chest").iterdir()) == ["README.md", "litert"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--name", "a/b"], 1, "letters, digits"),
        ([], 1, "Received: 'final model'. Give another --name"),
        (["--name", "m", "--operating-point", "sensitivity=2"], 2, "sensitivity: at must be less"),
        (["--name", "m", "--operating-point", "specificity=0.9"], 1, "has no operating point"),
        (["--name", "m", "--format", "pickle"], 2, "'pickle' is not one of"),
    ],
)
def test_export_refuses_in_one_line_and_writes_nothing(words, code, told, model, tmp_path, capsys):
    assert code_of("export", model, "--out", tmp_path / "out", *words) == code
    error = capsys.readouterr().err
    assert told in error
    assert code == 2 or error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_servers_files(saved_model, tmp_path, capsys):
    config = tmp_path / "my serving"
    assert code_of("serve", saved_model, "--out", config, "--batch-size", 4, "--wait", 2.5) == 0
    words = shlex.split(capsys.readouterr().out)
    assert words[:2] == ["docker", "run"]
    assert f"type=bind,source={saved_model},target=/models/chest,readonly" in words
    assert f"type=bind,source={config},target=/config,readonly" in words
    assert not any("0.0.0.0" in word for word in words)
    assert {"127.0.0.1:8500:8500", "127.0.0.1:8501:8501"} <= set(words)
    assert words[-3:] == [
        "--model_config_file=/config/models.config",
        "--enable_batching=true",
        "--batching_parameters_file=/config/batching.config",
    ]
    assert subprocess.run(["sh", "-n", config / "run.sh"]).returncode == 0
    values = dict(re.findall(r"(\w+) { value: (\d+) }", (config / "batching.config").read_text()))
    assert values == {
        "max_batch_size": "4",
        "batch_timeout_micros": "2500",
        "num_batch_threads": "2",
        "max_enqueued_batches": "32",
    }


def test_models_config_is_what_the_servers_own_message_reads(saved_model, tmp_path):
    apis = pytest.importorskip(
        "tensorflow_serving.config.model_server_config_pb2",
        reason="tensorflow-serving-api (extra serve)",
    )
    from google.protobuf import text_format

    assert code_of("serve", saved_model, "--out", tmp_path / "config") == 0
    text = (tmp_path / "config" / "models.config").read_text()
    (entry,) = text_format.Parse(text, apis.ModelServerConfig()).model_config_list.config
    assert (entry.name, entry.base_path) == ("chest", "/models/chest")
    assert entry.model_platform == "tensorflow"


def test_earlier_exports_are_listed_in_order(tmp_path):
    for name in ("2", "10", "onnx/2", "notes", ".export.7", "litert/x"):
        (tmp_path / name).mkdir(parents=True)
    assert earlier(tmp_path) == ["2/", "10/", "onnx/2/"]


def test_serve_takes_exports_only(saved_model, tmp_path, capsys):
    (tmp_path / "other").mkdir()
    assert code_of("serve", tmp_path / "other", "--out", tmp_path / "config") == 1
    assert "holds no SavedModel" in capsys.readouterr().err
    words = ("serve", saved_model, saved_model, "--out", tmp_path / "config")
    assert code_of(*words) == 1
    assert "Two models have the name chest" in capsys.readouterr().err
    assert code_of("serve", saved_model / "2", "--out", tmp_path / "config") == 1
    assert f"Give {saved_model}." in capsys.readouterr().err
    assert not (tmp_path / "config").exists()


def test_serve_leaves_other_people_s_files_alone(saved_model, tmp_path, capsys):
    config = tmp_path / "config"
    config.mkdir()
    (config / "run.sh").write_text("echo mine")
    assert code_of("serve", saved_model, "--out", config) == 1
    assert "run.sh exists and wasn't written by this verb" in capsys.readouterr().err
    assert [path.name for path in config.iterdir()] == ["run.sh"]
    (config / "run.sh").unlink()
    for _ in range(2):
        assert code_of("serve", saved_model, "--out", config) == 0


@pytest.fixture
def run(tmp_path):
    """The parts of a run that the model card tells of: 60 patients, sexes and views known."""
    rng = np.random.default_rng(5)
    truth = (rng.random((60, 3)) < 0.4).astype(float)
    prob = np.clip(0.3 * truth + 0.5 * rng.random((60, 3)), 0, 1)
    images = tuple(f"images/{n}.png" for n in range(60))
    patients = tuple(map(str, range(60)))
    out_of_fold = Predictions(images, patients, ("0",) * 60, LABELS, prob, truth)
    write_predictions(tmp_path / "predictions.csv", out_of_fold)
    scores = with_intervals(evaluate(truth, prob, LABELS), out_of_fold)
    chain = "imagenet,chx=/home/doe/chexpert"
    (tmp_path / "experiment.toml").write_text(
        f'data = "{tmp_path}"\nbackbone = ["densenet121"]\nsource = ["{chain}"]\n'
    )
    columns = {
        "image": images,
        "sex": ["F", "M"] * 30,
        "age": "",
        "view": ["PA"] * 20 + ["AP"] * 40,
    }
    pd.DataFrame(columns).to_csv(tmp_path / "manifest.csv", index=False)
    return tmp_path, scores


def test_model_card_says_what_is_seen_and_which_label_the_mean_lacks(model):
    labels = LABEL_SETS["nih15"]
    score = {"auroc": {"value": 0.75, "low": 0.7, "high": 0.8}}
    score["average_precision"] = score["auroc"]
    counts = {"n": 40, "positives": 9}
    experiment = {"views": "tencrop:side=224", "optimizer": "adam", "seed": 3, "average": "swa"}
    experiment |= {"source_rows": [["a", 0.5]], "blank_weight": 1.0, "seeds": 1}
    facts = {
        **read_card(model).facts,
        "labels": list(labels),
        "training_prevalence": dict.fromkeys(labels, 0.1),
        "inflation": dict.fromkeys(labels, 1.0),
        "operating_points": {
            "youden": {name: {"threshold": 0.5, "from": "here"} for name in labels}
        },
        "run": {"experiment": experiment},
        "performance": {
            "how": "Out of fold",
            "level": 0.95,
            "images": 40,
            "patients": 40,
            "per_label": dict.fromkeys(labels, counts | score),
            "macro": score,
            "subgroups": [],
            "constant_predictions": [],
        },
    }
    text = model_card(
        replace(read_card(model), facts=facts),
        name="chest",
        version_number=1,
        formats=["onnx"],
        rule="youden",
        differences=[Difference("onnx", 2e-7, 1e-5, 8)],
    )
    assert "| mean of all but No Finding | 40 | | 0.750 (0.700 to 0.800) |" in text
    assert "| views | tencrop:side=224 |" in text
    assert "| average | swa |" in text
    assert "| source_rows | a at weight 0.5 |" in text
    assert not any(f"| {name} |" in text for name in ("optimizer", "blank_weight", "seeds"))


def test_for_the_hub_the_licence_is_asked_for_and_the_card_names_its_files_alone(
    model, tmp_path, capsys, monkeypatch
):
    cards = []

    def stand_in(*_, describe, **__):
        cards.extend([describe([Difference("hub", 0.0, 1e-5, 8)], ["hub"])])
        raise UserError("Enough.")

    monkeypatch.setattr("cxrkeras.serving.export.run.export_model", stand_in)
    words = ("export", model, "--out", tmp_path, "--name", "chest", "--format", "hub")
    assert code_of(*words, "--format", "onnx") == 1
    assert "the licence of the weights is unknown" in capsys.readouterr().err
    assert code_of(*words, "--licence", "mit") == 1
    assert "licence" not in capsys.readouterr().err
    assert ['license: "unknown"' in cards[0], 'license: "mit"' in cards[1]] == [True, True]
    assert "model.onnx" not in cards[0]
    assert "hub/1/" in cards[0]


def test_a_run_s_card_names_datasets_by_no_folder(model, tmp_path):
    chosen = 'source = ["imagenet,a=/far/a"]\nsource_rows = ["a=/far/a:0.5", "b=/far/b:1.0"]\n'
    (tmp_path / "experiment.toml").write_text(chosen)
    told = replace(read_card(model), run=tmp_path).settings()
    assert told["source_rows"] == [["a", 0.5], ["b", 1.0]]
    assert "far" not in str(told)


def test_model_card_of_a_run_has_its_evidence_and_leaves_it_as_it_is(model, tmp_path):
    run = make_run(tmp_path / "run", n=300, test=False)
    write_metrics(run)
    card = replace(read_card(model), run=run)
    body = model_card(
        card,
        name="chest",
        version_number=1,
        formats=["onnx"],
        rule="youden",
        differences=[Difference("onnx", 2e-7, 1e-5, 8)],
    )
    figures = figures_of(run)
    name = "Cardiac hypertrophy"
    decided = figures["operating_points"]["youden"][name]
    counts = " | ".join(str(decided[count]) for count in ("tp", "fp", "tn", "fn"))
    assert f"| {name} | {counts} | {decided['sensitivity']['value']:.3f} (" in body
    adjusted = figures["calibration"]["adjusted"][name]
    assert f"| {name} | {adjusted['brier']['value']:.3f} (" in body
    assert figures["which_auroc"]["why"] in body
    assert f"300 films of {figures['patients']} patients" in body
    assert not (run / "evidence.json").exists()
    (run / "metrics.json").unlink()
    assert card.evidence() is None


def test_hugging_face_reads_the_card(run, model, tmp_path):
    from huggingface_hub import ModelCard
    from huggingface_hub.repocard_data import eval_results_to_model_index

    folder, scores = run
    shown = {"version_number": 1, "formats": ["hub"], "rule": "youden"}
    shown["differences"] = [Difference("hub", 0.0, 1e-5, 8)]
    card = replace(read_card(model), run=folder)
    (tmp_path / "README.md").write_text(model_card(card, name="chest", **shown), "utf-8")
    read = ModelCard.load(tmp_path / "README.md").data
    assert (read.library_name, read.license) == ("keras", "unknown")
    assert read.model_name == "chest"
    found = {(one.metric_type, one.metric_name.split(" (")[0]): one for one in read.eval_results}
    macro = found["roc_auc", "AUROC macro"]
    assert macro.metric_value == pytest.approx(scores["macro"]["pooled"]["auroc"], abs=1e-12)
    assert (macro.dataset_name, macro.dataset_type) == ("ours", "ours")
    assert macro.dataset_split.startswith("Out of fold")
    assert ("average_precision", "AP Mass") in found
    (index,) = eval_results_to_model_index("chest", read.eval_results)
    assert len(index["results"][0]["metrics"]) == len(found) == 2 * (1 + len(LABELS))
    unmeasured = model_card(read_card(model), name="chest", **shown)
    assert "model-index" not in unmeasured
    assert "named none. Ask them before you use, share or upload it." in unmeasured


def test_model_card_of_a_run(run, model):
    folder, scores = run
    text = model_card(
        replace(read_card(model), run=folder),
        name="chest",
        version_number=3,
        formats=["saved-model", "onnx"],
        earlier=["1/", "litert/2/"],
        rule="youden",
        differences=[Difference("onnx", 2e-7, 1e-5, 8)],
        license_name="apache-2.0",
    )
    _, front, body = text.split("---\n", 2)
    lines = front.splitlines()
    assert {'license: "apache-2.0"', "library_name: keras", "- chest-x-ray"} <= set(lines)
    assert "pipeline_tag: image-classification" in lines
    for said in (
        "**Not for clinical use.**",
        "## Limits",
        "`onnx/3/model.onnx`",
        "| onnx | 2.0e-07 |",
        "Earlier exports, which this card doesn't describe: `1/`, `litert/2/`.",
    ):
        assert said in body
    pooled = scores["per_label"]["Mass"]["pooled"]
    low, high = (pooled["auroc_interval"][end] for end in ("low", "high"))
    assert f"| {pooled['auroc']:.3f} ({low:.3f} to {high:.3f}) |" in body
    for group in ("sex: female | 30", "sex: male | 30", "view: AP | 40", "view: PA | 20"):
        assert f"| {group} | 3 | 0." in body
    assert "age:" not in body
    assert "| source | imagenet > chx |" in body
    assert "/home" not in body
    assert str(folder) not in body
    assert "| Mass | not known | none |" in body
