"""Requests that would have the page read, copy or fetch what isn't an upload."""

import asyncio
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrkeras.serving.app.gate.bodies import Refused, whole
from tests.cxrkeras.serving.app import page_files
from tests.cxrkeras.serving.app.visitor import (
    RUN,
    ask,
    events,
    kept,
    key_in,
    status,
    told,
    visit,
)

SECRET = b"Zebedee's secret, which nobody uploaded"
NAMED = {"meta": {"_type": "gradio.FileData"}}


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret.txt"
    path.write_bytes(SECRET)
    (tmp_path / "link.txt").symlink_to(path)
    return path


def unharmed(served):
    """Nothing was copied or printed, and the page answers."""
    assert [path for path in kept(served) if path.read_bytes()[:100] == SECRET] == []
    assert kept(served) == []
    assert "Traceback" not in served.told.read_text()
    assert "has been read." in visit(served, 0, page_files.picture(page_files.grey(0)))


def bodies(file):
    """Events that name a file, in every place of their body."""
    plain = {"data": [], "fn_index": 0, "session_hash": "me", "event_data": None}
    sent = {"ticket": "x"}
    yield from (plain | {"event_data": sent, "data": data} for data in (
        [file], [file, 100], [[file], 100], [{"value": file}, 100], [{"a": [{"b": file}]}, file],
        [json.dumps(file), 100], {"0": file},
    ))  # fmt: skip
    yield from (plain | {"event_data": value} for value in (
        file, [file], file | sent,
        {"ticket": file}, sent | {"slot": "A"}, sent | {"file": file},
    ))  # fmt: skip
    yield from ({**plain, "event_data": sent, key: file} for key in (
        "fn_index", "session_hash", "trigger_id", "event_id", "oauth_token", "batched", "file",
    ))  # fmt: skip
    yield from ([file], file, [plain | {"data": [file]}])


@pytest.mark.parametrize("name", ["/dev/zero", "secret", "link", "up", "url"])
def test_no_event_can_name_a_file(served_plainly, secret, name):
    up = os.path.relpath(secret, served_plainly.working)
    path = {"secret": str(secret), "link": str(secret.with_name("link.txt")), "up": up,
            "url": secret.as_uri()}.get(name, name)  # fmt: skip
    file = NAMED | {"path": path, "url": path}
    for body in bodies(file):
        for kind in ("application/json", "text/plain"):
            code, _, text = ask(served_plainly, RUN, json.dumps(body), **{"Content-Type": kind})
            assert code == 422, body
            assert SECRET.decode() not in text
    unharmed(served_plainly)


def multipart(field, content):
    lines = [b"--edge", f'Content-Disposition: form-data; name="{field}"; filename="x"'.encode()]
    return b"\r\n".join([*lines, b"", content, b"--edge--", b""])


@pytest.mark.parametrize("route", ["upload", "component_server", "run/predict", "api/predict",
                                   "process_recording", "queue/join", "stream/event"])  # fmt: skip
def test_no_file_comes_in_as_a_form(served_plainly, route):
    kind = {"Content-Type": "multipart/form-data; boundary=edge"}
    for field in ("files", "data", "file"):
        code = status(served_plainly, f"/gradio_api/{route}", multipart(field, SECRET), **kind)
        assert code in (404, 422)
    unharmed(served_plainly)


CLIMBS = [
    "../" * 12,
    "..%2f" * 12,
    "%2e%2e/" * 12,
    "%2e%2e%2f" * 12,
    "..%5c" * 12,
    "/",
    "%2f",
    "./",
]
DOORS = ["/gradio_api/file=", "/gradio_api/file/", "/file=", "/static/", "/assets/", "/svelte/",
         "/gradio_api/proxy=file://", "/gradio_api/custom_component/1/client/x/", "/desk/x/",
         "/desk/x/grey/",
         "/gradio_api/heartbeat/", "/assets/%2e%2e/%2e%2e/gradio_api/file=", "/"]  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
def test_no_path_leads_to_a_file(served_plainly, secret, door):
    for climb in CLIMBS:
        for path in (f"{climb}{str(secret)[1:]}", f"{climb}etc/passwd", str(secret)):
            if door.endswith("heartbeat/") and "/" not in path and "%" not in path:
                continue  # the name of a session, which stays open
            code, _, text = ask(served_plainly, f"{door}{path}")
            assert code in (403, 404), path
            assert SECRET.decode() not in text
            assert "root:" not in text
    unharmed(served_plainly)


SHUT = {
    "GET": "config info openapi.json docs redoc monitoring monitoring/summary user token "
    "login_check dev/reload startup-events runs run-history/buckets deep_link upload_progress "
    "queue/data?session_hash=me vibe-code stream/a/b/c/playlist.m3u8 call/adjust/1 pwa_icon "
    "robots.txt logout mcp/sse profiling/traces",
    "POST": "login api/predict run/adjust run/predict/ call/adjust call/v2/adjust queue/join reset "
    "cancel component_server upload stream/1 stream/1/close vibe-edit run-history/connect "
    "process_recording film/ theme.css",
}


@pytest.mark.parametrize(
    ("method", "path"), [(method, name) for method in SHUT for name in SHUT[method].split()]
)
def test_what_the_page_does_not_need_is_shut(served_plainly, method, path):
    body = None if method == "GET" else json.dumps({"data": []})
    for prefix in ("", "/gradio_api"):
        assert status(served_plainly, f"{prefix}/{path}", body) == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/", "/film", RUN])
def test_other_methods_are_shut(method, path):
    from cxrkeras.serving.app.gate.gate import _is_open

    assert not _is_open(method, path)


@pytest.mark.parametrize("event", [99, -1, 2**70, 0.5, "0", None, True, [0], {"0": 0}])
def test_an_unknown_event_is_refused_quietly(served_plainly, event):
    assert told(served_plainly, event, [50, 100])[0] == 422
    assert "Traceback" not in served_plainly.told.read_text()


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 60_000, b"\xff\xfe", b"null", b"NaN", b"{}",
                                  b'{"data":[],"data":[],"fn_index":1e400}'])  # fmt: skip
def test_what_is_no_event_is_refused_quietly(served_plainly, body):
    assert status(served_plainly, RUN, body, **{"Content-Type": "application/json"}) == 422
    assert "Traceback" not in served_plainly.told.read_text()


SHEET = {"films": [{"film": 1, "level": 50, "width": 100, "inverted": False}], "label": 0,
         "opacity": 50, "words": "case 7"}  # fmt: skip


def test_every_view_is_drawn_or_refused_quietly(served_plainly):
    upload = events(served_plainly)["cx-desk", "upload"]
    film = page_files.picture(page_files.grey(0))
    key = key_in(visit(served_plainly, upload, film, session="views"))
    ways = {
        200: [{}, {"label": None}, {"label": 10**6}, {"words": "<b>" * 60}, {"words": "\x00"}],
        404: [{"films": [SHEET["films"][0] | {"film": 2}]}],
        422: [{"films": []}, {"films": 3 * SHEET["films"]}, {"label": "0"}, {"opacity": 1e308},
              {"words": "w" * 201}, {"words": None}, {"path": "/dev/zero"},
              *({"films": [SHEET["films"][0] | {name: value}]} for name, value in (
                  ("level", -1), ("level", None), ("width", 0), ("width", "100"),
                  ("inverted", 1), ("film", 0), ("film", 2**70), ("file", NAMED)))],
    }  # fmt: skip
    for code, views in ways.items():
        for view in views:
            body = json.dumps(SHEET | view)
            assert status(served_plainly, f"/desk/{key}/cxrkeras.json", body) == code, view
    for body in (b"", b"{", b"[" * 60_000, b"\xff\xfe", b"null", b"NaN"):
        assert status(served_plainly, f"/desk/{key}/cxrkeras.json", body) == 422
    for kind in ("exe", "", "json%00", "../json"):
        code = status(served_plainly, f"/desk/{key}/cxrkeras.{kind}", json.dumps(SHEET))
        assert code in (404, 405)
    assert "Traceback" not in served_plainly.told.read_text()


def test_only_who_has_the_key_sees_a_film(served_plainly):
    upload = events(served_plainly)["cx-desk", "upload"]
    film = page_files.picture(page_files.grey(0))
    key = key_in(visit(served_plainly, upload, film, session="mine"))
    assert status(served_plainly, f"/desk/{key}/grey/1") == 200
    for wrong in ("mine", key[:-1], f"{key}x", "%00", "*"):
        for what in ("films", "grey/1", "map/1/0", "answers/1"):
            assert status(served_plainly, f"/desk/{wrong}/{what}") == 404
        assert status(served_plainly, f"/desk/{wrong}/close/1", b"") == 404
    for number in ("0", "2", "-1", "1.0", "%D9%A1", "9" * 5000, "1e0", ""):
        for what in ("grey", "answers"):
            assert status(served_plainly, f"/desk/{key}/{what}/{number}") == 404
        assert status(served_plainly, f"/desk/{key}/map/1/{number or -1}") in (200, 404)
    assert status(served_plainly, f"/desk/{key}/close/1", b"") == 200
    assert status(served_plainly, f"/desk/{key}/grey/1") == 404
    assert "Traceback" not in served_plainly.told.read_text()


def test_only_events_that_send_a_film_may(served_plainly):
    page = events(served_plainly)
    sent = {"ticket": "unknown"}
    assert told(served_plainly, page["cx-desk", "upload"], sent=sent)[0] == 200
    assert told(served_plainly, page["cx-desk", "upload"])[0] == 422
    assert told(served_plainly, page["cx-desk", "upload"], sent=sent, session="../x")[0] == 422


# Without a running page.

CONFIG = {
    "components": [{"id": 1, "type": "slider"}, {"id": 2, "type": "file"}],
    "dependencies": [
        {"id": 0, "inputs": [1], "targets": [[1, "input"]], "collects_event_data": False},
        {"id": 1, "inputs": [], "targets": [[1, "input"]], "collects_event_data": True},
        {"id": 2, "inputs": [2], "targets": [[1, "input"]], "collects_event_data": False},
        {"id": 3, "inputs": [], "targets": [[None, "unload"]], "collects_event_data": False},
    ],
}  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5),
    st.just(NAMED | {"path": "/dev/zero"}),
)  # fmt: skip
KEYS = st.text(max_size=5)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
)


@given(
    st.fixed_dictionaries(
        {"fn_index": st.integers(0, 4) | TREES, "session_hash": st.just("me") | TREES,
         "data": st.lists(TREES, max_size=2) | st.just([]) | st.just([1])},
        optional={"event_data": TREES | st.just({"ticket": "t"}), "trigger_id": TREES},
    )
)  # fmt: skip
@settings(max_examples=40)
def test_what_is_handed_on_is_plain(body):
    from cxrkeras.serving.app.gate.events import Events

    handed = Events(CONFIG).understood(json.dumps(body).encode())
    if handed is not None:
        event = json.loads(handed)
        assert set(event) == {"fn_index", "session_hash", "data", "event_data"}
        assert event["fn_index"] in (0, 1)  # never one that takes a file, nor the server's own
        assert all(value is None or isinstance(value, float) for value in event["data"])
        assert b"FileData" not in handed


def test_a_body_is_read_within_its_size_and_at_a_pace(monkeypatch):
    def body(count, pause=0.0, more=True):
        parts = [{"body": b"0" * 1000, "more_body": k + 1 < count or more} for k in range(count)]

        async def receive():
            await asyncio.sleep(pause)
            return {"type": "http.request", **parts.pop(0)}

        return receive

    assert asyncio.run(whole(body(3, more=False), 3000)) == b"0" * 3000
    with pytest.raises(Refused) as too:
        asyncio.run(whole(body(4), 3000))
    assert too.value.status == 413
    monkeypatch.setattr("cxrkeras.serving.app.gate.bodies._PATIENCE", 0.05)
    with pytest.raises(Refused) as too:
        asyncio.run(whole(body(99, pause=0.03), 99_000))
    assert too.value.status == 408
