"""The page under load: many uploads at once, broken ones, slow ones; nothing of them may stay.

Run with `pytest -m slow tests/cxrkeras/serving/app/test_app_load.py`.
"""

import json
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from tests.cxrkeras.serving.app import page_files
from tests.cxrkeras.serving.app.page_files import LIMIT
from tests.cxrkeras.serving.app.visitor import (
    RUN,
    ask,
    events,
    kept,
    key_in,
    status,
    visit,
    weight,
)

pytestmark = pytest.mark.slow
MIB = 2**20
NOISE = b"0" * LIMIT  # no film


@pytest.fixture(scope="module")
def upload(served):
    """The event of a film A, from a page that was busy before: its threads and heap are there."""
    event = events(served)["cx-desk", "upload"]
    with ThreadPoolExecutor(200) as visitors:
        list(visitors.map(lambda k: visit(served, event, film(k)), range(60)))
        list(visitors.map(lambda k: visit(served, event, NOISE), range(200)))
    return event


def film(seed):
    return page_files.picture(page_files.grey(seed, 400, 400))


def settled(served, before):
    """Open files and memory, once they are about as before, or after a minute."""
    for _ in range(60):
        files, held = weight(served)
        if files <= before[0] + 5 and held <= before[1] + 64 * MIB:
            break
        time.sleep(1)
    return files, held


@pytest.fixture
def unchanged(served, upload):
    """After the test the page holds what it held, and answers."""
    time.sleep(6)  # until connections of the test before are closed
    before = weight(served)
    yield
    assert "has been read." in visit(served, upload, film(0))
    files, held = settled(served, before)
    print(f"files {before[0]} -> {files}; MiB {before[1] / MIB:.0f} -> {held / MIB:.0f}")
    assert files <= before[0] + 5
    assert held <= before[1] + 64 * MIB
    assert kept(served) == []
    assert "Traceback" not in served.told.read_text()


@pytest.mark.parametrize("count", [60, 200])
@pytest.mark.usefixtures("unchanged")
def test_parallel_uploads_are_all_read(served, upload, count):
    begun = time.monotonic()
    with ThreadPoolExecutor(count) as visitors:
        shown = list(visitors.map(lambda k: visit(served, upload, film(k)), range(count)))
    print(f"{count} uploads: {time.monotonic() - begun:.1f} s")
    assert all("Film 1 has been read." in text for text in shown)


@pytest.fixture
def loaded(served, upload):
    """The page after 200 bodies of the largest size, whose memory the allocator gives back late."""
    with ThreadPoolExecutor(200) as visitors:
        list(visitors.map(lambda k: visit(served, upload, NOISE), range(200)))


@pytest.mark.usefixtures("loaded", "unchanged")
def test_parallel_uploads_of_the_largest_size_are_refused_in_words(served, upload):
    with ThreadPoolExecutor(200) as visitors:
        shown = list(visitors.map(lambda k: visit(served, upload, NOISE), range(200)))
    assert all("neither DICOM, PNG, JPEG nor TIFF" in text for text in shown)


def begin(served, path, length, part):
    """A POST that is only begun."""
    address = urlsplit(served.url)
    connection = socket.create_connection((address.hostname, address.port))
    head = f"POST {path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {length}\r\n\r\n"
    connection.sendall(head.encode() + part)
    return connection


@pytest.mark.parametrize("path", ["/film", RUN])
@pytest.mark.usefixtures("unchanged")
def test_fifty_resets(served, path):
    length = LIMIT if path == "/film" else 60_000
    begun = [begin(served, path, length, b"0" * (length // 2)) for _ in range(50)]
    time.sleep(0.5)
    for connection in begun:  # RST instead of an orderly end
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()


@pytest.mark.usefixtures("unchanged")
def test_a_visitor_who_is_cut_off_while_the_film_is_read(served, upload):
    for seed in range(20):
        event = {"data": [], "fn_index": upload, "session_hash": f"gone{seed}"}
        event["event_data"] = {"ticket": "unknown"}
        body = json.dumps(event).encode()
        begin(served, RUN, len(body), body).close()


@pytest.mark.usefixtures("unchanged")
def test_slow_bodies_are_sent_away_and_hold_up_nobody(served, upload):
    slow = [begin(served, path, 60_000, b"0") for path in ("/film", RUN) for _ in range(50)]
    begun = time.monotonic()
    assert "has been read." in visit(served, upload, film(1))
    assert time.monotonic() - begun < 15
    for connection in slow:
        with closing(connection):
            connection.settimeout(60)
            assert b" 408 " in connection.recv(100)


@pytest.mark.usefixtures("unchanged")
def test_connections_that_ask_for_nothing_are_closed(served, upload):
    address = urlsplit(served.url)
    host = f"Host: {address.netloc}\r\n".encode()
    heads = [
        b"", b"GET / HT", b"GET / HTTP/1.1\r\n" + host,  # headers that don't end
        b"GET /nothing HTTP/1.1\r\n" + host + b"\r\nGET /noth",  # nor after a first request
        b"POST /nothing HTTP/1.1\r\n" + host + b"Content-Length: 99\r\n\r\n0",  # refused; goes on
    ]  # fmt: skip
    idle = []
    for head in 40 * heads:
        connection = socket.create_connection((address.hostname, address.port))
        connection.sendall(head)
        idle.append(connection)
    visit(served, upload, film(1))
    for connection in idle:
        with closing(connection):
            connection.settimeout(60)
            while connection.recv(1000):
                pass


@pytest.mark.usefixtures("unchanged")
def test_visitors_who_leave_no_word_are_forgotten(served, upload):
    keys = [key_in(visit(served, upload, film(0), session=f"visitor{n}")) for n in range(300)]
    code, _, text = ask(served, f"/desk/{keys[0]}/answers/1")
    assert code == 404
    assert "have been forgotten" in text
    assert status(served, f"/desk/{keys[-1]}/answers/1") == 200


@pytest.mark.usefixtures("unchanged")
def test_one_visitor_holds_no_more_than_so_many_films(served, upload):
    from cxrkeras.serving.app.desk import FILMS

    for number in range(1, FILMS + 1):
        assert f"Film {number} has been read." in visit(served, upload, film(0), session="greedy")
    assert "Close one first" in visit(served, upload, film(0), session="greedy")
