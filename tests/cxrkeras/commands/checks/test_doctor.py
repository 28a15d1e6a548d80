"""`cxrkeras doctor`: what is whole is ok, and each thing that is broken is seen, with its cure."""

import io
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pydicom
import pytest

from cxrkeras.cli import main
from cxrkeras.commands.checks import (
    FAULT,
    OK,
    WARNING,
    carried_out,
    codecs,
    places,
    reach,
    software,
)
from data_prep.films.dicom import DECODERS, WITH_SIZE


@pytest.fixture(autouse=True)
def _of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("CXRKERAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CXRKERAS_KEY_FILE", str(tmp_path / "identity.key"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(places, "_memory", lambda: (8e9, 9e9))
    usage = places.shutil.disk_usage(".")._replace(free=int(50e9))
    monkeypatch.setattr(places.shutil, "disk_usage", lambda _: usage)


def asked(*words: str, capsys) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        main(["doctor", "--offline", *words])
    return end.value.code, capsys.readouterr().out


def test_a_whole_machine_has_no_fault_and_json_says_the_same(capsys):
    code, lines = asked(capsys=capsys)
    assert code == 0
    assert "0 to note, 0 at fault" in lines
    assert "Next: cxrkeras prep table" in lines
    code, text = asked("--json", capsys=capsys)
    told = json.loads(text)
    assert code == 0
    assert told["ok"]
    assert len(told["checks"]) == len(lines.split("\n\n")[0].splitlines())
    for check in told["checks"]:
        assert f"{check['name']:<20} {check['said'][:9]}" in lines
        assert (check["state"], check["cure"]) == (OK, "")


def test_what_is_essential_and_broken_ends_with_1(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CXRKERAS_CACHE", str(tmp_path / "file"))
    code, lines = asked(capsys=capsys)
    assert code == 1
    (line,) = [line for line in lines.splitlines() if line.startswith("FAULT")]
    assert "Cure: Set CXRKERAS_CACHE" in line
    code, text = asked("--json", capsys=capsys)
    assert code == 1
    assert not json.loads(text)["ok"]


@pytest.mark.parametrize("name", codecs.CODECS)
def test_the_built_in_bytes_hold_the_picture(name):
    syntax = codecs.CODECS[name]
    dataset = pydicom.dcmread(io.BytesIO(codecs.dicom(syntax)))
    decoded = dataset.pixel_array
    if name == "JPEG baseline":
        assert np.abs(decoded.astype(int) - (codecs.picture() >> 4)).max() <= 6
    else:
        np.testing.assert_array_equal(decoded, codecs.picture())


def test_every_kind_of_stream_that_films_have_is_checked():
    """Kinds with several transfer syntaxes share a decoder, so one of them stands for all."""
    checked = {DECODERS.get(syntax, "any") for syntax in codecs.CODECS.values()}
    assert checked == {DECODERS.get(syntax, "any") for syntax in {*DECODERS, *WITH_SIZE}}


def test_a_codec_that_fails_or_decodes_wrongly_is_a_fault(monkeypatch):
    whole = codecs._streams()
    names = {syntax: name for name, syntax in codecs.CODECS.items()}
    for syntax in whole:
        name = f"DICOM, {names[syntax]}"
        cut = {**whole, syntax: whole[syntax][:60]}
        monkeypatch.setattr(codecs, "_streams", lambda cut=cut: cut)
        states = {one.name: one for one in codecs.codecs()}
        assert [one.name for one in states.values() if one.state != OK] == [name]
        assert "pip install" in states[name].cure
    monkeypatch.setattr(codecs, "_streams", lambda: whole)
    true = codecs.picture()
    monkeypatch.setattr(codecs, "picture", lambda: np.roll(true, 1, axis=0))
    found = {one.name: one.said for one in codecs.codecs() if one.state == FAULT}
    assert found.keys() == {f"DICOM, {names[syntax]}" for syntax in whole}
    assert all("differ by up to" in said for said in found.values())


def test_the_key_is_never_shown_and_never_made(tmp_path, capsys):
    path = tmp_path / "identity.key"
    (none,) = places.key()
    assert none.state == OK
    assert not path.exists()
    secret = "0123456789abcdef" * 4
    path.write_text(secret)
    path.chmod(0o644)
    (open_to_all,) = places.key()
    assert (open_to_all.state, open_to_all.cure) == (WARNING, f"chmod 600 {path}")
    path.chmod(0o600)
    (found,) = places.key()
    assert found.state == OK
    _, lines = asked(capsys=capsys)
    assert secret[:16] not in lines
    path.write_text("not a key")
    (broken,) = places.key()
    assert broken.state == FAULT
    assert "not a key\n" not in broken.said


@pytest.mark.parametrize(
    ("free", "state"), [(0.5e9, FAULT), (5e9, WARNING), (50e9, OK)], ids=["none", "little", "much"]
)
def test_a_full_disk_is_seen(monkeypatch, free, state):
    usage = places.shutil.disk_usage(".")._replace(free=int(free))
    monkeypatch.setattr(places.shutil, "disk_usage", lambda _: usage)
    assert {one.state for one in places.disk()} == {state}


@pytest.mark.parametrize(
    ("free", "state"), [(2e9, WARNING), (5e9, WARNING), (9e9, OK)], ids=["none", "little", "much"]
)
def test_little_memory_is_seen(monkeypatch, free, state):
    monkeypatch.setattr(places, "_memory", lambda: (free, 10e9))
    (found,) = places.memory()
    assert found.state == state


def test_a_backend_that_cannot_be_had_is_a_fault(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    (found,) = software.backend()
    assert found.state == FAULT
    assert "KERAS_BACKEND" in found.said


def test_versions_of_python():
    assert software._within((3, 11), ">=3.11,<3.14")
    assert not software._within((3, 14), ">=3.11,<3.14")
    assert not software._within((3, 9), "<3.14, >=3.11")


def test_a_check_that_breaks_is_a_fault_and_the_rest_goes_on():
    def breaks():
        raise ValueError("Jane Doe")
        yield

    found = list(carried_out([("This", breaks), ("Python", software.python)]))
    assert [(one.name, one.state) for one in found] == [("This", FAULT), ("Python", OK)]
    assert "Jane" not in found[0].said


class _Refuses(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_error(404)

    def log_message(self, *_):
        """Say nothing."""


def test_any_answer_is_reachable_and_silence_is_not(monkeypatch, tmp_path):
    server = HTTPServer(("127.0.0.1", 0), _Refuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(reach, "HOST", f"http://127.0.0.1:{server.server_port}/")
    (found,) = reach.weights()
    server.shutdown()
    server.server_close()
    assert found.state == OK
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr(reach, "HOST", f"http://127.0.0.1:{silent.getsockname()[1]}/")
        assert not reach.reachable(reach.HOST, seconds=0.2)
    (found,) = reach.weights()
    assert found.state == WARNING
    (tmp_path / "keras" / "models").mkdir(parents=True)
    (tmp_path / "keras" / "models" / "densenet121_notop.h5").write_bytes(b"")
    (found,) = reach.weights()
    assert found.state == OK
    assert "1 files" in found.said
