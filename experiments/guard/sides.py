"""One side of the comparison: a copy of some code, run in a folder that keeps what it made."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

PACKAGES = ("cxrkeras", "data_prep")
LOADED = "import cxrkeras, data_prep; print(cxrkeras.__file__, data_prep.__file__, sep='\\n')"
RUN = "from cxrkeras.cli import main; main()"
# The same on both sides, whatever the shell says: sums depend on how many threads share them.
SETTLED = {
    "KERAS_BACKEND": "tensorflow",
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}

# Options that got another name, as (verb, word before): (word since, values before: since).
# The cases are written in the words before; a side gets the words since if its --help has them.
SPELLINGS = {
    ("cv", "--reuse"): ("--recipe", {"layers": "frozen"}),
    ("explain", "--method"): ("--map", {}),
    ("prep phantom", "--size"): ("--image-size", {}),
}


class CaseFailed(Exception):
    """A command of a case ended with an error."""


class Side:
    """A folder with `code/`, a cache, a folder per case, and how each case ended in `status/`."""

    def __init__(self, folder: Path, work: Path):
        self.folder, self.work, self.code = folder, work, folder / "code"
        self.environment = {
            **os.environ,
            **SETTLED,
            "PYTHONPATH": str(self.code),
            "CXRKERAS_CACHE": str(folder / "cache"),
            "CXRKERAS_KEY_FILE": str(work / "identity.key"),
            "KERAS_HOME": str(folder / "keras"),
        }

    @classmethod
    def of_commit(cls, commit: str, repository: Path, work: Path) -> "Side":
        """The code of a commit, taken from git once."""
        git = ["git", "-C", str(repository)]
        short = subprocess.check_output([*git, "rev-parse", "--short=7", commit], text=True).strip()
        side = cls(work / f"reference-{short}", work)
        if not side.code.exists():
            begun = side.folder / "code.begun"
            shutil.rmtree(begun, ignore_errors=True)
            begun.mkdir(parents=True)
            archive = subprocess.check_output([*git, "archive", commit, *PACKAGES])
            subprocess.run(["tar", "-x", "-C", begun], input=archive, check=True)
            begun.rename(side.code)
        return side

    @classmethod
    def of_tree(cls, tree: Path, work: Path) -> "Side":
        """The code of a checkout as it is now; results belong to exactly these bytes."""
        files = sorted(
            path
            for package in PACKAGES
            for path in (tree / package).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        )
        digest = hashlib.sha256()
        for path in files:
            digest.update(f"{path.relative_to(tree)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        side = cls(work / f"tree-{digest.hexdigest()[:10]}", work)
        if not side.code.exists():
            begun = side.folder / "code.begun"
            shutil.rmtree(begun, ignore_errors=True)
            for path in files:
                copy = begun / path.relative_to(tree)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
            begun.rename(side.code)
        return side

    def check(self) -> None:
        """Stop if Python would import other code than this side's."""
        for path in self._python(LOADED).split():
            if not Path(path).resolve().is_relative_to(self.code.resolve()):
                raise SystemExit(f"{path} is imported instead of {self.code}.")

    def verb(self, name: str, *words: object) -> None:
        """`cxrkeras NAME WORDS`, in this side's spelling."""
        self._python(RUN, *name.split(), *self.spelled(name, words))

    def script(self, text: str, *words: object) -> None:
        """A script, with this side's code."""
        self._python(text, *words)

    def spelled(self, verb: str, words: Iterable[object]) -> list[str]:
        """Words of the older spelling as this side's `cxrkeras VERB` calls them."""
        found, values = [], {}
        for word in map(str, words):
            since, renamed = SPELLINGS.get((verb, word), ("", {}))
            taken = bool(since) and since in self._options(verb)
            found.append(since if taken else values.get(word, word))
            values = renamed if taken else {}
        return found

    @cache  # noqa: B019 - there are two sides
    def _options(self, verb: str) -> set[str]:
        try:
            said = self._python(RUN, *verb.split(), "--help-all")
        except CaseFailed:  # an earlier commit, whose --help has all
            said = self._python(RUN, *verb.split(), "--help")
        return set(re.findall(r"^  (--[a-z][a-z-]*)", said, flags=re.MULTILINE))

    def _python(self, script: str, *words: object) -> str:
        command = [sys.executable, "-c", script, *map(str, words)]
        done = subprocess.run(
            command, cwd=self.code, env=self.environment, capture_output=True, text=True
        )
        if done.returncode:
            said = (done.stderr or done.stdout)[-2000:].strip()
            raise CaseFailed(f"{' '.join(map(str, words))}\n{said}")
        return done.stdout

    def outcome(self, case: str) -> dict:
        """How a case ended here: {} if it didn't."""
        path = self.folder / "status" / f"{case}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def ended(self, case: str) -> bool:
        """Whether a case was run to its end here."""
        return self.outcome(case).get("word") == "done"

    def perform(self, case: str, work: Callable[["Side", Path], None]) -> str:
        """Run a case unless it was finished before; a line on how it went."""
        if self.ended(case):
            return f"{self.folder.name}: {case}: kept, it was run before"
        out, status = self.folder / case, self.folder / "status" / f"{case}.json"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        status.parent.mkdir(exist_ok=True)
        started = time.monotonic()
        try:
            work(self, out)
            ended = {"word": "done"}
        except CaseFailed as failure:
            ended = {"word": "failed", "why": str(failure)}
        ended["seconds"] = round(time.monotonic() - started)
        status.write_text(json.dumps(ended, indent=1), encoding="utf-8")
        why = f"\n{ended['why']}" if "why" in ended else ""
        return f"{self.folder.name}: {case}: {ended['word']} in {ended['seconds']} s{why}"
