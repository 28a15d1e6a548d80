"""Turns a foreign file into a folder with a trunk and, if its labels are known, a model."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from cxrkeras.data.model_json import write_model_json
from cxrkeras.models.architecture import Architecture
from cxrkeras.models.backbones import check_backbone
from cxrkeras.models.importing.files import read_state
from cxrkeras.models.importing.keras_names import keras_names
from cxrkeras.models.importing.labels import one_channel, output_labels
from cxrkeras.models.importing.names import Names
from cxrkeras.models.importing.recognise import check_network
from cxrkeras.models.importing.state import State
from cxrkeras.models.importing.torch_names import torch_names
from cxrkeras.models.importing.values import check_leftovers, fill_trunk, head_values
from cxrkeras.models.network import TARGET, build_network
from cxrkeras.models.weights.trunk import save_trunk
from cxrkeras.registry import BACKBONES, HEADS
from data_prep.errors import UserError

TRUNK, MODEL = "trunk.weights.h5", "model.keras"
FORMAT = 1


@dataclass(frozen=True)
class Wish:
    """What is said about a file, beyond its contents.

    Args:
        backbone: which network it holds, one that `recognise.importable` names.
        image_size: side in pixels of the model that predicts; the trunk works at any.
        labels: of the classifier's outputs in order, "" for one to leave out.
        scaling: how its pixels were scaled, a key of `pixels.PIXELS`; by its naming if None.
        trunk_only: leave out whatever is not the trunk.
        origin: who trained it, on what, and where it was obtained.
        licence: under which it may be used.
    """

    backbone: str
    image_size: int
    labels: tuple[str, ...] | None = None
    scaling: str | None = None
    trunk_only: bool = False
    origin: str = ""
    licence: str = ""


@dataclass(frozen=True)
class Imported:
    """What was made.

    Args:
        folder: where.
        facts: what is written into the trunk file.
        outputs: of the file's classifier, 0 without one.
    """

    folder: Path
    facts: dict
    outputs: int


def import_weights(path: Path, out: Path, wish: Wish) -> Imported:
    """Import weights that somebody else trained.

    `out` gets `trunk.weights.h5`, with the facts in it, and if the classifier came along and its
    labels are known `model.keras` and `model.json`. It is created completely or not at all.

    Args:
        path: see `read_state`.
        out: a folder that doesn't exist yet, or is empty.
        wish: what is said about the file.

    Raises:
        UserError: the file isn't what it is said to be; the first wrong tensor is named.
    """
    _check_new(out)
    if wish.labels and wish.trunk_only:
        raise UserError("--labels names outputs that --trunk-only leaves out: give one of the two.")
    state = read_state(path)
    check_network(state, wish.backbone, path)
    backbone = check_backbone(wish.backbone, wish.image_size)
    ours, trunk = backbone.scaling, backbone.trunk(wish.image_size)
    names = _names(wish.backbone, trunk, state, path)
    check_leftovers(names, state, path, trunk_only=wish.trunk_only)
    scaling = wish.scaling or ("xrv" if one_channel(names, state) else ours)
    fill_trunk(trunk, names, state, scaling=scaling, ours=ours, path=path)
    classifier = _classifier(names, state, trunk.output_shape[-1], wish, path)
    facts = _facts(path, wish, names, scaling, classifier)
    with _appearing(out) as folder:
        save_trunk(trunk, folder / TRUNK, facts)
        if classifier and classifier.labels:
            _save_model(trunk, classifier, wish, facts, folder)
    return Imported(out, facts, len(classifier.bias) if classifier else 0)


@dataclass(frozen=True)
class _Classifier:
    """Kernel (C, K), bias (K,), and the label of each output ("" to leave out) if known."""

    kernel: np.ndarray
    bias: np.ndarray
    labels: tuple[str, ...] | None


def _facts(
    path: Path, wish: Wish, names: Names, scaling: str, classifier: _Classifier | None
) -> dict:
    labels = [label for label in (classifier and classifier.labels) or () if label]
    notes = list(names.notes)
    if labels and scaling == "xrv":
        notes.append(
            "probabilities are the sigmoid's; torchxrayvision rescales them about each label's "
            "operating point, which keeps their order"
        )
    return {
        "format": FORMAT,
        "backbone": wish.backbone,
        "origin": wish.origin,
        "licence": wish.licence,
        "file": path.name,
        "sha256": _sha256(path),
        "naming": names.said,
        "scaling": scaling,
        "labels": labels,
        "notes": notes,
    }


def _names(backbone: str, trunk: keras.Model, state: State, path: Path) -> Names:
    if state.kind == "torch":
        return torch_names(backbone, state, path)
    return keras_names(trunk, state, path)


def _classifier(
    names: Names, state: State, features: int, wish: Wish, path: Path
) -> _Classifier | None:
    if wish.trunk_only or names.head is None:
        if wish.labels:
            why = f" ({'; '.join(names.notes)})" if names.notes else ""
            raise UserError(
                f"--labels names the outputs of a classifier, but none is taken from {path}{why}. "
                "Leave out --labels."
            )
        return None
    kernel, bias = head_values(names, state, features, path)
    labels = output_labels(wish.labels, names, state, len(bias), path)
    return _Classifier(kernel, bias, labels)


def _save_model(
    trunk: keras.Model, classifier: _Classifier, wish: Wish, facts: dict, folder: Path
) -> None:
    kept = [number for number, label in enumerate(classifier.labels) if label]
    labels = facts["labels"]
    backbone, head = BACKBONES.make(wish.backbone), HEADS.make("gap")
    architecture = Architecture((backbone,), head, wish.image_size)
    network = build_network(architecture, {TARGET: len(labels)})
    network.trunks[0].set_weights(trunk.get_weights())
    kernel, bias = classifier.kernel[:, kept], classifier.bias[kept]
    network.probability.get_layer(TARGET).set_weights(
        [kernel.astype(np.float32), bias.astype(np.float32)]
    )
    network.probability.save(folder / MODEL)
    card = {
        "labels": labels,
        "image_size": wish.image_size,
        "trained_on": wish.origin or facts["file"],
        "training_prevalence": dict.fromkeys(labels),
        "inflation": dict.fromkeys(labels, 1.0),
        "imported": facts,
    }
    write_model_json(folder, card)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_new(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out {out} already exists. Give another folder, or remove it first.")


@contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """A folder that becomes `out` in one step, if all went well."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        done = Path(scratch, "done")
        done.mkdir()
        yield done
        os.replace(done, out)
