"""What to do if Keras can't download weights: which file, from where, to where, and how else."""

import os
import traceback
import urllib.error

_ALGORITHMS = {64: "sha256", 32: "md5"}  # by the number of hexadecimal digits
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


def reason_of(error: Exception) -> str:
    """Why, as the system or the server says it."""
    cause = error.__context__ or error
    if isinstance(cause, urllib.error.HTTPError):
        return f"the server says {cause.code} {cause.msg}"
    cause = getattr(cause, "reason", cause)
    return " ".join(str(getattr(cause, "strerror", None) or cause).split()) or type(error).__name__


def by_hand(error: Exception) -> str:
    """Sentences that tell how to have the file all the same; "" where nothing was downloaded.

    Keras keeps URL, hash and place to itself, so they are read from the call that failed.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    calls = [frame.f_locals for frame in frames if frame.f_code.co_name == "get_file"]
    if not calls or not {"origin", "download_target"} <= calls[-1].keys():
        return ""
    call = calls[-1]
    digest = call.get("file_hash") or ""
    known = f" ({_ALGORITHMS[len(digest)]} {digest})" if len(digest) in _ALGORITHMS else ""
    return (
        f"Fetch {call['origin']} elsewhere and put it as {call['download_target']}{known}. "
        f"Behind a proxy set HTTPS_PROXY{_proxies()}. "
    )


def _proxies() -> str:
    """Which of the variables are set; not to what, since that may hold a password."""
    given = [name for name in _PROXIES if os.environ.get(name)]
    return f" (set here: {', '.join(given)})" if given else " (not set here)"
