"""Where the page is found. It imports next to nothing: a taken port is said at once."""

import importlib.util
import socket

from data_prep.errors import UserError


def check_installed() -> None:
    """Refuse in one line if the extra isn't installed.

    Raises:
        UserError: with the command that installs it.
    """
    if importlib.util.find_spec("gradio") is None:
        raise UserError("The page needs Gradio. Install: pip install 'cxrkeras[app]'")


def listen(host: str, port: int) -> socket.socket:
    """Take the address before anything is loaded.

    Raises:
        UserError: the address is taken or can't be used.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]  # Python adds the address once more
        raise UserError(
            f"--host {host} --port {port} can't be used: {reason}. Give another --port, or 0 for "
            "any free one."
        ) from error


def url_of(taken: socket.socket) -> str:
    """The URL at which the page is found, e.g. http://127.0.0.1:7860."""
    host, port = taken.getsockname()[:2]
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{name}:{port}"
