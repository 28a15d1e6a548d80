"""The environment in which peers run, so that the package's own stays as users have it."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import platformdirs

REQUIREMENTS = Path(__file__).parents[1] / "peers" / "requirements.txt"
VARIABLE = "CXRKERAS_BENCH_PEERS"


def folder() -> Path:
    """`CXRKERAS_BENCH_PEERS`, or a folder in the user's cache."""
    return Path(os.environ.get(VARIABLE) or platformdirs.user_cache_path("cxrkeras") / "peers")


def python() -> Path:
    """The interpreter of the environment, which is made or brought up to date where it must be."""
    home = folder()
    interpreter = home / "bin" / "python"
    if not installed():
        if not interpreter.exists():
            venv.create(home, with_pip=True)
        command = [interpreter, "-m", "pip", "install", "--quiet", "-r", REQUIREMENTS]
        print(f"Installing the peers into {home}", file=sys.stderr, flush=True)
        subprocess.run(list(map(str, command)), check=True)
        shutil.copyfile(REQUIREMENTS, home / REQUIREMENTS.name)
    return interpreter


def installed() -> bool:
    """Whether the environment is there, as the requirements want it."""
    kept = folder() / REQUIREMENTS.name
    return kept.is_file() and kept.read_bytes() == REQUIREMENTS.read_bytes()


def versions(interpreter: Path) -> str:
    """`torch 2.13.0, pillow 12.3.0` of what the requirements name."""
    names = [line.partition("==")[0] for line in REQUIREMENTS.read_text().split() if "==" in line]
    code = f"from importlib.metadata import version\nfor n in {names}: print(n, version(n))"
    done = subprocess.run([interpreter, "-c", code], check=True, capture_output=True, text=True)
    return ", ".join(done.stdout.splitlines())
