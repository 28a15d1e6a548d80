"""PyTorch's names: torchvision's DenseNet121 and ResNet50, and how others have wrapped them."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cxrkeras.models.importing.names import Head, Names
from cxrkeras.models.importing.state import State
from data_prep.errors import UserError

EPSILON = 1e-5
"""nn.BatchNorm2d's default, in all of torchvision."""

_VARIABLES = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_DENSENET_BLOCKS = (6, 12, 24, 16)
_RESNET_BLOCKS = (3, 4, 6, 3)


def densenet121_modules() -> dict[str, str]:
    """Our layer -> torchvision's module below `features.`, for all that has weights."""
    modules = {"conv1_conv": "conv0", "conv1_bn": "norm0", "bn": "norm5"}
    for block, layers in enumerate(_DENSENET_BLOCKS, start=1):
        for layer in range(1, layers + 1):
            ours, theirs = f"conv{block + 1}_block{layer}", f"denseblock{block}.denselayer{layer}"
            modules |= {f"{ours}_0_bn": f"{theirs}.norm1", f"{ours}_1_conv": f"{theirs}.conv1"}
            modules |= {f"{ours}_1_bn": f"{theirs}.norm2", f"{ours}_2_conv": f"{theirs}.conv2"}
        if block < len(_DENSENET_BLOCKS):
            modules[f"pool{block + 1}_bn"] = f"transition{block}.norm"
            modules[f"pool{block + 1}_conv"] = f"transition{block}.conv"
    return modules


def resnet50_modules() -> dict[str, str]:
    """Our layer -> torchvision's module, for all that has weights."""
    modules = {"conv1_conv": "conv1", "conv1_bn": "bn1"}
    for stack, blocks in enumerate(_RESNET_BLOCKS, start=1):
        for block in range(blocks):
            ours, theirs = f"conv{stack + 1}_block{block + 1}", f"layer{stack}.{block}"
            for number in (1, 2, 3):
                modules[f"{ours}_{number}_conv"] = f"{theirs}.conv{number}"
                modules[f"{ours}_{number}_bn"] = f"{theirs}.bn{number}"
        first = f"conv{stack + 1}_block1"
        modules[f"{first}_0_conv"] = f"layer{stack}.0.downsample.0"
        modules[f"{first}_0_bn"] = f"layer{stack}.0.downsample.1"
    return modules


_BACKBONES = {
    "densenet121": (
        densenet121_modules,
        re.compile(r"(?:conv0|norm\d|denseblock\d+|transition\d+)\."),
        "denseblock1.denselayer1.conv1.weight",
    ),
    "resnet50_v1_5": (
        resnet50_modules,
        re.compile(r"(?:conv1|bn1|layer\d+)\."),
        "layer1.0.conv1.weight",
    ),
}
TORCH_BACKBONES = tuple(_BACKBONES)


def torch_names(backbone: str, state: State, path: Path) -> Names:
    """The naming of a PyTorch file.

    Understood are torchvision's own, the older `norm.1`, `conv.1` of a dense layer (before PyTorch
    0.4; released CheXNet weights have it), and any prefix, such as DataParallel's `module.`.

    Args:
        backbone: one of `TORCH_BACKBONES`.
        state: of kind `torch`.
        path: of the file, for errors.

    Raises:
        UserError: when the file holds no such backbone, or several.
    """
    modules, part, mark = _BACKBONES[backbone]
    spelled = {_today(key): key for key in state.tensors}
    root = _root(spelled, mark, backbone, path)

    def key(module: str, variable: str) -> str:
        name = f"{root}{module}.{_VARIABLES[variable]}"
        return spelled.get(name, name)

    def in_trunk(name: str) -> bool:
        return name.startswith(root) and bool(part.match(name[len(root) :]))

    old = any(_today(name) != name for name in state.tensors)
    prefix = root.removesuffix("features.")
    return Names(
        said="PyTorch's names"
        + (", in the old spelling norm.1, conv.1" if old else "")
        + (f", behind {prefix}" if prefix else ""),
        keys={
            (layer, variable): key(module, variable)
            for layer, module in modules().items()
            for variable in _variables(layer)
        },
        to_keras=_to_keras,
        from_keras=_from_keras,
        first="conv1_conv",
        epsilon=EPSILON,
        head=_head(name for name in state.tensors if not in_trunk(name)),
        beside=frozenset(
            name
            for name in state.tensors
            if name.endswith("num_batches_tracked") or name.rpartition(".")[2] == OPERATING_POINTS
        ),
        trunk=in_trunk,
    )


OPERATING_POINTS = "op_threshs"
"""torchxrayvision's buffer: per output the operating point, NaN for one that was not trained."""


def _today(key: str) -> str:
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)", r"\1\2", key)


def _root(spelled: Iterable[str], mark: str, backbone: str, path: Path) -> str:
    roots = [name.removesuffix(mark) for name in spelled if name.endswith(mark)]
    roots = [root for root in roots if not root or root.endswith(".")]
    if len(roots) == 1:
        return roots[0]
    if roots:
        raise UserError(
            f"{path} holds {len(roots)} {backbone} trunks (under {', '.join(sorted(roots))}). "
            "Save the state_dict() of the wanted one alone."
        )
    raise UserError(f"{path} lacks {mark}, with which a {backbone} of PyTorch begins.")


def _variables(layer: str) -> tuple[str, ...]:
    if layer.endswith("bn"):
        return "gamma", "beta", "moving_mean", "moving_variance"
    return ("kernel",)


def _head(names: Iterable[str]) -> Head | None:
    """The one linear layer under a usual name; several would be no linear classifier."""
    pattern = re.compile(r"^((?:.*\.)?(?:classifier|fc)(?:\.\d+)?)\.weight$")
    found = [match[1] for match in map(pattern.match, names) if match]
    return Head(f"{found[0]}.weight", f"{found[0]}.bias") if len(found) == 1 else None


def _to_keras(array: np.ndarray, variable: str) -> np.ndarray:
    """(out, in, h, w) -> (h, w, in, out), and (out, in) -> (in, out)."""
    if variable != "kernel":
        return array
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T


def _from_keras(shape: tuple[int, ...], variable: str) -> tuple[int, ...]:
    if variable != "kernel":
        return shape
    return (*shape[:1:-1], *shape[:2]) if len(shape) == 4 else shape[::-1]
