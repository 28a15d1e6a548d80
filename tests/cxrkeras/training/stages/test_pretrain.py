"""`cxrkeras pretrain`: the stages of `cv` on their own, found again by it."""

import json

import pandas as pd
import pytest
from click.testing import CliRunner

from cxrkeras.cli import cli
from cxrkeras.models.weights.trunk import load_trunk
from cxrkeras.registry import BACKBONES
from cxrkeras.runs.sources import Weights
from cxrkeras.training.crossval import cross_validate
from cxrkeras.training.pretrain import pretrain
from data_prep.errors import UserError

pytestmark = pytest.mark.shares_runs


@pytest.fixture(autouse=True)
def cache(shared_cache, monkeypatch):
    """The cache of the shared runs."""
    monkeypatch.setenv("CXRKERAS_CACHE", str(shared_cache))


def trunk_of(path):
    trunk = BACKBONES.make("tiny").trunk(64)  # another size than it was trained at
    load_trunk(trunk, "tiny", Weights(str(path)))
    return trunk


def test_a_chain_gives_a_trunk_with_history_and_scores_which_cv_finds_again(
    experiment, data, tmp_path, capfd
):
    chain = f"a={data / 'a'},b={data / 'b'}"
    one = experiment(source=chain, augment="study")  # as in the shared run `regular`
    out = tmp_path / "trunks"
    assert pretrain(one, out) == [out]
    files = {path.name for path in out.iterdir()}
    assert files == {
        "trunk.weights.h5", "stage.json", "history.csv", "metrics.json", "predictions-b.csv",
        "stages", "train.log",
    }  # fmt: skip
    assert {p.name.split("-")[0] for p in (out / "stages").iterdir()} == {"a", "b"}
    assert pd.read_csv(out / "history.csv")["epoch"].tolist() == [1]
    assert json.loads((out / "metrics.json").read_text())["b"]["images"] > 0
    assert trunk_of(out / "trunk.weights.h5").count_params()
    capfd.readouterr()
    found = experiment(source=chain, augment="study", recipe="logistic")
    cross_validate(found, tmp_path / "run")
    said = capfd.readouterr().err
    assert "source stage a: already trained, reused" in said
    assert "source stage b: already trained, reused" in said


@pytest.mark.slow
def test_every_trunk_of_a_method_gets_its_folder(experiment, data, tmp_path):
    sources = [f"a={data / 'a'}", f"b={data / 'b'}"]
    out = tmp_path / "out"
    folders = pretrain(experiment(method="mixed", source=sources), out)
    assert folders == [out / "trunk_1", out / "trunk_2"]
    for folder, name in zip(folders, "ab", strict=True):
        assert json.loads((folder / "stage.json").read_text())["name"] == name
    (folder,) = pretrain(experiment(method="cotrain", source=sources), tmp_path / "joint")
    assert set(json.loads((folder / "metrics.json").read_text())) == {"a", "b"}


def test_another_trunk_in_the_folder_is_refused_and_the_same_is_not(experiment, data, tmp_path):
    one = experiment(source=f"a={data / 'a'}", augment="study")  # a part of that chain
    out = tmp_path / "out"
    pretrain(one, out)
    before = (out / "trunk.weights.h5").read_bytes()
    pretrain(one, out)
    with pytest.raises(UserError, match="holds another trunk"):
        pretrain(experiment(source=f"a={data / 'a'}", augment="study", seed=1), out)
    assert (out / "trunk.weights.h5").read_bytes() == before
    (other := tmp_path / "other").mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="holds something else"):
        pretrain(one, other)


def test_nothing_to_train_on_is_refused(experiment, tmp_path):
    with pytest.raises(UserError, match=r"--source imagenet,NAME=DIR\. Received: imagenet"):
        pretrain(experiment(source="imagenet"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_says_what_the_trunk_scores_and_what_comes_next(data, tmp_path):
    """Of the stage that the test before has trained."""
    result = CliRunner().invoke(
        cli,
        [
            "pretrain", "--source", f"a={data / 'a'}", "--backbone", "tiny", "--image-size", "48",
            "--epochs", "1", "--batch-size", "8", "--source-learning-rate", "3e-3",
            "--augment", "study", "--out", str(tmp_path / "out"),
        ],
        catch_exceptions=False,
    )  # fmt: skip
    assert result.exit_code == 0
    assert "a: macro AUROC" in result.output
    assert "of its held out part" in result.output
    assert f"--source {tmp_path / 'out' / 'trunk.weights.h5'}" in result.output
