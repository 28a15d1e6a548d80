"""The containers around an exported model: what Docker takes to build the page and to start all."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path

import jinja2

import cxrkeras

_FIRST_PORT = 8443  # of the proxy; each model's page has one
_MAX_MB = 64  # of an upload, as `cxrkeras app` has it
_TEMPLATES = ("compose.yaml", "nginx.conf", "Dockerfile")
WHEEL = f"cxrkeras-{cxrkeras.__version__}-py3-none-any.whl"
"""What the image installs; it must lie beside the Dockerfile."""


def container_files(
    mark: str,
    models: Mapping[str, Path],
    *,
    image: str,
    words: Sequence[str],
    places: tuple[str, str],
    settings: Sequence[str],
) -> dict[str, str]:
    """The files by which `docker compose up` serves models and their pages behind a password.

    No file holds the password, or its hash: `compose.yaml` begins with the commands that make the
    latter, in a folder that neither Git nor the image's build sees.

    Args:
        mark: first line of each file.
        models: {name on the server: folder here}.
        image: of the server.
        words: that the server is started with.
        places: of models and of settings, inside the server's container.
        settings: the server's own files, which lie beside these.

    Returns:
        {file name: content}.
    """
    facts = {
        "mark": mark,
        "models": models.items(),
        "pages": [(name, _FIRST_PORT + k) for k, name in enumerate(models)],
        "serving_image": image,
        "words": words,
        "model_root": places[0],
        "config": places[1],
        "settings": settings,
        "health": _health(models),
        "max_mb": _MAX_MB,
        "wheel": WHEEL,
        "version": cxrkeras.__version__,
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
    }
    environment = _environment()
    files = {name: environment.get_template(name).render(facts) for name in _TEMPLATES}
    return files | {
        "constraints.txt": f"{mark}\n{_installed()}",
        ".dockerignore": f"{mark}\n*\n!constraints.txt\n!{WHEEL}\n",
        ".gitignore": f"{mark}\nsecrets/\n*.whl\n",
    }


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cxrkeras.serving.server"),
        autoescape=False,  # YAML and the like; `quoted` where a value isn't ours
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quoted"] = _quoted
    return environment


def _quoted(value: object) -> str:
    """A YAML string in which Compose replaces nothing."""
    text = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{text}"'


def _health(models: Iterable[str]) -> str:
    """Bash, since the server's image has no program that asks over HTTP: all models answer."""
    asked = (
        "exec 3<>/dev/tcp/127.0.0.1/8501; "
        f"printf 'GET /v1/models/{name} HTTP/1.0\\r\\n\\r\\n' >&3; "
        "grep -q '\"AVAILABLE\"' <&3"
        for name in models
    )
    return " && ".join(f"{{ {one}; }}" for one in asked)


def _installed() -> str:
    """What is installed here, as constraints for pip; not what came from a folder or a file."""
    pins = {
        f"{found.name}=={found.version.partition('+')[0]}"  # `+cpu` and its like have other indexes
        for found in distributions()
        if found.read_text("direct_url.json") is None and found.name != "cxrkeras"
    }
    return "".join(f"{pin}\n" for pin in sorted(pins, key=str.lower))
