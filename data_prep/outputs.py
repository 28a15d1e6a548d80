"""What a verb may replace in --out, and what it may not.

One rule for all verbs that write results: --out is new, or an empty folder; earlier results of the
same verb are replaced if `--overwrite` asks for it; anything else is left alone.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from data_prep.errors import UserError


def check_folder(
    out: Path,
    verb: str,
    earlier: Callable[[Path], bool],
    *,
    overwrite: bool,
    option: str = "--out",
) -> None:
    """Check that results may be written into a folder; nothing is changed.

    Args:
        out: the folder.
        verb: the verb that writes.
        earlier: whether the folder holds earlier results of the verb.
        overwrite: whether those may be replaced.
        option: that names the folder.

    Raises:
        UserError: it holds something else, or results that mustn't be replaced.
    """
    # a killed run may leave a hidden temporary file
    if not out.exists() or (out.is_dir() and all(p.name.startswith(".") for p in out.iterdir())):
        return
    if not out.is_dir() or not earlier(out):
        raise UserError(
            f"{option} must be a new or empty folder, or one that `cxrkeras {verb}` wrote. "
            f"Received: {out}, which holds something else. Give another folder."
        )
    _check_overwrite(out, verb, overwrite, option)


def check_file(
    out: Path,
    verb: str,
    earlier: Callable[[Path], bool],
    *,
    overwrite: bool,
    option: str = "--out",
) -> None:
    """The same check for results in one file."""
    if not out.exists():
        return
    if not out.is_file() or not earlier(out):
        raise UserError(
            f"{option} must be a new file, or one that `cxrkeras {verb}` wrote. Received: {out}, "
            "which is something else. Give another name."
        )
    _check_overwrite(out, verb, overwrite, option)


def _check_overwrite(out: Path, verb: str, overwrite: bool, option: str) -> None:
    if not overwrite:
        raise UserError(
            f"{option} {out} holds earlier results of `cxrkeras {verb}`. Give another name, or add "
            "--overwrite."
        )


def remove(files: Iterable[Path], folders: Iterable[Path] = ()) -> None:
    """Remove what an earlier call wrote, and folders if that leaves them empty."""
    for path in files:
        path.unlink(missing_ok=True)
    for folder in folders:
        with suppress(OSError):  # not empty: somebody's own files
            folder.rmdir()
