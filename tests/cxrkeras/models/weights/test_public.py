"""Public weights: each set is whole, and a file comes complete, checked, and once."""

import hashlib
import re
import threading
import urllib.request
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from cxrkeras.models.importing.labels import LISTS, parse_labels
from cxrkeras.models.importing.pixels import PIXELS
from cxrkeras.models.importing.recognise import importable
from cxrkeras.models.weights.public import fetch, public_names, public_weights
from data_prep.errors import UserError

CONTENT = bytes(range(256)) * 9000  # more than a piece
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("name", public_names())
def test_each_set_says_what_it_is_and_under_which_licence(name):
    weights = public_weights(name)
    for text in (weights.what, weights.licence, weights.citation, weights.verified):
        assert text
    assert weights.page.startswith("https://")
    assert re.fullmatch(r"https://\S+|", weights.url)
    assert re.fullmatch(r"[0-9a-f]{64}|", weights.sha256)
    if weights.hub:
        assert not weights.url
        return
    assert weights.backbone in importable().values()
    assert set(filter(None, parse_labels(weights.labels))) <= {*LISTS["xrv18"], *LISTS["nih14"]}
    assert len(parse_labels(weights.labels)) in (14, 18)
    assert weights.scaling in ("", *PIXELS)


def test_a_name_that_there_is_not_brings_the_nearest():
    assert public_weights("rad-dino").name == "rad_dino"
    with pytest.raises(UserError, match="Did you mean 'rad_dino'"):
        public_weights("rad_dno")


class Server(HTTPServer):
    """Serves CONTENT, with ranges; `breaks` ends an answer early, `asked` notes the ranges, `deaf`
    sends another range than was asked for.
    """

    content, tag, breaks, deaf = CONTENT, '"one"', 0, False

    def handle_error(self, *_):
        """Say nothing of a client that went away."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        same = wanted and self.headers.get("If-Range") == server.tag
        begin = int(wanted[6:-1]) if same else 0
        if begin >= len(server.content):
            self.send_error(416)
            return
        self.send_response(206 if same else 200)
        begin = 0 if server.deaf else begin
        if same:
            end = len(server.content)
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{end}")
        self.send_header("Content-Length", str(len(server.content) - begin))
        self.send_header("ETag", server.tag)
        self.end_headers()
        self.wfile.write(server.content[begin : server.breaks or None])

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def server():
    made = Server(("127.0.0.1", 0), Handler)
    made.asked = []
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def weights(server):
    url = f"http://127.0.0.1:{server.server_port}/some.pt"
    return replace(public_weights("xrv_resnet50_512"), url=url)


def test_a_download_that_broke_off_goes_on_and_is_checked(server, weights, tmp_path):
    server.breaks = 1_500_000
    with pytest.raises(UserError, match=r"1,500,000 of 2,304,000 bytes.*--print"):
        fetch.download(weights, tmp_path)
    assert fetch.held(weights, tmp_path) is None
    server.breaks = 0
    path = fetch.download(replace(weights, sha256=SHA256), tmp_path)
    assert server.asked == [None, "bytes=1500000-"]
    assert path.read_bytes() == CONTENT
    assert [one.name for one in tmp_path.iterdir()] == ["some.pt"]
    assert fetch.held(weights, tmp_path) == path


def test_what_was_replaced_meanwhile_is_downloaded_anew(server, weights, tmp_path):
    server.breaks = 1_500_000
    with pytest.raises(UserError):
        fetch.download(weights, tmp_path)
    server.breaks, server.content, server.tag = 0, CONTENT[::-1], '"two"'
    assert fetch.download(weights, tmp_path).read_bytes() == CONTENT[::-1]
    assert server.asked[-1] == "bytes=1500000-"


def test_another_range_than_was_asked_for_is_not_appended(server, weights, tmp_path):
    server.breaks = 1_500_000
    with pytest.raises(UserError):
        fetch.download(weights, tmp_path)
    server.breaks, server.deaf = 0, True
    with pytest.raises(UserError, match=r"from 1,500,000 were asked for, and bytes 0-2303999"):
        fetch.download(weights, tmp_path)
    assert fetch.download(weights, tmp_path).read_bytes() == CONTENT


def test_no_redirect_leads_from_https_to_anything_else():
    asked = urllib.request.Request("https://example.org/x.pt")
    follow = partial(fetch._NoneUnsafe().redirect_request, asked, None, 302, "Found", {})
    assert follow("https://cdn.example.org/x.pt").full_url == "https://cdn.example.org/x.pt"
    for url in ("http://example.org/x.pt", "ftp://example.org/x.pt"):
        with pytest.raises(ValueError, match="without https"):
            follow(url)


def test_a_whole_part_that_was_never_taken_in_is_downloaded_anew(server, weights, tmp_path):
    (tmp_path / ".some.pt.part").write_bytes(CONTENT)
    (tmp_path / ".some.pt.part.etag").write_text(server.tag)
    assert fetch.download(weights, tmp_path).read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(CONTENT)}-", None]


def test_the_first_file_s_checksum_is_noted_and_others_must_have_it(server, weights, tmp_path):
    assert fetch.noted(weights, tmp_path) == ""
    path = fetch.download(weights, tmp_path)
    assert fetch.noted(weights, tmp_path) == SHA256
    path.unlink()
    server.content = CONTENT[:-1]
    with pytest.raises(UserError, match=f"{SHA256} was noted in"):
        fetch.download(weights, tmp_path)
    assert {one.name for one in tmp_path.iterdir()} == {"some.pt.sha256"}
    other = tmp_path / "by-hand.bin"
    other.write_bytes(CONTENT[1:])
    with pytest.raises(UserError, match="was noted in"):
        fetch.take_in(weights, other, tmp_path)
    other.write_bytes(CONTENT)
    assert fetch.take_in(weights, other, tmp_path) == path
    path.write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"Remove \S+some\.pt and download it again"):
        fetch.held(weights, tmp_path)


def test_a_published_checksum_holds_from_the_first_file_on(weights, tmp_path):
    with pytest.raises(UserError, match=f"{'0' * 64} was published"):
        fetch.download(replace(weights, sha256="0" * 64), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_host_that_is_not_there_is_one_line(tmp_path):
    gone = replace(public_weights("xrv_resnet50_512"), url="http://127.0.0.1:9/x.pt")
    with pytest.raises(UserError, match=r"can't be downloaded.*The same command resumes") as error:
        fetch.download(gone, tmp_path)
    assert "\n" not in str(error.value)
