"""From an archive's real layout to a cross-validated run, killed on the way and gone on with."""

import numpy as np
import pydicom
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


@pytest.fixture
def learned(experiment, tmp_path, monkeypatch):
    """`learned(source)`: prepared and learned from, at once and after kills, to the same bytes."""

    def check(source):
        monkeypatch.setenv("CXRKERAS_CACHE", str(tmp_path / "cache-whole"))
        settings = {"public": True, "size": 48, "workers": 0, "progress": False, "views": "all"}
        data = _after_a_kill(
            lambda out: prepare(source, out, key=b"k", **settings),
            tmp_path / "data",
            monkeypatch,
            (Journal, "add", max(2, len(source.records) // 3)),
        )
        one = experiment(data=str(data / "whole"), epochs=2, validation_fraction=0)
        run = _after_a_kill(
            lambda out: cross_validate(one, out),
            tmp_path / "run",
            monkeypatch,
            (EpochLines, "on_epoch_begin", 3),  # the second fold's first
        )
        for folder, files in (
            (data, ("manifest.csv", "boxes.csv", "rejected.csv")),
            (run, ("predictions.csv", "folds.csv", "metrics.json")),
        ):
            for file in files:
                whole = folder / "whole" / file
                assert whole.exists() or file in ("boxes.csv", "rejected.csv")
                if whole.exists():
                    assert whole.read_bytes() == (folder / "killed" / file).read_bytes(), file
        assert contents(data / "whole" / "images") == contents(data / "killed" / "images")

    return check


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize("layout", TREES)
def test_a_tree_of_real_films_is_prepared_and_learned_from(layout, real, learned, tmp_path):
    name, write = TREES[layout]
    paths = sorted(real("nih_target", "images").glob("*.png"))[:FILMS]
    films = [_film(path, *SHAPES[number % len(SHAPES)]) for number, path in enumerate(paths)]
    source = READERS.load(name)().read(write(tmp_path / "raw", marked(films)), name)
    assert len(source.records) == FILMS
    learned(source)


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize("name", READERS.names())
def test_every_reader_s_example_of_real_films_is_learned_from(name, real, learned, tmp_path):
    raw, reader = READERS.load(name).example(tmp_path / "raw")
    films = sorted(real("nih_target", "images").glob("*.png"))
    for number, record in enumerate(reader.read(raw, name).records):
        _redraw(record.path, films[37 * number])
    learned(reader.read(raw, name))


def _redraw(path, film) -> None:
    """Put a film into a picture, whose size and header stay."""
    with Image.open(film) as picture:
        grey = picture.convert("L").resize((64, 64))
    if path.suffix in (".dcm", ".dicom"):
        dataset = pydicom.dcmread(path)
        dataset.PixelData = grey.tobytes()
        dataset.save_as(path)
    else:
        grey.save(path)


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
