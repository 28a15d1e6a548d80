"""The checked values of a trunk, and of its classifier, out of a file."""

from collections.abc import Collection
from pathlib import Path

import keras
import numpy as np

from cxrkeras.models.importing.names import Names
from cxrkeras.models.importing.pixels import fold_scaling
from cxrkeras.models.importing.state import State
from data_prep.errors import UserError


def fill_trunk(
    trunk: keras.Model, names: Names, state: State, *, scaling: str, ours: str, path: Path
) -> None:
    """Put the file's values into `trunk`, such that it computes what the original computes.

    Args:
        trunk: a built trunk, changed in place once every value has been checked.
        names: the file's naming.
        state: the file.
        scaling: of the original's pixels, a key of `pixels.PIXELS`.
        ours: that of our trunk's pixels, a key of `SCALINGS`.
        path: of the file, for errors.

    Raises:
        UserError: naming the first missing key, or the first of another shape or with values that
            aren't finite, and their number.
    """
    layers = [layer for layer in trunk.layers if layer.weights]
    wanted = {_of(layer, v): names.keys[_of(layer, v)] for layer in layers for v in layer.weights}
    _check_present(wanted.values(), state, path)
    values = {
        (layer, variable): names.to_keras(state.tensors[key], variable).astype(np.float64)
        for (layer, variable), key in wanted.items()
    }
    kernel = values[names.first, "kernel"]
    if scaling != ours or kernel.shape[2] == 1:
        values[names.first, "kernel"] = fold_scaling(kernel, scaling, ours)
    _check_shapes(layers, values, names, state, path)
    _check_finite({wanted[place]: value for place, value in values.items()}, path)
    for layer in layers:
        _set(layer, values, names.epsilon)


def check_leftovers(names: Names, state: State, path: Path, *, trunk_only: bool) -> None:
    """Refuse a file with weights that neither the trunk nor the classifier takes.

    Raises:
        UserError: naming the first and their number.
    """
    known = {*names.keys.values(), *names.beside}
    if names.head:
        known |= {names.head.kernel, names.head.bias}
    left = [
        key for key in state.tensors if key not in known and (names.trunk(key) or not trunk_only)
    ]
    if left:
        inside = any(map(names.trunk, left))
        cure = "So this is another network." if inside else "--trunk-only leaves them out."
        raise UserError(
            f"{path} holds {_count(left, 'tensor')} for which --as has no place: {_first(left)}. "
            + cure
        )


def head_values(names: Names, state: State, features: int, path: Path) -> tuple[np.ndarray, ...]:
    """Kernel (C, K) and bias (K,) of the classifier.

    Raises:
        UserError: when it isn't linear on the trunk's C features.
    """
    keys = (names.head.kernel, names.head.bias)
    _check_present(keys, state, path)
    kernel = names.to_keras(state.tensors[keys[0]], "kernel").astype(np.float64)
    bias = state.tensors[keys[1]].astype(np.float64)
    if kernel.shape != (features, *bias.shape):
        raise UserError(
            f"{path}: the classifier {keys[0]} is {kernel.shape}, not linear on {features} pooled "
            "features. --trunk-only leaves it out."
        )
    _check_finite(dict(zip(keys, (kernel, bias), strict=True)), path)
    return kernel, bias


def _of(layer: keras.Layer, variable) -> tuple[str, str]:
    return layer.name, variable.name


def _check_present(keys: Collection[str], state: State, path: Path) -> None:
    missing = [key for key in keys if key not in state.tensors]
    if missing:
        raise UserError(
            f"{path} lacks {len(missing)} of {len(keys)} tensors: {_first(missing)}. Check that "
            "the file is complete, and what it was saved from."
        )


def _check_shapes(layers, values: dict, names: Names, state: State, path: Path) -> None:
    wrong = [
        (layer, variable)
        for layer in layers
        for variable in layer.weights
        if values[_of(layer, variable)].shape != tuple(variable.shape)
    ]
    if wrong:
        layer, variable = wrong[0]
        key = names.keys[_of(layer, variable)]
        expected = names.from_keras(tuple(variable.shape), variable.name)
        raise UserError(
            f"{path} holds {_count(wrong, 'tensor')} of another shape: {key} is "
            f"{state.tensors[key].shape}, needed is {expected}. So this is another network."
        )


def _check_finite(values: dict[str, np.ndarray], path: Path) -> None:
    bad = [key for key, value in values.items() if not np.isfinite(value).all()]
    if bad:
        raise UserError(
            f"{path} holds {_count(bad, 'tensor')} with NaN or infinite values: {_first(bad)}. "
            "Its training diverged, or the file is damaged."
        )


def _set(layer: keras.Layer, values: dict, epsilon: float | None) -> None:
    own = {variable.name: values[_of(layer, variable)] for variable in layer.weights}
    if epsilon is not None and isinstance(layer, keras.layers.BatchNormalization):
        own = with_epsilon(own, epsilon, layer.epsilon)
    layer.set_weights([own[variable.name].astype(np.float32) for variable in layer.weights])


def with_epsilon(
    batch_norm: dict[str, np.ndarray], theirs: float, ours: float
) -> dict[str, np.ndarray]:
    """The batch-norm that with epsilon `ours` computes what the given one does with `theirs`.

    The variance takes up the difference. Where it would become negative it is 0, and gamma takes up
    the rest.
    """
    variance = np.maximum(batch_norm["moving_variance"] + (theirs - ours), 0.0)
    rest = np.sqrt((variance + ours) / (batch_norm["moving_variance"] + theirs))
    corrected = {**batch_norm, "moving_variance": variance}
    if "gamma" in batch_norm:
        corrected["gamma"] = batch_norm["gamma"] * rest
    return corrected


def _count(things: Collection, what: str) -> str:
    return f"{len(things)} {what}{'' if len(things) == 1 else 's'}"


def _first(keys: Collection[str]) -> str:
    first = next(iter(keys))
    return first if len(keys) == 1 else f"{first} and {len(keys) - 1} more"
