"""What TensorFlow Serving needs to serve exported models: files, and the command that starts it."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from cxrkeras.serving.export.layout import check_name, versions
from cxrkeras.serving.server.containers import container_files
from data_prep.errors import UserError
from data_prep.files import atomic_write_text

_MARK = "# Written by `cxrkeras serve`, which may write it again."
IMAGE = "tensorflow/serving"
MODELS, CONFIG = "/models", "/config"  # inside the container
_STARTED_WITH = (
    f"--model_config_file={CONFIG}/models.config",
    "--enable_batching=true",
    f"--batching_parameters_file={CONFIG}/batching.config",
)


def served(folders: Sequence[Path]) -> dict[str, Path]:
    """{name: `DIR/NAME`} of exported models.

    Raises:
        UserError: for a folder without a SavedModel, an unfit name, or two of one name.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        home = folder.resolve()
        if (home / "saved_model.pb").is_file():
            raise UserError(
                f"{folder} is one version of a model, but the server watches all versions and "
                f"takes the newest. Give {folder.parent}."
            )
        if not versions(home):
            raise UserError(
                f"{folder} holds no SavedModel that `cxrkeras export` wrote. Give DIR/NAME."
            )
        name = check_name(home.name)
        if name in found:
            raise UserError(f"Two models have the name {name}. Export one with another --name.")
        found[name] = home
    return found


def write_config(
    folder: Path, models: Mapping[str, Path], *, batch: int, wait: float, threads: int
) -> tuple[list[str], list[Path]]:
    """Write the server's settings and `run.sh`, and beside them what `container_files` gives.

    Args:
        folder: to write into.
        models: {name: `DIR/NAME`}.
        batch: images that one call of the model takes at most.
        wait: milliseconds for which an image waits for others.
        threads: batches at a time.

    Returns:
        The words of the `docker run` command, and the files.

    Raises:
        UserError: one of the files is somebody else's.
        OSError: the folder can't be written.
    """
    words = docker_run(folder.resolve(), models)
    settings = {
        "models.config": f"{_MARK}\n{models_config(models)}",
        "batching.config": f"{_MARK}\n{batching_config(batch, wait, threads)}",
    }
    texts = {
        **settings,
        "run.sh": f'#!/bin/sh\n{_MARK}\nexec {shlex.join(words)} "$@"\n',
        **container_files(
            _MARK,
            models,
            image=IMAGE,
            words=_STARTED_WITH,
            places=(MODELS, CONFIG),
            settings=list(settings),
        ),
    }
    for name in texts:
        _check_ours(folder / name)
    for name, text in texts.items():
        atomic_write_text(folder / name, text)
    (folder / "run.sh").chmod(0o755)
    return words, [folder / name for name in texts]


def _check_ours(path: Path) -> None:
    if path.exists() and _MARK not in path.read_text(encoding="utf-8", errors="replace"):
        raise UserError(
            f"{path} exists and wasn't written by this verb. Give another --out, or move it."
        )


def models_config(models: Mapping[str, Path]) -> str:
    """A `ModelServerConfig` as text: each model's newest version is served."""
    entries = "".join(
        "  config {\n"
        f'    name: "{name}"\n'
        f'    base_path: "{MODELS}/{name}"\n'
        '    model_platform: "tensorflow"\n'
        "  }\n"
        for name in models
    )
    return f"model_config_list {{\n{entries}}}\n"


def batching_config(batch: int, wait: float, threads: int) -> str:
    """A `BatchingParameters` as text; a batch may have any size up to the largest."""
    return (
        f"max_batch_size {{ value: {batch} }}\n"
        f"batch_timeout_micros {{ value: {round(wait * 1000)} }}\n"
        f"num_batch_threads {{ value: {threads} }}\n"
        f"max_enqueued_batches {{ value: {16 * threads} }}\n"
    )


def docker_run(folder: Path, models: Mapping[str, Path]) -> list[str]:
    """The command: gRPC on 8500, REST on 8501, of this machine only; models read-only."""
    mounts = [(folder, CONFIG), *((home, f"{MODELS}/{name}") for name, home in models.items())]
    return [
        *("docker", "run", "--rm", "-p", "127.0.0.1:8500:8500", "-p", "127.0.0.1:8501:8501"),
        *(word for here, there in mounts for word in _mount(here, there)),
        IMAGE,
        *_STARTED_WITH,
    ]


def _mount(here: Path, there: str) -> tuple[str, str]:
    return "--mount", f"type=bind,source={here},target={there},readonly"
