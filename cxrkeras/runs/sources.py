"""`--source`: where knowledge comes from, as a chain of links in order."""

from dataclasses import dataclass
from pathlib import Path

from data_prep.errors import UserError

WEIGHT_FILES = (".keras", ".weights.h5")
TORCH_FILES = (".pth", ".pt", ".pth.tar", ".pt.tar", ".ckpt", ".bin")
FOREIGN_FILES = (".safetensors", *TORCH_FILES, ".h5", ".hdf5")
"""Endings of other tools' weights files, which must be imported first."""


@dataclass(frozen=True)
class Weights:
    """Trained weights: `imagenet`, or a file that contains such a trunk."""

    where: str

    @property
    def name(self) -> str:
        """The file's name without its folders."""
        return Path(self.where).name


@dataclass(frozen=True)
class Dataset:
    """A prepared dataset to train on, under a name that the user gave it."""

    name: str
    folder: Path


Link = Weights | Dataset
Chain = tuple[Link, ...]


def parse_source(text: str) -> Chain:
    """Parse one `--source`: links separated by commas, e.g. `imagenet,nih=data/nih`.

    Args:
        text: each link is `imagenet`, a `.keras` or `.weights.h5` file, or `NAME=DIR`.

    Returns:
        The links, in order.

    Raises:
        UserError: a link is of no known kind, or weights follow another link.
    """
    chain = tuple(_parse_link(word.strip(), text) for word in text.split(","))
    for link in chain[1:]:
        if isinstance(link, Weights):
            raise UserError(
                f"Weights can only begin a chain: {link.where!r} would discard what comes before "
                f"it. Received: --source {text}."
            )
    return chain


def _parse_link(word: str, text: str) -> Link:
    if word == "imagenet" or word.endswith(WEIGHT_FILES):
        return Weights(word)
    name, equals, folder = word.partition("=")
    # Keras names validation metrics val_…, from which a head `val` couldn't be told.
    if equals and name.isidentifier() and name.isascii() and name != "val" and folder:
        return Dataset(name, Path(folder))
    if word.lower().endswith(FOREIGN_FILES):
        raise UserError(
            f"--source takes {word!r} only after an import: run cxrkeras weights import {word} "
            "--as BACKBONE, then give --source the trunk.weights.h5 that it writes."
        )
    raise UserError(
        "A link of --source is `imagenet`, a .keras or .weights.h5 file, or NAME=DIR (a prepared "
        "dataset; NAME consists of a-z, A-Z, 0-9 and _, doesn't begin with a digit, and isn't "
        f"`val`). Received: {word!r} in --source {text}."
    )
