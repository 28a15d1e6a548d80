"""Every policy on real images with uncertain codes put among their labels, by the command line."""

import json
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest

from cxrkeras.cli import main
from cxrkeras.registry import POLICIES

pytestmark = [pytest.mark.real, pytest.mark.slow]


def call(*words) -> None:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    assert end.value.code == 0


@pytest.fixture(scope="module")
def prepared(real, tmp_path_factory):
    """`nih_target` at 64 px, one code in eight uncertain, and one in twenty blank."""
    folder = tmp_path_factory.mktemp("uncertain")
    table = pd.read_csv(real("nih_target", "labels.csv"), dtype=str, keep_default_na=False)
    findings = [name for name in table if set(table[name]) == {"0", "1"}]
    assert len(findings) >= 13
    rng = np.random.default_rng(0)
    codes = table[findings].to_numpy(object)
    chance = rng.random(codes.shape)
    codes[chance < 0.125], codes[chance > 0.95] = "-1", ""
    table[findings] = codes
    table.to_csv(folder / "labels.csv", index=False)
    images = real("nih_target", "images")
    out = folder / "data"
    call(
        *("prep", "table", "--images", images, "--labels", folder / "labels.csv"),
        *("--image-size", 64, "--out", out),
    )
    return out


def run_of(prepared, out, policy: str) -> pd.DataFrame:
    call(
        *("cv", "--data", prepared, "--uncertain", policy, "--out", out),
        *("--backbone", "mobilenet_v3_small", "--recipe", "frozen", "--random-trunk"),
        *("--image-size", 64),
        *("--folds", 2, "--epochs", 2, "--learning-rate", 0.01),
    )
    return pd.read_csv(out / "predictions.csv", index_col="image")


def prevalence_of(run) -> np.ndarray:
    """(folds, K) of the training parts."""
    facts = [json.loads(p.read_text()) for p in sorted(run.glob("folds/*/fold.json"))]
    return np.array([list(fact["training_prevalence"].values()) for fact in facts], float)


def test_a_training_of_each_policy(prepared, tmp_path, monkeypatch):
    monkeypatch.setenv("CXRKERAS_CACHE", str(tmp_path / "cache"))
    manifest = pd.read_csv(prepared / "manifest.csv", index_col="image")
    labels = json.loads((prepared / "dataset.json").read_text())["labels"]
    mixed = "multi-class,Effusion=self-trained,pleural_thickening=zeros-lsr"
    runs = {policy: run_of(prepared, tmp_path / policy, policy) for policy in POLICIES.names()}
    runs["mixed"] = run_of(prepared, tmp_path / "mixed", mixed)
    codes = manifest.loc[runs["ones"].index, labels].to_numpy()
    assert (codes == -1).sum() > 500
    truth = np.where(codes == -1, np.nan, np.nan_to_num(codes))
    scores = {}
    for name, table in runs.items():
        np.testing.assert_array_equal(table[[f"true_{label}" for label in labels]], truth)
        scores[name] = table[[f"prob_{label}" for label in labels]].to_numpy()
        assert ((scores[name] > 0) & (scores[name] < 1)).all()
    for name, other in combinations(scores, 2):
        assert np.abs(scores[name] - scores[other]).max() > 1e-3

    found = {name: prevalence_of(tmp_path / name) for name in runs}
    rising = ["zeros", "zeros_lsr", "half", "ones_lsr", "ones"]
    for less, more in pairwise(rising):
        assert (found[less] < found[more]).all()
    np.testing.assert_allclose(found["multi_class"], found["ignore"])
    assert (
        (found["zeros"] < found["self_trained"]) & (found["self_trained"] < found["ones"])
    ).all()
    for label, policy in (("Effusion", "self_trained"), ("Pleural_Thickening", "zeros_lsr")):
        column = labels.index(label)
        assert (found["mixed"][:, column] != found["ignore"][:, column]).all()
        if policy == "zeros_lsr":
            np.testing.assert_allclose(found["mixed"][:, column], found[policy][:, column])
