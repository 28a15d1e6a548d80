"""Pseudonyms: stable, keyed, and a key file that only its owner reads."""

import hashlib
import hmac

import pytest

from data_prep.dataset.identity import KEY_VARIABLE, default_key_file, keyed_hash, load_key
from data_prep.errors import UserError

KEY = bytes(32)


def test_a_pseudonym_is_hmac_sha256_cut_to_16():
    expected = hmac.new(KEY, b"patient\x00P-1", hashlib.sha256).hexdigest()[:16]
    assert keyed_hash(KEY, "patient", " P-1 ") == expected


def test_key_and_kind_decide():
    hashes = {keyed_hash(k, kind, "1") for k in (KEY, b"other") for kind in ("patient", "study")}
    assert len(hashes) == 4


def test_a_key_file_is_made_once_for_its_owner(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "key"
    monkeypatch.setenv(KEY_VARIABLE, str(path))
    assert default_key_file() == path
    key = load_key()
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_key(path) == key
    assert [p.name for p in path.parent.iterdir()] == ["key"]
    assert load_key(tmp_path / "another") != key


def test_a_disk_without_links_gets_one_too(tmp_path, monkeypatch):
    def refused(*places):
        raise PermissionError("no links here")

    monkeypatch.setattr("os.link", refused)
    key = load_key(tmp_path / "key")
    assert load_key(tmp_path / "key") == key
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("content", [b"", b"abc", b"00" * 31, "ключ".encode()])
def test_what_is_no_key_is_refused_and_kept(tmp_path, content):
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(UserError, match="isn't a key file"):
        load_key(path)
    assert path.read_bytes() == content


def test_an_impossible_place_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't be used"):
        load_key(tmp_path / "file" / "key")
