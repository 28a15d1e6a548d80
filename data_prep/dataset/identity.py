"""Keyed hashes in place of identifiers: a patient keeps the same one, and nobody can look it up.

A plain hash of a patient number is undone by hashing every number. HMAC-SHA256 (RFC 2104) with a
secret key that stays with the user isn't; the holder of the key can link datasets made with it.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

import platformdirs

from data_prep.errors import UserError
from data_prep.files import not_a_file

KEY_VARIABLE = "CXRKERAS_KEY_FILE"
_KEY_BYTES = 32


def keyed_hash(key: bytes, kind: str, value: str) -> str:
    """The pseudonym of an identifier: 16 hex characters (64 bits of HMAC-SHA256).

    Args:
        key: the secret key.
        kind: what `value` is (`patient`, `study`, `sop`, ...): equal values of two kinds differ.
        value: the identifier; surrounding blanks are ignored.
    """
    message = f"{kind}\x00{value.strip()}".encode("utf-8", "surrogateescape")
    return hmac.new(key, message, hashlib.sha256).hexdigest()[:16]


def key_check(key: bytes) -> str:
    """A value that tells keys apart but reveals nothing of the key."""
    return keyed_hash(key, "key", "check")


def default_key_file() -> Path:
    """The default key file: $CXRKERAS_KEY_FILE, or one in the user's config folder."""
    named = os.environ.get(KEY_VARIABLE)
    return Path(named) if named else Path(platformdirs.user_config_dir("cxrkeras")) / "identity.key"


def load_key(path: Path | None = None) -> bytes:
    """Read the secret key of a key file; if there is none, create one that only its owner can read.

    Args:
        path: the key file; `default_key_file()` if None.

    Returns:
        32 bytes.

    Raises:
        UserError: the file can't be read or created, or isn't such a key.
    """
    path = path or default_key_file()
    if kind := not_a_file(path):
        raise UserError(f"The key file {path} is {kind}. Give another with --key-file.")
    try:
        if not path.exists():
            _create(path)
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except OSError as error:
        raise UserError(
            f"The key file {path} can't be used ({error.strerror}). Give another with --key-file."
        ) from None
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise UserError(
            f"{path} isn't a key file (64 hexadecimal digits). Name a file that doesn't exist "
            "yet, and it will be created."
        )
    return key


def _create(path: Path) -> None:
    """Write a new key in one step; of two processes at once, the first one's key stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(_KEY_BYTES) + "\n")
        os.link(temporary, path)
    except FileExistsError:
        pass
    except OSError:  # a disk without links
        if not path.exists():
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
