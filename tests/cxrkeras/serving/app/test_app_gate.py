"""What the running page lets through."""

import asyncio
import http.client
from contextlib import closing, suppress

import pytest
from page_files import LIMIT_MB

from cxrkeras.serving.app.terms import Terms

pytestmark = pytest.mark.slow
LIMIT = round(LIMIT_MB * 2**20)


def ask(served, path, body=None, **headers):
    """(status, headers, text) of a GET, or of a POST where there is a body."""
    connection = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=120)
    with closing(connection):
        with suppress(BrokenPipeError, ConnectionResetError):  # refused before it was all sent
            connection.request("GET" if body is None else "POST", path, body, headers)
        with connection.getresponse() as reply:
            return reply.status, reply.headers, reply.read().decode()


def status(served, path, body=None, **headers):
    return ask(served, path, body, **headers)[0]


def test_the_page_comes_with_rules_that_keep_it_offline(served):
    code, headers, text = ask(served, "/")
    assert code == 200
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert headers["referrer-policy"] == "no-referrer"
    assert "Not for clinical use" in text
    assert '"analytics_enabled":false' in text.replace(" ", "")


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/upload",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/proxy=http://example.org",
        "/gradio_api/vibe-edit",
        "/gradio_api/process_recording",
        "/monitoring",
        "/docs",
        "/openapi.json",
        "/sheet/unknown/cxrkeras.pdf",
    ],
)
def test_what_would_reach_disk_or_net_is_shut(served, path):
    assert status(served, path) == 404
    assert status(served, path, b"film") in (404, 405)


@pytest.mark.parametrize("header", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}])
def test_other_sites_are_refused(served, header):
    assert status(served, "/film", b"film", **header) == 403
    assert status(served, "/", **header) == 403


def test_the_page_itself_may_ask(served):
    port = served.url.rpartition(":")[2]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
        assert status(served, "/film", b"film", Host=host, Origin=f"http://{host}") == 200


def test_uploads_beyond_the_limit_are_refused_said_or_unsaid(served):
    assert status(served, "/film", b"0" * LIMIT) == 200
    assert status(served, "/film", b"0" * (LIMIT + 1)) == 413
    unsaid = (b"0" * (LIMIT // 2 + 1) for _ in range(2))  # chunked: no length in advance
    assert status(served, "/film", unsaid) == 413
    assert status(served, "/gradio_api/queue/join", b"0" * 70_000) == 413


def test_an_event_without_a_stated_length_is_cut_off():
    from cxrkeras.serving.app.routes import Gate

    taken = []

    async def app(scope, receive, send):
        while (message := await receive())["type"] != "http.disconnect":
            taken.append(len(message["body"]))

    async def receive():
        return {"type": "http.request", "body": b"0" * 20_000, "more_body": True}

    scope = {"type": "http", "path": "/gradio_api/queue/join", "headers": [(b"host", b"localhost")]}
    asyncio.run(Gate(app, Terms(1_000_000))(scope, receive, None))
    assert sum(taken) == 60_000  # three parts fit into 64 KiB
