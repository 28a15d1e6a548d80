"""Keras 2's names of `keras.applications`, in the spellings of its years."""

import re
from collections.abc import Iterable
from pathlib import Path

import keras

from cxrkeras.models.importing.names import Head, Names
from cxrkeras.models.importing.state import State

_OLD_RESNET_EPSILON = 1e-3
"""The first ResNet50 of Keras (`res2a_branch2a`) had BatchNormalization's default."""

_AUTOMATIC = re.compile(r"(conv2d|batch_normalization)(?:_(\d+))?")
_OF_A_TRUNK = re.compile(
    r"(conv\d+|block\d+|pool\d+|res\d\w+|bn\d\w+)_|(conv2d|batch_normalization)(_\d+)?$"
)
_MAXIMUM = ("global_max_pooling2d", "max_pool")


def keras_names(trunk: keras.Model, state: State, path: Path) -> Names:
    """The naming of a Keras 2 file.

    A layer of ours is sought under its own name, with `/` for `_` (`conv1/bn`), under its name in
    the first ResNet50 (`res2a_branch2a`), and where Keras had numbered it, at the same place among
    those of its kind.

    Args:
        trunk: ours, built.
        state: of kind `keras`.
        path: of the file, for errors.
    """
    spelled = {layer.replace("/", "_"): layer for layer in map(_layer, state.tensors)}
    old = "res2a_branch2a" in spelled
    layers = {layer.name: layer for layer in trunk.layers if layer.weights}
    theirs = {name: _old_resnet(name) if old else name for name in layers}
    theirs |= _by_order(layers, spelled)
    keys = {
        (name, variable.name): f"{spelled.get(theirs[name], theirs[name])}/{variable.name}"
        for name, layer in layers.items()
        for variable in layer.weights
    }
    head, beside, notes = _head(state, set(keys.values()), trunk.output_shape[-1])
    if "bn_conv1" in state.layers and "pool1_pad" not in state.layers:
        notes += ("its model pooled without padding after conv1; this one pads, as Keras does now",)
    return Names(
        said="Keras 2's names" + (", as its first ResNet50 had them" if old else ""),
        keys=keys,
        to_keras=lambda array, variable: array,
        from_keras=lambda shape, variable: shape,
        first=next(name for name, layer in layers.items() if isinstance(layer, _CONVOLUTION)),
        epsilon=_OLD_RESNET_EPSILON if old else None,
        head=head,
        beside=beside,
        trunk=lambda key: bool(_OF_A_TRUNK.match(_layer(key).replace("/", "_"))),
        notes=notes,
    )


_CONVOLUTION = keras.layers.Conv2D


def _layer(key: str) -> str:
    return key.rpartition("/")[0]


def _by_order(ours: Iterable[str], theirs: Iterable[str]) -> dict[str, str]:
    """Layers that Keras has numbered, paired by their rank: the numbers depend on the session."""
    paired = {}
    for kind in ("conv2d", "batch_normalization"):
        # A number too many or too few shows as an absent or a left-over key.
        paired |= dict(zip(_numbered(ours, kind), _numbered(theirs, kind), strict=False))
    return paired


def _numbered(names: Iterable[str], kind: str) -> list[str]:
    matches = [match for name in names if (match := _AUTOMATIC.fullmatch(name))]
    wanted = [match for match in matches if match[1] == kind]
    return [match[0] for match in sorted(wanted, key=lambda match: int(match[2] or 0))]


def _old_resnet(name: str) -> str:
    """conv2_block1_0_conv -> res2a_branch1, conv2_block1_1_bn -> bn2a_branch2a, and so on."""
    if name in ("conv1_conv", "conv1_bn"):
        return {"conv1_conv": "conv1", "conv1_bn": "bn_conv1"}[name]
    match = re.fullmatch(r"conv(\d)_block(\d+)_(\d)_(conv|bn)", name)
    stack, block, number, kind = match.groups()
    branch = f"branch2{'abc'[int(number) - 1]}" if int(number) else "branch1"
    return f"{'res' if kind == 'conv' else 'bn'}{stack}{'abcdef'[int(block) - 1]}_{branch}"


def _head(
    state: State, taken: set[str], features: int
) -> tuple[Head | None, frozenset[str], tuple[str, ...]]:
    """The classifier if there is one of use; else what belongs to it, and why it is of no use."""
    left = [key for key in state.tensors if key not in taken]
    kernels = [key for key in left if key.endswith("/kernel") and state.tensors[key].ndim == 2]
    if len(kernels) != 1 or state.tensors[kernels[0]].shape[0] != features:
        return None, frozenset(), ()
    head = Head(kernels[0], f"{_layer(kernels[0])}/bias")
    why = None
    if any(layer.startswith(_MAXIMUM) for layer in state.layers):
        why = "its classifier stands on maximum pooling, not on the average"
    elif state.activation not in (None, "sigmoid", "linear"):
        why = f"its classifier ends in {state.activation}, not in a sigmoid per label"
    if why:
        return None, frozenset({head.kernel, head.bias}), (why,)
    return head, frozenset(), ()
