"""Text files as people have them: any usual encoding, with or without gzip."""

import gzip
import re
import zlib
from contextlib import nullcontext
from pathlib import Path

from data_prep.errors import UserError
from data_prep.files import not_a_file

MOST_BYTES = 512 << 20  # unpacked; the tables of the public archives have 2 to 200 MB
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def read_text(path: Path, encoding: str | None = None) -> str:
    """The text of a file, whatever program wrote it.

    UTF-8 and UTF-16 with or without a byte-order mark, Big5 (cp950) and cp1252 are told apart by
    their content; gzip by its first bytes.

    Args:
        path: the file.
        encoding: its encoding, where it is none of the above (e.g. `gb18030`).

    Raises:
        UserError: it can't be read, or isn't text.
    """
    return _decode(_read_bytes(path), path, encoding)


def read_names(path: Path) -> list[str]:
    """The lines of a list such as `test_list.txt`: one file name each, blank lines left out.

    Raises:
        UserError: it can't be read, isn't text, or names nothing.
    """
    names = [line.strip() for line in read_text(path).split("\n")]
    names = [name for name in names if name]
    if not names:
        raise UserError(f"{path.name} names no file: it should hold one file name a line.")
    return names


def _read_bytes(path: Path) -> bytes:
    if kind := not_a_file(path):
        raise UserError(f"{path} is {kind}: a file of text is needed.")
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            with gzip.open(file) if packed else nullcontext(file) as unpacked:
                content = unpacked.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise UserError(f"There is no file {path}. Check the path.") from None
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"The file {path} can't be read: {_reason(error)}.") from None
    if len(content) > MOST_BYTES:
        raise UserError(
            f"{path.name} holds more than {MOST_BYTES >> 20} MB of text: the most that is read. "
            "Leave out what isn't needed, or divide it."
        )
    if content[:4] == b"PK\x03\x04" or content[:4] == b"\xd0\xcf\x11\xe0":
        raise UserError(
            f"{path.name} is a spreadsheet or archive: save it as .xlsx or as CSV (UTF-8) first."
        )
    return content


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _decode(content: bytes, path: Path, encoding: str | None) -> str:
    chosen = encoding or encoding_of(content)
    try:
        text = content.decode(chosen)
    except LookupError:
        raise UserError(f"There is no encoding {chosen!r}. Try utf-8, big5 or gb18030.") from None
    except UnicodeError:
        raise UserError(
            f"{path.name} isn't {chosen} text. Save it as CSV in UTF-8, or name its encoding."
        ) from None
    if "\x00" in text:
        raise UserError(f"{path.name} holds zero bytes: it isn't text. Save it in UTF-8.")
    return text.removeprefix("\ufeff")


def encoding_of(content: bytes) -> str:
    """The encoding that text looks to be in; one in which it can be decoded."""
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return encoding
    head = content[:4096]
    if head[1::2].count(0) > len(head) // 4:
        return "utf-16-le"
    if head[0::2].count(0) > len(head) // 4:
        return "utf-16-be"
    for encoding in ("utf-8", "cp950"):
        try:
            content.decode(encoding)
        except UnicodeError:
            continue
        if encoding == "utf-8" or _looks_like_big5(content):
            return encoding
    return "cp1252" if _decodes(content, "cp1252") else "latin-1"


def _decodes(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeError:
        return False
    return True


def _looks_like_big5(content: bytes) -> bool:
    """Accented Western text may be valid Big5 too; but real Chinese uses the frequent characters.

    Big5 puts punctuation and its 5,401 frequent characters under the lead bytes A1 to C6, the rare
    ones under C9 to F9, where cp1252 has its accented letters.
    """
    leads = [pair[0] for pair in re.findall(rb"[\x81-\xfe][\x40-\x7e\xa1-\xfe]", content)]
    return sum(0xA1 <= lead <= 0xC6 for lead in leads) > len(leads) / 2
