"""From an archive's real layout to a cross-validated run, killed on the way and gone on with."""

import numpy as np
import pytest
from PIL import Image

from cxrkeras.registry import READERS
from cxrkeras.training.crossval import cross_validate
from cxrkeras.training.fitting.progress import EpochLines
from data_prep.dataset.journal import Journal
from data_prep.dataset.prepare import prepare
from tests.data_prep.readers.archives import contents
from tests.data_prep.readers.boxed_trees import TREES, marked

FILMS = 24
SHAPES = [(512, 384), (512, 512), (320, 512)]


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize("layout", TREES)
def test_a_tree_of_real_films_is_prepared_and_learned_from(
    layout, real, experiment, tmp_path, monkeypatch
):
    name, write = TREES[layout]
    paths = sorted(real("nih_target", "images").glob("*.png"))[:FILMS]
    films = [_film(path, *SHAPES[number % len(SHAPES)]) for number, path in enumerate(paths)]
    source = READERS.load(name)().read(write(tmp_path / "raw", marked(films)), name)
    assert len(source.records) == FILMS
    monkeypatch.setenv("CXRKERAS_CACHE", str(tmp_path / "cache-killed"))
    data = _after_a_kill(
        lambda out: prepare(source, out, key=b"k", public=True, size=48, workers=0, progress=False),
        tmp_path / "data",
        monkeypatch,
        (Journal, "add", 5),
    )
    one = experiment(data=str(data / "whole"), epochs=2)
    run = _after_a_kill(
        lambda out: cross_validate(one, out),
        tmp_path / "run",
        monkeypatch,
        (EpochLines, "on_epoch_begin", 3),
    )
    for folder in (data, run):
        for file in ("manifest.csv", "boxes.csv", "predictions.csv", "folds.csv"):
            if (folder / "whole" / file).exists():
                assert (folder / "whole" / file).read_bytes() == (
                    folder / "killed" / file
                ).read_bytes()
    assert contents(data / "whole" / "images") == contents(data / "killed" / "images")


def _film(path, rows: int, columns: int) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"))[:rows, :columns]


def _after_a_kill(work, folder, monkeypatch, where):
    """A folder with `whole`, done at once, and `killed`, killed at the n-th call and resumed."""
    kind, method, count = where
    work(folder / "whole")
    whole, calls = getattr(kind, method), []

    def kill(*arguments, **options):
        calls.append(1)
        if len(calls) == count:
            raise KeyboardInterrupt
        return whole(*arguments, **options)

    monkeypatch.setenv("CXRKERAS_CACHE", str(folder / "another-cache"))
    with monkeypatch.context() as patch:
        patch.setattr(kind, method, kill)
        with pytest.raises(KeyboardInterrupt):
            work(folder / "killed")
    work(folder / "killed")
    return folder
