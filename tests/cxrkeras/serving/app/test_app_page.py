import asyncio
import base64
import io
import socket
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from cxrkeras.cli import main
from cxrkeras.serving.app import answers, serve
from cxrkeras.serving.app.gate import address
from cxrkeras.serving.app.judge import RemoteJudge
from cxrkeras.serving.app.terms import Terms
from cxrkeras.serving.server.client import Remote
from data_prep.errors import UserError
from tests.cxrkeras.serving.app import page_files
from tests.cxrkeras.serving.app.page_files import Saying
from tests.cxrkeras.serving.app.visitor import RUN


@pytest.fixture(scope="module")
def page():
    pytest.importorskip("gradio", reason="the extra `app` isn't installed")
    from cxrkeras.serving.app.desk import Desks
    from cxrkeras.serving.app.inbox import Inbox
    from cxrkeras.serving.app.page import Page
    from cxrkeras.serving.app.reading import Reader
    from data_prep.films.square import Settings

    reader = Reader(Settings(size=64))
    yield Page(Saying(), reader, Desks(), Inbox(100_000), Terms(100_000))
    reader.close()


def arrive(page, body, session="me"):
    return page._arrive(session, page._inbox.put(body))


def panes(page, session):
    return page._desks.of(session).panes


def test_films_come_with_a_message_and_the_desk_s_key(page):
    for number in (1, 2):
        message = arrive(page, page_files.dicom(page_files.grey(number)))
        assert f"Film {number} has been read." in message
        assert f'data-key="{page._desks.of("me").key}" data-film="{number}"' in message
    assert [pane.number for pane in panes(page, "me").values()] == [1, 2]
    assert panes(page, "me")[1].findings[0].label == "Bright"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"nothing", "neither DICOM, PNG, JPEG nor TIFF"),
        (page_files.dicom(page_files.grey(0), "FOOT"), "body part FOOT: not a chest"),
    ],
)
def test_a_refused_film_leaves_the_one_before_it(page, body, told):
    arrive(page, page_files.picture(page_files.grey(1)), session="other")
    message = arrive(page, body, session="other")
    assert "cx-bad" in message
    assert 'data-film="0"' in message
    assert told in message
    assert panes(page, "other")


@pytest.mark.parametrize(("ticket", "told"), [("too-large", "0.1 MB"), ("failed", "arrive")])
def test_what_did_not_arrive_is_said(page, ticket, told):
    message = page._arrive("third", ticket)
    assert told in message.replace("0.0953674", "0.1")


def test_an_upload_waits_for_room_or_is_told_when_to_ask_again(monkeypatch):
    """And one that nobody fetches is forgotten in time, not at the next upload."""
    pytest.importorskip("fastapi", reason="the extra `app` isn't installed")
    httpx = pytest.importorskip("httpx")
    from fastapi import FastAPI

    from cxrkeras.serving.app import routes
    from cxrkeras.serving.app.inbox import Inbox

    monkeypatch.setattr(routes, "_QUEUE", 0.4)
    inbox, app = Inbox(10, room=10, seconds=1.2), FastAPI()
    routes.add(app, inbox, None, None)

    async def send():
        inner = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=inner, base_url="http://localhost") as client:
            first = await client.post("/film", content=b"0" * 8)
            refused = await client.post("/film", content=b"0" * 8)
            waiting = asyncio.create_task(client.post("/film", content=b"1" * 8))
            await asyncio.sleep(0.2)
            fetched = inbox.take(first.text)
            second = await waiting
            await asyncio.sleep(1.4)
            return refused, fetched, second

    refused, fetched, second = asyncio.run(send())
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert fetched == b"0" * 8
    assert second.status_code == 200
    assert inbox.take(second.text) is None
    assert inbox.reserve(10)


def test_of_too_many_films_the_last_ones_are_refused(page, monkeypatch):
    monkeypatch.setattr("cxrkeras.serving.app.page.FILMS", 2)
    film = page_files.picture(page_files.grey(0))
    for _ in range(2):
        arrive(page, film, session="many")
    assert "2 films are open, the most at once. Close one first." in arrive(page, film, "many")
    del panes(page, "many")[2]
    assert "Film 3 has been read." in arrive(page, film, session="many")


def test_who_was_away_longest_makes_room(monkeypatch):
    pytest.importorskip("gradio", reason="the extra `app` isn't installed")
    from cxrkeras.serving.app import desk

    monkeypatch.setattr(desk, "_HELD", 4)
    desks = desk.Desks()
    keys = {}
    for session in ("a", "b", "c"):
        held = desks.of(session)
        keys[session] = held.key
        held.panes |= {1: None, 2: None}
        if session == "b":
            assert desks.find(keys["a"]) is not None  # a is back
    assert desks.find(keys["b"]) is None
    assert desks.find(keys["a"]) is not None
    assert desks.find(keys["c"]) is not None


@pytest.mark.usefixtures("page")
def test_a_map_goes_out_as_a_byte_for_each_pixel():
    from cxrkeras.serving.app import routes
    from cxrkeras.serving.app.desk import Pane
    from cxrkeras.serving.app.reading import see
    from data_prep.films.square import Settings

    seen, judge = see(page_files.picture(page_files.grey(0)), Settings(size=64)), Saying()
    told = routes._map(Pane(1, seen, judge.findings(seen)), judge, 0)
    share, lines = (np.frombuffer(base64.b64decode(told[name]), np.uint8)
                    for name in ("share", "lines"))  # fmt: skip
    assert share.size == lines.size == seen.film.size
    assert set(lines) == {0, 1, 2}
    assert share[lines == 1].min() >= 180 >= share[lines == 2].max()
    assert "map of 8 x 8 cells" in told["told"]


def test_what_the_judge_notes_stands_below_the_film(page):
    dim = np.full((60, 60), 5, np.uint8)
    dim[20:40, 20:40] = 30
    arrive(page, page_files.picture(dim), session="noted")
    assert "<li>dark</li>" in answers.notes(panes(page, "noted")[1])


def test_a_colour_picture_is_taken_and_said(page):
    colour = np.stack([page_files.grey(seed) for seed in range(3)], axis=-1)
    arrive(page, page_files.picture(colour), session="colour")
    assert "its luminance is used" in answers.notes(panes(page, "colour")[1])


def test_unforeseen_errors_tell_their_kind_only(page, monkeypatch):
    def fail(body):
        raise LookupError("Featherstonehaugh")

    monkeypatch.setattr(page._reader, "read", fail)
    message = arrive(page, b"film", session="fourth")
    assert "unforeseen LookupError" in message
    assert "Featherstonehaugh" not in message


def test_a_server_is_asked_with_bare_pixels(monkeypatch):
    asked = []

    def answer(server, name, contents, **_):
        asked.append(contents)
        return Remote(("Mass", "Nodule"), np.array([[0.7, 0.2]]), np.array([0.5, np.nan]),
                      np.array([len(asked) < 3]))  # fmt: skip

    monkeypatch.setattr("cxrkeras.serving.app.judge.predict_remote", answer)
    from cxrkeras.serving.app.reading import see
    from data_prep.films.square import Settings

    judge = RemoteJudge("http://there:8501", "cxr")
    assert judge.labels == ("Mass", "Nodule")
    assert judge.no_maps
    assert judge.figure == "Score"  # what its loss did isn't known here
    seen = see(page_files.dicom(page_files.grey(0)), Settings(size=64), True)
    findings = judge.findings(seen)
    assert [(f.label, f.probability, f.threshold, f.positive) for f in findings] == [
        ("Mass", 0.7, 0.5, True),
        ("Nodule", 0.2, None, None),
    ]
    (content,) = asked[1]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), page_files.grey(0))
    assert page_files.PATIENT.encode() not in content
    with pytest.raises(UserError, match="couldn't use"):
        judge.findings(seen)


def test_behind_the_gate_no_file_is_read_either(monkeypatch, tmp_path):
    """No event takes a part of Gradio's, which alone would copy a file that is named to it."""
    pytest.importorskip("gradio", reason="the extra `app` isn't installed")
    httpx = pytest.importorskip("httpx")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    secret = b"a secret, which nobody uploaded"
    (tmp_path / "secret.txt").write_bytes(secret)
    file = {"meta": {"_type": "gradio.FileData"}, "path": str(tmp_path / "secret.txt")}
    plain = {"data": [], "fn_index": 0, "session_hash": "me", "event_data": {"ticket": "x"}}
    bodies = [plain | {"data": [file]}, plain | {"event_data": {"ticket": file}}]

    async def post():  # Gradio makes an event loop where there is none
        gate, _ = serve.build(Saying(), Terms(1000))
        inner = httpx.ASGITransport(gate._app)
        async with httpx.AsyncClient(transport=inner, base_url="http://localhost") as client:
            return [(await client.post(RUN, json=body)).content for body in bodies]

    assert not any(secret in content for content in asyncio.run(post()))
    assert not list((tmp_path / "cache").rglob("*"))


def test_help_and_a_taken_port_import_nothing_heavy():
    code = (
        "import sys\nfrom cxrkeras.cli import main\n"
        "for words in (['--help'], ['run', '--port', sys.argv[1]]):\n"
        "    try:\n        main(['app', *words])\n    except SystemExit:\n        pass\n"
        "heavy = {'gradio', 'tensorflow', 'keras', 'pandas', 'scipy'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = [sys.executable, "-c", code, str(taken.getsockname()[1])]
        done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "127.0.0.1" in done.stdout
    assert "Loading" not in done.stderr


def told(capsys, *words):
    with pytest.raises(SystemExit) as end:
        main(["app", *words])
    return end.value.code, capsys.readouterr().err


def test_without_the_extra_one_line_says_how_to_install_it(capsys, monkeypatch):
    monkeypatch.setattr(address.importlib.util, "find_spec", lambda name: None)
    code, line = told(capsys, "model")
    assert (code, line.count("\n")) == (1, 1)
    assert "pip install 'cxrkeras[app]'" in line


def test_a_taken_port_is_said_before_the_model_is_loaded(capsys, monkeypatch):
    monkeypatch.setattr(address, "check_installed", lambda: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, line = told(capsys, "no-such-model", "--port", str(port))
    assert (code, line.count("\n")) == (1, 1)
    assert f"--port {port} can't be used: Address already in use. Give" in line


def test_addresses_are_ones_that_a_browser_opens():
    with address.listen("127.0.0.1", 0) as here, address.listen("0.0.0.0", 0) as wide:
        assert address.url_of(here) == f"http://127.0.0.1:{here.getsockname()[1]}"
        assert address.url_of(wide) == f"http://127.0.0.1:{wide.getsockname()[1]}"


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_a_page_that_others_reach_is_warned_of(capsys, monkeypatch, host, warned):
    started = []
    monkeypatch.setattr(address, "check_installed", lambda: None)
    monkeypatch.setattr("cxrkeras.commands.app._local", lambda path, rule: Saying())
    monkeypatch.setattr(
        serve,
        "serve",
        lambda judge, terms, sockets, open_page: started.append((terms, *sockets)),
    )
    code, said = told(capsys, "model", "--host", host, "--port", "0", "--max-mb", "2")
    ((terms, taken),) = started
    taken.close()
    assert code == 0
    assert "Loading model; the page's address follows." in said
    assert ("Warning" in said) is warned
    assert terms == Terms(2 * 2**20, local=not warned)
