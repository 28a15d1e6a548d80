import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrkeras.data.preparation import Preparation
from cxrkeras.serving.app import reading
from cxrkeras.serving.app.desk import Desks
from cxrkeras.serving.app.inbox import Inbox
from cxrkeras.serving.app.reading import Reader, see
from cxrkeras.serving.predict.films import prepare_film
from data_prep.errors import RejectedFile
from data_prep.films.film import read_film
from data_prep.films.square import Settings
from tests.cxrkeras.serving.app import page_files

SETTINGS = Settings(size=64)
FILM = page_files.grey(0)


@pytest.fixture(scope="module")
def reader():
    reader = Reader(SETTINGS, for_server=True)
    yield reader
    reader.close()


@pytest.mark.parametrize("body", [page_files.picture(FILM), page_files.dicom(FILM)])
def test_an_upload_is_seen_as_prep_and_predict_see_the_file(reader, tmp_path, body):
    file = tmp_path / "film"
    file.write_bytes(body)
    seen = reader.read(body)
    prepared = prepare_film(file, Preparation(64), 64)
    assert np.array_equal(seen.square, prepared.image)
    assert np.array_equal(read_film(body).pixels, read_film(file).pixels)
    assert seen.film.shape == (800, round(800 * 80 / 96))
    assert np.array_equal(read_film(seen.png).pixels, read_film(file).pixels)


def test_a_large_film_is_kept_small():
    seen = see(page_files.picture(np.tile(FILM, (30, 40))), SETTINGS)
    assert max(seen.film.shape) == reading.SHOWN
    assert seen.film.dtype == np.uint16


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty file"),
        (b"no picture at all", "neither DICOM, PNG, JPEG nor TIFF, or damaged"),
        (page_files.picture(FILM)[:2000], "damaged picture"),
        (page_files.dicom(FILM, "KNEE"), "body part KNEE: not a chest radiograph"),
        (page_files.dicom(FILM)[:900], "pixel data can't be decoded|no pixel data"),
        (page_files.picture(np.zeros((40, 40), np.uint8)), "blank"),
    ],
)
def test_what_cant_be_used_is_refused_in_one_line_without_the_patient(reader, body, reason):
    with pytest.raises(RejectedFile, match=reason) as refusal:
        reader.read(body)
    told = str(refusal.value)
    assert "\n" not in told
    assert page_files.PATIENT not in told
    assert "Featherstonehaugh" not in told


def test_a_picture_that_unpacks_to_too_many_pixels_is_refused(reader):
    bomb = page_files.picture(np.zeros((10_001, 10_001), np.uint8), compress_level=1)
    assert len(bomb) < 2**20
    with pytest.raises(RejectedFile, match="more than 100 million"):
        reader.read(bomb)


def die(*_, **__):
    os._exit(1)


def test_a_crash_costs_the_file_and_not_the_page(reader, monkeypatch):
    body = page_files.picture(FILM)
    with monkeypatch.context() as patch:
        patch.setattr(reading, "see", die)
        with pytest.raises(RejectedFile, match="the decoder crashed on this file"):
            reader.read(body)
    assert reader.read(body).square.shape == (64, 64)


def test_a_process_that_was_killed_meanwhile_is_replaced(reader):
    body = page_files.picture(FILM)
    reader.read(body)
    os.kill(reader._worker._process.pid, signal.SIGKILL)
    assert reader.read(body).square.shape == (64, 64)


def test_an_upload_is_handed_over_once():
    inbox = Inbox(10)
    ticket = inbox.put(b"film")
    assert inbox.take(ticket) == b"film"
    assert inbox.take(ticket) is None
    assert inbox.take("too-large") is None


@given(st.lists(st.tuples(st.integers(0, 10), st.booleans()), max_size=30))
def test_uploads_share_one_room(arrivals):
    inbox, held, tickets = Inbox(10, room=40), 0, []
    for size, fetched in arrivals:
        if not inbox.reserve(size):
            assert held + size > 40
            continue
        inbox.release(size)
        tickets.append(inbox.put(bytes(size)))
        held += size
        if fetched:
            held -= len(inbox.take(tickets.pop(0)))
    for ticket in tickets:
        inbox.take(ticket)
    assert inbox.reserve(40)
    assert not inbox.reserve(1)


def test_a_body_of_the_largest_size_always_has_room():
    assert Inbox(100, room=1).reserve(100)


def test_a_desk_is_kept_by_session_found_by_key_and_forgotten(monkeypatch):
    desks, clock = Desks(), [0.0]
    monkeypatch.setattr("cxrkeras.serving.app.desk.time.monotonic", lambda: clock[0])
    desk = desks.of("one")
    assert desk.open(SimpleNamespace(), ()).number == 1
    assert desks.of("one") is desk
    assert desks.find(desk.key) is desk
    del desk.panes[1]
    assert desk.open(SimpleNamespace(), ()).number == 2
    desks.drop("one")
    assert desks.find(desk.key) is None
    kept = desks.of("two")
    for number in range(31):
        desks.of(f"visitor {number}")
    assert desks.find(kept.key) is kept  # and thereby the last again
    desks.of("one too many")
    assert len(desks) == 32
    assert desks.find(kept.key) is kept
    clock[0] = 3601.0
    desks.of("later")
    assert len(desks) == 1
