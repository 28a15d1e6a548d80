"""A package of somebody else's, as pip would have installed it, that brings parts."""

import json
import os
import subprocess
import sys
from pathlib import Path

COMMANDS = """
import contextlib, io, json, sys
from cxrkeras.cli import main
if __name__ == "__main__":
    ended = []
    for words in json.load(sys.stdin):
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                main(words)
            except SystemExit as end:
                ended.append([end.code, None])
        ended[-1][1] = said.getvalue()
    print(json.dumps(ended))
"""


def said_to(commands, folder: Path, pythonpath: str) -> list[tuple[int, str]]:
    """What `cxrkeras` says to each, in one process: (exit code, what it printed).

    Args:
        commands: the words of each.
        folder: where its script, cache and key are put.
        pythonpath: leads to the package.
    """
    own = {"CXRKERAS_CACHE": str(folder / "cache"), "CXRKERAS_KEY_FILE": str(folder / "key")}
    script = folder / "commands.py"
    script.write_text(COMMANDS)
    done = subprocess.run(
        [sys.executable, str(script)],
        input=json.dumps([[*map(str, words)] for words in commands]),
        env={**os.environ, **own, "PYTHONPATH": pythonpath},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [(code, said) for code, said in json.loads(done.stdout.splitlines()[-1])]


def install(folder: Path, parts: dict[str, str], name: str = "theirs") -> Path:
    """Write a package and what pip notes of it.

    Args:
        folder: stands in `sys.path` afterwards, or in PYTHONPATH.
        parts: `GROUP/PART` -> the source of its file.
        name: of the package.
    """
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").touch()
    noted = folder / f"{name}-1.dist-info"
    noted.mkdir()
    (noted / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    lines = []
    for place, source in parts.items():
        group, part = place.split("/")
        (folder / name / f"{part}.py").write_text(source)
        lines += [f"[{group}]", f"{part} = {name}.{part}"]
    (noted / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder
