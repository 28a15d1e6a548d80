"""Files found, and prepared as `prep` and training do it, in order, whatever is broken."""

import os
import threading
import time

import numpy as np
import pytest
from PIL import Image

from cxrkeras.data.images import Images
from cxrkeras.data.preparation import Preparation
from cxrkeras.serving.predict import films
from cxrkeras.serving.predict.films import FilmStream, find_films, prepare_film
from data_prep.dataset.pool import Died
from data_prep.errors import UserError
from data_prep.films.film import read_film, to_square
from data_prep.films.looks import UNLIKE

SIDE = 30


def write_picture(path, seed: int, mode: str = "L", shape=(61, 47)) -> None:
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    if mode == "I;16":
        Image.fromarray(rng.integers(0, 65536, shape).astype(np.uint16)).save(path)
    else:
        channels = (*shape, len(mode)) if len(mode) > 1 else shape
        Image.fromarray(rng.integers(0, 256, channels).astype(np.uint8), mode).save(path)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The working folder: `a.png`, `[1].png`, `more/b.png`, `more/deep/c.png` and what isn't."""
    for seed, name in enumerate(("a.png", "[1].png", "more/b.png", "more/deep/c.png")):
        write_picture(tmp_path / name, seed)
    write_picture(tmp_path / "more/.hidden.png", 9)
    (tmp_path / "more/notes.txt").write_text("no image")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["a.png"], ["a.png"]),
        (["more"], ["more/b.png", "more/deep/c.png"]),
        (["more/*.png", "a.png"], ["more/b.png", "a.png"]),
        (["**/*.png"], ["[1].png", "a.png", "more/b.png", "more/deep/c.png"]),
        (["[1].png"], ["[1].png"]),
        (["[a-z].png"], ["a.png"]),
        (["more/deep", "more", "./more/b.png"], ["more/deep/c.png", "more/b.png"]),
        (["more/notes.txt"], ["more/notes.txt"]),  # named outright: reading it gives the reason
    ],
)
def test_words_mean_files_folders_and_patterns(place, words, expected):
    found, refused = find_films(words)
    assert [path.as_posix() for path in found] == expected
    assert refused == []


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("absent.png", "there is no such file"),
        ("absent/*.png", "there is no such file"),
        ("", "there is no such file"),
        ("empty", "there is no image or DICOM file in this folder"),
    ],
)
def test_a_word_without_a_file_is_refused_and_the_others_are_found(place, word, reason):
    found, refused = find_films([word, "a.png"])
    assert [path.name for path in found] == ["a.png"]
    assert [film.reason for film in refused] == [reason]


def test_a_link_out_of_a_folder_is_refused(place):
    os.symlink(place / "a.png", place / "more/out.png")
    found, refused = find_films(["more"])
    assert [path.name for path in found] == ["b.png", "c.png"]
    assert [(f.path.name, f.reason) for f in refused] == [
        ("out.png", "a link that leads out of the folder")
    ]


PREPARATIONS = [Preparation(40), Preparation(40, True, (1.0, 99.0)), Preparation(SIDE)]


@pytest.mark.parametrize("preparation", PREPARATIONS)
def test_images_are_those_that_training_sees(tmp_path, preparation):
    paths, squares = [], []
    for seed, mode in enumerate(("L", "RGBA", "RGB", "I;16")):
        paths.append(tmp_path / f"{seed}.png")
        write_picture(paths[-1], seed, mode)
        pixels = read_film(paths[-1], stretch=preparation.stretch).pixels
        square = to_square(pixels, preparation.image_size, pad=preparation.pad)
        squares.append(tmp_path / "prepared" / f"{seed}.png")
        squares[-1].parent.mkdir(exist_ok=True)
        Image.fromarray(square).save(squares[-1])
    expected = Images([str(path) for path in squares], SIDE).pixels.numpy()[..., 0]
    with FilmStream(paths, preparation, SIDE, workers=0) as stream:
        found = list(stream)
    for film, image in zip(found, expected, strict=True):
        assert np.array_equal(film.image, image)
        assert np.array_equal(prepare_film(film.path, preparation, SIDE).image, image)
    assert found[2].warnings == ("colour image: its luminance is used", UNLIKE)


def test_broken_files_keep_their_place_with_a_reason_in_processes_too(tmp_path):
    paths = [tmp_path / f"{n}.png" for n in range(7)]
    for n, path in enumerate(paths):
        write_picture(path, n)
    paths[1].write_bytes(b"")
    paths[3].write_bytes(paths[2].read_bytes()[:300])
    paths[4].write_text("PNG, honestly")
    paths[5].unlink()
    told = []
    for workers in (0, 2):
        with FilmStream(paths, Preparation(40), SIDE, workers=workers) as stream:
            told.append([(film.path, film.reason, film.image is None) for film in stream])
    assert told[0] == told[1]
    assert [path for path, _, _ in told[0]] == paths
    assert [bool(reason) for _, reason, _ in told[0]] == [
        False,
        True,
        False,
        True,
        True,
        True,
        False,
    ]
    assert all(bool(reason) == none for _, reason, none in told[0])


def test_a_file_on_which_the_decoder_crashes_is_refused(tmp_path, monkeypatch):
    def spread(work, items, workers, limits):
        for number, path in reversed(list(items)):  # done in another order than given
            yield (number, path), Died() if number == 1 else work((number, path))

    monkeypatch.setattr(films, "spread", spread)
    paths = [tmp_path / f"{n}.png" for n in range(3)]
    for n, path in enumerate(paths):
        write_picture(path, n)
    with FilmStream(paths, Preparation(40), SIDE, workers=0) as stream:
        found = list(stream)
    assert [film.path for film in found] == paths
    assert [film.reason for film in found] == ["", "the decoder crashed on this file", ""]


def test_what_stops_the_workers_reaches_the_caller(tmp_path, monkeypatch):
    def spread(work, items, workers, limits):
        raise UserError("memory is short")
        yield

    monkeypatch.setattr(films, "spread", spread)
    with (
        FilmStream([tmp_path / "a.png"], Preparation(40), SIDE) as stream,
        pytest.raises(UserError, match="memory is short"),
    ):
        list(stream)


@pytest.mark.parametrize(("memory", "most"), [(1, 3), (9 * 40 * 40, 9)])
def test_squares_wait_up_to_a_bound_of_memory(tmp_path, monkeypatch, memory, most):
    done = []

    def spread(work, items, workers, limits):
        for number, path in items:
            done.append(number)
            yield (number, path), Died()

    monkeypatch.setattr(films, "spread", spread)
    monkeypatch.setattr(films, "_LEAST", 3)
    monkeypatch.setattr(films, "_MEMORY", memory)
    paths = [tmp_path / f"{n}.png" for n in range(20)]
    with FilmStream(paths, Preparation(40), SIDE, workers=0) as stream:
        end = time.monotonic() + 10
        while len(done) <= most and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.05)
        assert len(done) == most + 1  # the last one waits for room
        assert [film.path for film in stream] == paths


def test_nothing_goes_on_once_the_caller_has_left(tmp_path, monkeypatch):
    monkeypatch.setattr(films, "_MEMORY", 0)
    path = tmp_path / "a.png"
    write_picture(path, 0)
    links = [tmp_path / f"{n}.png" for n in range(200)]
    for link in links:
        os.link(path, link)
    before = threading.active_count()
    with FilmStream(links, Preparation(40), SIDE, workers=0) as stream:
        next(iter(stream))
    assert threading.active_count() == before
