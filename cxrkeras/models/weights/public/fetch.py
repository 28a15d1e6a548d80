"""Getting a public file of weights: downloaded or by hand, resumed, checked, all or nothing."""

import hashlib
import http.client
import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from cxrkeras.models.weights.public import PublicWeights
from data_prep.errors import UserError
from data_prep.files import atomic_write_text, replacing
from data_prep.progress import Steps

_PIECE = 1 << 20
_MOST = 4 << 30  # bytes of a file
_SECONDS = 30  # without a byte


def held(weights: PublicWeights, folder: Path) -> Path | None:
    """The file that was taken in before, checked again; None if there is none yet.

    Raises:
        UserError: it isn't any more what it was.
    """
    path = folder / weights.file
    if not path.is_file():
        return None
    _check(weights, path, path)
    return path


def download(weights: PublicWeights, folder: Path) -> Path:
    """Download the file into a folder, or the rest of it, and take it in.

    Raises:
        UserError: it can't be downloaded, or its checksum is wrong.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / weights.file
    part = path.with_name(f".{path.name}.part")
    try:
        _into(weights.url, part, weights.name)
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise UserError(
            f"{weights.url} can't be downloaded ({' '.join(str(reason).split())}). The same "
            "command resumes. Or download it on another machine (`cxrkeras weights fetch "
            f"{weights.name} --print`) and give --file."
        ) from error
    try:
        _check(weights, part, path)
    except UserError:
        part.unlink()
        raise
    os.replace(part, path)
    return path


def take_in(weights: PublicWeights, file: Path, folder: Path) -> Path:
    """Copy a file that a person downloaded into the folder.

    Raises:
        UserError: it can't be read, or its checksum is wrong.
    """
    path = folder / weights.file
    try:
        with replacing(path) as temporary:
            shutil.copyfile(file, temporary)
            _check(weights, temporary, path)
    except OSError as error:
        raise UserError(f"--file {file} can't be taken in: {error.strerror}.") from error
    return path


def noted(weights: PublicWeights, folder: Path) -> str:
    """The checksum that a file must have: as published, or as the first file's; "" for none yet."""
    note = _note(folder / weights.file)
    if weights.sha256 or not note.is_file():
        return weights.sha256
    return note.read_text(encoding="ascii", errors="replace").split(" ")[0]


def forget(weights: PublicWeights, folder: Path) -> None:
    """Forget the first file's checksum, since it is no such file: a proxy's page, for example."""
    _note(folder / weights.file).unlink(missing_ok=True)


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _check(weights: PublicWeights, file: Path, path: Path) -> None:
    """Compare a file's checksum with the one it must have, or note it as the first."""
    wanted, found = noted(weights, path.parent), _sha256(file)
    if not wanted:
        atomic_write_text(_note(path), f"{found}  {path.name}\n")
    elif found != wanted:
        source = "published" if weights.sha256 else f"noted in {_note(path)}"
        again = f"Remove {path} and download it again" if file == path else "Download it again"
        raise UserError(
            f"The file isn't {weights.name}: its sha256 is {found}, and {wanted} was {source}. "
            f"{again}; if its authors have replaced it, remove what was noted."
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _NoneUnsafe(urllib.request.HTTPRedirectHandler):
    """Follows where a server sends one, but from https to nothing else: where no checksum is
    published, only https tells whose file it is.
    """

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        """As in the base class."""
        if req.type == "https" and not newurl.lower().startswith("https://"):
            raise ValueError("the server redirects to an address without https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opened(request: urllib.request.Request) -> http.client.HTTPResponse:
    return urllib.request.build_opener(_NoneUnsafe).open(request, timeout=_SECONDS)


def _into(url: str, part: Path, name: str) -> None:
    """Append to what is there, if the server still has the same file; else begin anew."""
    tag = part.with_name(f"{part.name}.etag")
    begun = part.stat().st_size if part.is_file() and tag.is_file() else 0
    request = urllib.request.Request(url)
    if begun:
        request.add_header("Range", f"bytes={begun}-")
        request.add_header("If-Range", tag.read_text(encoding="utf-8").strip())
    try:
        answer = _opened(request)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # which means that it was whole, or is another
            raise
        error.close()
        part.unlink()
        answer, begun = _opened(urllib.request.Request(url)), 0
    with answer:
        goes_on = answer.status == 206
        sent = answer.headers.get("Content-Range") or ""
        if goes_on and not sent.startswith(f"bytes {begun}-"):
            tag.unlink()  # else the next start would ask the same
            raise ValueError(f"bytes from {begun:,} were asked for, and {sent or 'others'} came")
        there = begun if goes_on else 0
        total = there + int(answer.headers.get("Content-Length") or 0)
        if total > _MOST:
            raise ValueError(f"{total:,} bytes, more than {_MOST:,}")
        if etag := answer.headers.get("ETag"):
            atomic_write_text(tag, etag)
        with (
            part.open("ab" if goes_on else "wb") as file,
            Steps(f"{name}, MB", max(total // _PIECE, 1), done=there // _PIECE) as steps,
        ):
            count = there
            while content := answer.read(_PIECE):
                file.write(content)
                count += len(content)
                if count > _MOST:
                    raise ValueError(f"more than {_MOST:,} bytes")
                while steps.done < count // _PIECE:
                    steps.step()
        if total > there and count < total:
            raise ValueError(f"{count:,} of {total:,} bytes came")
    tag.unlink(missing_ok=True)
