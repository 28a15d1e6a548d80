"""One archive prepared in several ways: nothing kept for one way ever serves another."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from cxrkeras.data.dataset import load_dataset
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.runs.folder import check_sources
from cxrkeras.study.folds import share_folds
from cxrkeras.training import crossval
from cxrkeras.training.plan import resolve
from cxrkeras.training.recipes.shared.pooled import features
from cxrkeras.training.stages.plan import describe, plan_stages, trained
from data_prep.dataset.prepare import prepare
from data_prep.errors import UserError
from data_prep.films.film import to_square
from tests.cxrkeras.networks import session_of
from tests.data_prep.readers.archives import table_source

WAYS = {
    "plain": {},
    "size": {"size": 40},
    "pad": {"pad": True},
    "stretch": {"stretch": (2.0, 98.0)},
    "another resize": {},
}
OTHERS = [way for way in WAYS if way != "plain"]


def nearest(pixels, size, *, pad=False):
    """Another resize than the package's."""
    image = Image.fromarray(np.ascontiguousarray(pixels, np.float32))
    grey = np.asarray(image.resize((size, size), Image.Resampling.NEAREST))
    return np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def ways(tmp_path_factory):
    """The same twelve films prepared in each way, the plain one twice."""
    folder = tmp_path_factory.mktemp("ways")
    (folder / "films").mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for number in range(12):
        noise = gaussian_filter(rng.normal(size=(96, 72)), 4)
        grey = np.uint8(40 + 160 * (noise - noise.min()) / np.ptp(noise))
        Image.fromarray(grey).save(folder / "films" / f"{number}.png")
        rows.append({"image": f"{number}.png", "patient": f"P{number}", "disc": number % 2})
    pd.DataFrame(rows).to_csv(folder / "labels.csv", index=False)
    source = table_source(folder / "films", folder / "labels.csv", name="films")
    fixed = {"key": bytes(32), "size": 32, "workers": 0, "progress": False}
    for way in (*WAYS, "plain again"):
        with pytest.MonkeyPatch.context() as patch:
            resize = nearest if way == "another resize" else to_square
            patch.setattr("data_prep.films.square.to_square", resize)
            prepare(source, folder / way, **{**fixed, **WAYS.get(way, {})})
    return folder


def test_fingerprints_differ_for_every_way_and_only_for_that(ways):
    prints = {way: load_dataset(ways / way).fingerprint for way in WAYS}
    assert len(set(prints.values())) == len(WAYS)
    assert load_dataset(ways / "plain again").fingerprint == prints["plain"]
    # The films are the same ones: that is what a model has learnt from.
    assert len({load_dataset(ways / way).films for way in WAYS}) == 1
    assert len({tuple(load_dataset(ways / way).digests) for way in WAYS}) == 1


def test_a_manifest_without_the_images_digests_gives_the_same_fingerprint(ways, tmp_path, capfd):
    for way in WAYS:
        known = load_dataset(ways / way)
        old = tmp_path / way
        old.mkdir()
        (old / "images").symlink_to(ways / way / "images")
        (old / "dataset.json").write_bytes((ways / way / "dataset.json").read_bytes())
        table = pd.read_csv(ways / way / "manifest.csv", dtype=str, keep_default_na=False)
        table.drop(columns=["prepared", "signature"]).to_csv(old / "manifest.csv", index=False)
        assert load_dataset(old).fingerprint == known.fingerprint
        assert "earlier version, so 12 images are read" in capfd.readouterr().err
        assert load_dataset(old).fingerprint == known.fingerprint
        assert capfd.readouterr().err == ""
    (tmp_path / "plain" / "images").unlink()
    load_dataset(tmp_path / "plain")
    with pytest.raises(UserError, match=r"image is missing: .*0\.png.* --verify") as error:
        _ = load_dataset(tmp_path / "plain").fingerprint
    assert "\n" not in str(error.value)


def test_a_stage_of_one_way_never_serves_another(ways, experiment, tmp_path, monkeypatch):
    one_trunk = []
    monkeypatch.setattr("cxrkeras.training.stages.plan._train", lambda *a: one_trunk.append(a[-1]))
    monkeypatch.setattr("cxrkeras.training.stages.plan._record", lambda *_: None)
    for way in (*WAYS, "plain again"):
        run = experiment(data="", source=f"films={ways / way}")
        plan = resolve(run)
        trained(plan_stages(plan, 0, None), plan, tmp_path / "run")
    folders = [folder.name for folder in one_trunk]
    assert len(set(folders)) == len(WAYS)
    assert folders[0] == folders[-1]


def test_features_of_one_way_never_serve_another(ways, experiment, monkeypatch):
    computed = []

    def copies(*_):
        computed.append(1)
        yield np.full((12, 2), len(computed), np.float32)

    monkeypatch.setattr(features, "_copies", copies)
    found = {}
    for way in (*WAYS, "plain again"):
        run = experiment(augment="none", recipe="frozen", source="imagenet")
        dataset = load_dataset(ways / way)
        found[way] = features.frozen_features(None, session_of(run, dataset), 0)[0, 0, 0]
    assert [found[way] for way in WAYS] == [1, 2, 3, 4, 5]
    assert found["plain again"] == 1


@pytest.mark.parametrize("way", OTHERS)
def test_a_begun_run_refuses_data_prepared_in_another_way(ways, experiment, tmp_path, way):
    run = tmp_path / "run"
    begin = partial(experiment, folds=2)
    crossval._open(begin(data=str(ways / "plain")), run)
    crossval._open(begin(data=str(ways / "plain again")), run)
    with pytest.raises(UserError, match="prepared data have changed"):
        crossval._open(begin(data=str(ways / way)), run)


@pytest.mark.parametrize("way", OTHERS)
def test_a_begun_run_refuses_a_source_prepared_in_another_way(ways, experiment, tmp_path, way):
    def origin(way):
        run = experiment(data="", source=f"films={ways / way}")
        plan = resolve(run)
        return [["tiny", describe(plan_stages(plan, 0, None), plan)]]

    run = tmp_path / "run"
    check_sources(run, origin("plain"))
    RunFolder(run).fold(0).path.mkdir(parents=True)
    RunFolder(run).fold(0).facts.write_text("{}")
    check_sources(run, origin("plain again"))
    with pytest.raises(UserError, match="source's data or weights have changed"):
        check_sources(run, origin(way))


@pytest.mark.parametrize("way", OTHERS)
def test_a_begun_study_refuses_data_prepared_in_another_way(ways, experiment, tmp_path, way):
    share_folds(tmp_path, experiment(data=str(ways / "plain")))
    share_folds(tmp_path, experiment(data=str(ways / "plain again")))
    with pytest.raises(UserError, match="data differ"):
        share_folds(tmp_path, experiment(data=str(ways / way)))
