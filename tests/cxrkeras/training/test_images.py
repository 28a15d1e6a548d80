"""Where a training's images come from, and that it makes no difference to what is trained."""

import numpy as np
import pytest

from cxrkeras.data import images as decoding
from cxrkeras.data.dataset import load_dataset
from cxrkeras.training.crossval import cross_validate
from cxrkeras.training.images import open_images

pytestmark = pytest.mark.shares_runs
RESULTS = ("predictions.csv", "metrics.json", "operating_points.json", "folds/0/history.csv")


@pytest.fixture
def opened(experiment, data):
    def images(where: str):
        return open_images(experiment(pixel_cache=where), load_dataset(data / "target"), 48, ())

    return images


def test_images_that_fit_in_memory_are_kept_there_unless_a_folder_is_named(opened, cache, tmp_path):
    assert opened("auto").pixels is not None
    assert opened("off").pixels is not None
    assert not (cache / "pixels").exists()
    assert opened(str(tmp_path / "mine")).pixels is None
    assert len(list((tmp_path / "mine").iterdir())) == 2


def test_others_are_kept_in_the_cache_folder(opened, cache, monkeypatch, capsys):
    monkeypatch.setattr(decoding, "RAM_LIMIT", 0)
    decoded = opened("off").take(np.arange(3)).numpy()
    assert not (cache / "pixels").exists()
    capsys.readouterr()
    np.testing.assert_array_equal(opened("auto").take(np.arange(3)), decoded)
    assert f"pixels are kept in {cache / 'pixels'}" in capsys.readouterr().err.replace("\n", "")
    assert {path.suffix for path in (cache / "pixels").iterdir()} == {".pixels", ".rows"}


@pytest.mark.slow
def test_a_run_with_a_cache_ends_with_the_same_bytes(
    runs, experiment, choices, tmp_path, monkeypatch
):
    """Sources and target, while the cache is built and from a finished one."""
    without = runs("cotrain")
    for turn in ("built", "there"):
        monkeypatch.setenv("CXRKERAS_CACHE", str(tmp_path / f"cache-{turn}"))
        described = experiment(**choices("cotrain"), pixel_cache=str(tmp_path / "pixels"))
        cross_validate(described, tmp_path / turn)
        for name in RESULTS:
            assert (tmp_path / turn / name).read_bytes() == (without / name).read_bytes(), name
        sources = [p.name for p in (without / "stages").iterdir()]
        assert [p.name for p in (tmp_path / turn / "stages").iterdir()] == sources  # the same keys
    assert len(list((tmp_path / "pixels").glob("*.pixels"))) == 3
