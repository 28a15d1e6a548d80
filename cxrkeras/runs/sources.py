"""`--source`: where knowledge comes from, as a chain of links in order."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from cxrkeras.data.preparation import files_of
from data_prep.errors import UserError

IMAGENET = "imagenet"
WEIGHT_FILES = (".keras", ".weights.h5")
TORCH_FILES = (".pth", ".pt", ".pth.tar", ".pt.tar", ".ckpt", ".bin")
MOST = 100
"""The largest weight of `--source-rows`."""
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


@dataclass(frozen=True)
class RowSource:
    """A prepared dataset whose images teach the target's head too.

    Args:
        name: given by the user.
        folder: None if a `--source` of that name says it.
        weight: how often its images are drawn, for each time one of the target is; 0 for never.
    """

    name: str
    folder: Path | None
    weight: float


Link = Weights | Dataset
Chain = tuple[Link, ...]


def check_there(link: Link) -> None:
    """Check that what a link names exists.

    Raises:
        UserError: it doesn't.
    """
    if isinstance(link, Dataset):
        files_of(link.folder)
    elif link.where != IMAGENET and not Path(link.where).is_file():
        path = Path(link.where)
        there = [one.name for end in WEIGHT_FILES for one in path.parent.glob(f"*{end}")]
        near = get_close_matches(path.name, there, n=1)
        advice = f"Did you mean {path.with_name(near[0])}?" if near else "Give one that does."
        raise UserError(
            f"--source names a weights file that doesn't exist: {path}. Nothing was trained. "
            f"{advice}"
        )


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


def parse_rows(text: str) -> RowSource:
    """Parse one `--source-rows`: `NAME=DIR`, `NAME=DIR:WEIGHT`, or `NAME=WEIGHT`.

    Raises:
        UserError: it is none of these, or the weight isn't a number from 0 to `MOST`.
    """
    name, equals, rest = text.strip().partition("=")
    folder, colon, last = rest.rpartition(":")
    weight = _number(last)
    if weight is None:
        folder, weight = rest, 1.0
    elif not colon:
        folder = None
    named = name.isidentifier() and name.isascii()
    if not (equals and named and folder != "" and 0 <= weight <= MOST):
        raise UserError(
            "--source-rows is NAME=DIR or NAME=DIR:WEIGHT (a prepared dataset), or NAME=WEIGHT for "
            f"a dataset that --source gives; a weight is a number from 0 to {MOST}. Received: "
            f"{text!r}."
        )
    return RowSource(name, None if folder is None else Path(folder), weight)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _parse_link(word: str, text: str) -> Link:
    if word == IMAGENET or word.endswith(WEIGHT_FILES):
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
    if not equals and (near := get_close_matches(Path(word).suffix, WEIGHT_FILES[:1], n=1)):
        raise UserError(
            f"--source takes a weights file that ends in {' or '.join(WEIGHT_FILES)}. Received: "
            f"{word!r} in --source {text}. Did you mean {Path(word).with_suffix(near[0])}?"
        )
    raise UserError(
        "A link of --source is `imagenet`, a .keras or .weights.h5 file, or NAME=DIR (a prepared "
        "dataset; NAME consists of a-z, A-Z, 0-9 and _, doesn't begin with a digit, and isn't "
        f"`val`). Received: {word!r} in --source {text}."
    )
