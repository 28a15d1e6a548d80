"""Published systems in miniature: what is made small, and one of them through every verb."""

import json

import pytest

from cxrkeras.commands.cv import command
from cxrkeras.registry import BACKBONES
from cxrkeras.runs.description import make_experiment, write_experiment
from cxrkeras.runs.presets import preset_names
from cxrkeras.training.plan import resolve
from experiments import miniatures
from experiments.miniatures import SIDE, VERBS, published, substituted, words_of

every_preset = pytest.mark.parametrize("name", preset_names())


def parsed(name, work):
    """The choices of the miniature's command line."""
    words = words_of(name, work)["cv"]
    given = command.make_context("cv", words).params
    return {k: v for k, v in given.items() if v not in (None, ()) and k not in ("out", "executor")}


@every_preset
def test_it_is_small_and_can_be_resolved(name, tmp_path):
    whole, small = make_experiment({"recipe": name}), make_experiment(parsed(name, tmp_path))
    resolve(small)
    least = max(SIDE, *(BACKBONES.make(text).smallest() for text in small.backbone))
    assert least <= small.image_size <= max(least, whole.image_size)
    assert (small.epochs, small.folds, small.preset) == (1, 2, name)
    assert (small.loss, small.head, small.recipe) == (whole.loss, whole.head, whole.recipe)
    assert [link.name for link in small.source_datasets] == ["nih"] * bool(whole.source)
    write_experiment(tmp_path / "experiment.toml", small)
    said = substituted(name, tmp_path)
    assert f"epochs 1 for {whole.epochs}" in said
    assert f"image size {small.image_size} for {whole.image_size}" in said
    assert "loss" not in said
    assert published(name)[0].isalpha()


def test_the_table_has_what_came_out(tmp_path, monkeypatch):
    monkeypatch.setattr(miniatures, "preset_names", lambda: ["chexnet", "yao_again"])
    for name in ("target", "source"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.csv").write_text("image\na\nb\n")
    run = tmp_path / "chexnet" / "run"
    run.mkdir(parents=True)
    write_experiment(run / "experiment.toml", make_experiment(parsed("chexnet", tmp_path)))
    pooled = {"auroc": 0.51, "auroc_interval": {"low": 0.4, "high": 0.6}}
    (run / "metrics.json").write_text(json.dumps({"macro": {"pooled": pooled}}))
    ended = {verb: {"code": int(verb == "explain"), "seconds": 3.2} for verb in VERBS}
    (tmp_path / "chexnet" / "ended.json").write_text(json.dumps(ended))
    miniatures.write(tmp_path, tmp_path / "out.md")
    text = (tmp_path / "out.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| `chexnet`"))
    assert "| 0.510 (0.400 to 0.600) | 3 s | 3 s | 3 s | 3 s **failed** | 3 s |" in row
    assert "epochs 1 for 30" in row
    assert "cross-validated on 2 films" in " ".join(text.split())
    assert "- `chexnet`: CheXNet: DenseNet121" in text


@pytest.mark.slow
@pytest.mark.real
@every_preset
def test_it_runs_through_every_verb(name, real, tmp_path, monkeypatch):
    monkeypatch.setattr(miniatures, "REAL", real("nih_target").parent)
    monkeypatch.setenv("CXRKERAS_REAL_DATA", str(real("nih_target").parent))
    miniatures.prepare(tmp_path)
    ended = miniatures.run(name, tmp_path)
    wanted = dict.fromkeys(words_of(name, tmp_path), 0)
    assert {verb: each["code"] for verb, each in ended.items()} == wanted
