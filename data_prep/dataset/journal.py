"""The journal of an unfinished preparation: a kill at any time loses only seconds of work.

`OUT/.prepare/` holds `settings.json`, `journal.jsonl` (one line per file done, appended), the
prepared images under `staged/`, and, once finished, only `done.json`. Files are known by keyed
identities, so no name or number of a patient lies there (but for public archives).
"""

import json
import os
import shutil
from pathlib import Path

from data_prep.dataset.worker import Result, as_line, from_line
from data_prep.errors import UserError
from data_prep.files import atomic_write_json

try:
    import fcntl
except ImportError:  # not on Windows: two runs at once aren't kept apart there
    fcntl = None

_OPTIONS = {"size": "image_size", "key": "key_file"}


class Journal:
    """The state of one output folder; a context that keeps other runs out of it."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = out / ".prepare"
        self.staged = self.folder / "staged"
        self._file = self.folder / "journal.jsonl"
        self._lines = None
        self._lock = None

    def __enter__(self) -> "Journal":
        self._check_out()
        self.staged.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / "lock").open("w")
        try:
            if fcntl:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise UserError(
                f"Another preparation is writing to {self.out}. Wait until it has finished."
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._lines:
            self._lines.close()
        try:
            if self.finished:
                self._clean()
        finally:
            self._lock.close()
        if self.finished:
            (self.folder / "lock").unlink(missing_ok=True)

    def _check_out(self) -> None:
        if self.out.exists() and not self.out.is_dir():
            raise UserError(f"{self.out} is a file. Give a new or empty folder as --out.")
        if self.out.is_dir() and any(self.out.iterdir()) and not self.folder.is_dir():
            raise UserError(
                f"{self.out} holds other files already. Give a new or empty folder as --out."
            )

    def require(self, settings: dict) -> None:
        """Check that the settings are those with which the folder was begun.

        Raises:
            UserError: they differ; the message says in what.
        """
        file = self.folder / "settings.json"
        begun = _read_json(file)
        if begun is None:
            atomic_write_json(file, settings)
        elif begun.get("format") != settings.get("format"):
            raise UserError(
                f"{self.out} was begun by another version of this program. Remove that folder, "
                "and run the command again."
            )
        elif begun != settings:
            raise UserError(
                f"{self.out} was begun with other settings ({differing(begun, settings)}). Give "
                "the same ones to resume, or another --out."
            )

    def results(self) -> dict[str, Result]:
        """Finished results by file identity, without those whose image is gone.

        A torn last line (a kill while writing) is cut off.
        """
        found: dict[str, Result] = {}
        if not self._file.exists():
            return found
        with self._file.open("rb+") as file:
            end = 0
            for line in file:
                result = _result_of(line)
                if result is None:
                    break
                end += len(line)
                if result.reason or self._is_staged(result):
                    found[result.id] = result
            file.truncate(end)
        return found

    def _is_staged(self, result: Result) -> bool:
        path = self.image(result.id)
        return path.is_file() and path.stat().st_size == result.bytes

    def image(self, id_: str) -> Path:
        """The place of a file's prepared image until everything is done."""
        return self.staged / f"{id_}.png"

    def add(self, result: Result) -> None:
        """Append a result, which a later kill doesn't lose."""
        if self._lines is None:
            self._lines = self._file.open("ab")
        self._lines.write(json.dumps(as_line(result)).encode() + b"\n")
        self._lines.flush()

    def done(self) -> dict | None:
        """What `finish` kept, if the preparation is finished."""
        return _read_json(self.folder / "done.json") if self.finished else None

    @property
    def finished(self) -> bool:
        """Whether the dataset is complete: its description is the last file written."""
        return (self.out / "dataset.json").exists()

    def note_done(self, content: dict) -> None:
        """Keep what a later call needs in order to see that nothing is left to do."""
        atomic_write_json(self.folder / "done.json", content)

    def _clean(self) -> None:
        """Remove all but `done.json`, and what killed writers left in the output folder."""
        for path in [*self.folder.iterdir(), *self.out.glob(".*.tmp")]:
            if path.name not in ("done.json", "lock"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def discard(self) -> None:
        """Remove the output folder, in which nothing was finished."""
        shutil.rmtree(self.folder)
        if not any(self.out.iterdir()):
            os.rmdir(self.out)


def differing(begun: dict, settings: dict) -> str:
    """The options in which two calls' settings differ: `--image-size, --pad`."""
    names = [name for name in settings if begun.get(name) != settings[name]]
    return ", ".join(f"--{_OPTIONS.get(name, name).replace('_', '-')}" for name in names)


def _result_of(line: bytes) -> Result | None:
    try:
        return from_line(json.loads(line)) if line.endswith(b"\n") else None
    except ValueError:
        return None


def _read_json(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
