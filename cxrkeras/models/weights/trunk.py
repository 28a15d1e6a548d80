"""Trunk weights to and from files: found inside any `.keras` or `.weights.h5`, of any size."""

import hashlib
import json
import tempfile
from pathlib import Path

import h5py
import keras
import numpy as np

from cxrkeras.models.weights.downloads import by_hand, reason_of
from cxrkeras.models.weights.files import FACTS, facts_of, names_in, shapes_of, weights_of
from cxrkeras.registry import BACKBONES
from cxrkeras.runs.sources import Weights, check_there
from data_prep.errors import UserError
from data_prep.files import replacing


def load_trunk(trunk: keras.Model, backbone: str, weights: Weights) -> None:
    """Put weights that somebody trained into `trunk`.

    Args:
        trunk: a built trunk of `backbone`, changed in place.
        backbone: its name in the registry.
        weights: `imagenet` or a file.

    Raises:
        UserError: the file is missing or has no such trunk, or ImageNet's weights can't be
            downloaded.
    """
    if weights.where == "imagenet":
        _load_imagenet(trunk, backbone)
    else:
        check_there(weights)
        _load_file(trunk, backbone, Path(weights.where))


def save_trunk(trunk: keras.Model, path: Path, facts: dict | None = None) -> None:
    """Write `path` (`.weights.h5`) in one step.

    Args:
        trunk: whose weights to write.
        path: where.
        facts: JSON about them, as an attribute of the file, which Keras ignores.
    """
    with replacing(path, ".weights.h5") as temporary:
        trunk.save_weights(temporary)
        if facts:
            with h5py.File(temporary, "r+") as store:
                store.attrs[FACTS] = json.dumps(facts, ensure_ascii=False, allow_nan=False)


def fingerprint(weights: Weights) -> str:
    """What identifies the weights: the sha256 of a file's content, or `imagenet`.

    Raises:
        UserError: the file is missing.
    """
    if weights.where == "imagenet":
        return "imagenet"
    check_there(weights)
    with Path(weights.where).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load_imagenet(trunk: keras.Model, backbone: str) -> None:
    size = trunk.input_shape[1]
    try:
        donor = BACKBONES.make(backbone).trunk(size, weights="imagenet")
    except UserError:
        raise
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise UserError(
            f"ImageNet weights of {backbone} could not be downloaded ({reason_of(error)}). "
            f"{by_hand(error)}Or give a file that holds a trunk, and say which: --backbone NAME "
            "--source FILE.keras."
        ) from error
    trunk.set_weights(donor.get_weights())


def _load_file(trunk: keras.Model, backbone: str, path: Path) -> None:
    """Copy the one group that has the trunk's own layout; nothing of the file is executed.

    Where there is none, that of the model in it which its stem or its transformer builds on.
    """
    nested = [layer for layer in trunk.layers if isinstance(layer, keras.Model) and layer.weights]
    with tempfile.TemporaryDirectory() as scratch, weights_of(path) as store:
        for body in (trunk, *nested):
            own = Path(scratch, "own.weights.h5")
            body.save_weights(own)
            with h5py.File(own, "r+") as layout:
                shapes = shapes_of(layout)
                fits = _fits(store, shapes)
                if group := _matching_group(store, shapes, fits, backbone, path):
                    values = {key: _numbers(group[key], path) for key in shapes}
                    for key, value in values.items():
                        layout[key][...] = value
            if group:
                body.load_weights(own)
                return
            if body is trunk:
                refusal = _no_trunk(store, shapes, fits, backbone, path)
    raise refusal


def _fits(store: h5py.File, shapes: dict[str, tuple[int, ...]]) -> dict[str, int]:
    """{group that may be a model: how many of a trunk's tensors it has in their shapes}."""
    groups = [store]
    store.visititems(lambda _, item: groups.append(item) if isinstance(item, h5py.Group) else None)
    return {group.name: _fit(group, shapes) for group in groups if "layers" in group}


def _matching_group(
    store: h5py.File,
    shapes: dict[str, tuple[int, ...]],
    fits: dict[str, int],
    backbone: str,
    path: Path,
) -> h5py.Group | None:
    """The group under which every tensor of the trunk stands with its shape, if there is one."""
    whole = [name for name, fit in fits.items() if fit == len(shapes)]
    if len(whole) > 1:
        raise UserError(
            f"{path} holds {len(whole)} {backbone} trunks ({', '.join(whole)}), and it isn't "
            "clear which one is meant. Save the wanted trunk alone: "
            "trunk.save_weights('x.weights.h5')."
        )
    return store[whole[0]] if whole else None


def _no_trunk(
    store: h5py.File,
    shapes: dict[str, tuple[int, ...]],
    fits: dict[str, int],
    backbone: str,
    path: Path,
) -> UserError:
    best = max(fits, key=fits.get, default=None)
    nearest = f" (the nearest part, {best}, has {fits[best]} of them)" if best else ""
    named = (facts_of(store) or {}).get("backbone") or _named(path, backbone)
    made = named or "that the file was made with"
    return UserError(
        f"{path} holds no {backbone} trunk: no part of it has its {len(shapes)} tensors in their "
        f"shapes{nearest}. Give the --backbone {made}."
    )


def _named(path: Path, other: str) -> str:
    """The one backbone whose name a `.keras` file gives a model in it; "" where that isn't clear.

    Keras's own names have fewer underscores: efficientnetb0.
    """
    names = {name.replace("_", "") for name in names_in(path)}
    known = [name for name in BACKBONES.names() if name.replace("_", "") in names]
    return known[0] if len(known) == 1 and known != [other] else ""


def _numbers(item: h5py.Dataset, path: Path) -> np.ndarray:
    values = item[...]
    if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
        raise UserError(
            f"{path} holds no finite numbers in {item.name}: its training diverged, or the file is "
            "damaged. Give another file."
        )
    return values


def _fit(group: h5py.Group, shapes: dict[str, tuple[int, ...]]) -> int:
    return sum(
        isinstance(item := group.get(key), h5py.Dataset) and item.shape == shape
        for key, shape in shapes.items()
    )
