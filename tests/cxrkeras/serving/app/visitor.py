"""A visitor of the page without a browser, and what a running page holds."""

import http.client
import json
import os
import re
import secrets
import time
from contextlib import closing, suppress
from pathlib import Path

RUN = "/gradio_api/run/predict"


def ask(served, path, body=None, **headers):
    """(status, headers, text) of a GET, or of a POST where there is a body."""
    connection = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=120)
    with closing(connection):
        with suppress(BrokenPipeError, ConnectionResetError):  # refused before it was all sent
            connection.request("GET" if body is None else "POST", path, body, headers)
        with connection.getresponse() as reply:
            return reply.status, reply.headers, reply.read().decode(errors="replace")


def status(served, path, body=None, **headers):
    """The status alone."""
    return ask(served, path, body, **headers)[0]


def events(served) -> dict[tuple[str, str], int]:
    """The page's events by (part, kind), as it tells browsers."""
    _, _, after = ask(served, "/")[2].partition("gradio_config = ")
    config, _ = json.JSONDecoder().raw_decode(after)
    props = {part["id"]: part["props"] for part in config["components"]}
    return {
        (props[part].get("elem_id"), kind): event["id"]
        for event in config["dependencies"]
        for part, kind in event["targets"]
        if part in props
    }


def told(served, event, data=(), sent=None, session="me"):
    """(status, text) of an event, as Gradio's client sends it."""
    body = {"data": list(data), "fn_index": event, "session_hash": session, "trigger_id": 1}
    body |= {"event_data": sent} if sent is not None else {}
    reply = ask(served, RUN, json.dumps(body), **{"Content-Type": "application/json"})
    return reply[0], reply[2]


def visit(served, upload, film, session=None) -> str:
    """Send a film as the page does, waiting where it is told to; what the page then shows."""
    while (reply := ask(served, "/film", film))[0] == 503:
        time.sleep(float(reply[1]["retry-after"]))
    assert reply[0] == 200, reply
    sent = {"ticket": reply[2]}
    code, text = told(served, upload, sent=sent, session=session or secrets.token_hex(5))
    assert code == 200, text
    return text


def key_in(text) -> str:
    """The desk's key in what the page shows after an upload."""
    return re.search(r'data-key=\\?"([\w-]+)', text).group(1)


def kept(served) -> list[Path]:
    """Files in all places where the page might leave any."""
    places = (served.temporary, served.working)
    return [path for place in places for path in place.rglob("*") if path.is_file()]


def weight(served) -> tuple[int, int]:
    """(open files, resident bytes) of the page's process."""
    process = Path("/proc") / str(served.process.pid)
    pages = int((process / "statm").read_text().split()[1])
    return len(list((process / "fd").iterdir())), pages * os.sysconf("SC_PAGE_SIZE")
