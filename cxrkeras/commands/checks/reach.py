"""Where weights come from: Keras's host, or files that are here already."""

import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from cxrkeras.commands.checks import OK, WARNING, Found

HOST = "https://storage.googleapis.com/tensorflow/keras-applications/"
SECONDS = 3


def weights() -> Iterator[Found]:
    """Whether ImageNet's weights can be had. Being offline is no fault."""
    folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"
    files = len(list(folder.glob("*.h5"))) if folder.is_dir() else 0
    held = f"{files} files in {folder}"
    if reachable(HOST):
        yield Found("Weights", OK, f"Keras's host can be reached; {held}")
    elif files:
        yield Found("Weights", OK, f"offline; {held} serve --source imagenet")
    else:
        cure = (
            "Copy Keras's files there from a machine that is online, or give --source a file "
            "(`cxrkeras weights import`)."
        )
        yield Found("Weights", WARNING, f"offline, and {held}: no --source imagenet", cure)


def reachable(url: str, seconds: float = SECONDS) -> bool:
    """Whether anything answers there, whatever it says."""
    answered = []

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=seconds):
                answered.append(True)
        except urllib.error.HTTPError as error:
            error.close()
            answered.append(True)
        except (OSError, ValueError):
            return

    # Looking up a name has no time limit of its own.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds + 1)
    return bool(answered)
