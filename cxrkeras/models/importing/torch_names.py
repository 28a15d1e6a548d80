"""PyTorch's names: those of torchvision's networks, and how others have wrapped them."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from cxrkeras.models.importing.names import Head, Names
from cxrkeras.models.importing.state import State
from cxrkeras.registry import BACKBONES
from data_prep.errors import UserError

EPSILON = 1e-5
"""nn.BatchNorm2d's default, in all of torchvision."""

_VARIABLES = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "bias": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def torch_names(backbone: str, state: State, path: Path) -> Names:
    """The naming of a PyTorch file.

    Understood are torchvision's own, the older `norm.1`, `conv.1` of a dense layer (before PyTorch
    0.4; released CheXNet weights have it), and any prefix, such as DataParallel's `module.`.

    Args:
        backbone: one that has `torch_modules`.
        state: of kind `torch`.
        path: of the file, for errors.

    Raises:
        UserError: when the file holds no such backbone, or several.
    """
    part = BACKBONES.make(backbone)
    modules = part.torch_modules()
    kinds = {_kind(module) for module in modules.values()}
    spelled = {_today(key): key for key in state.tensors}
    root = _root(spelled, _mark(modules), backbone, path)

    def key(module: str, variable: str) -> str:
        name = f"{root}{module}.{_VARIABLES[variable]}"
        return spelled.get(name, name)

    def in_trunk(name: str) -> bool:
        return name.startswith(root) and _kind(name[len(root) :]) in kinds

    old = any(_today(name) != name for name in state.tensors)
    prefix = root.removesuffix("features.")
    return Names(
        said="PyTorch's names"
        + (", in the old spelling norm.1, conv.1" if old else "")
        + (f", behind {prefix}" if prefix else ""),
        keys={
            (layer, variable): key(module, variable)
            for layer, module in modules.items()
            for variable in _variables(layer, biased=part.torch_bias)
        },
        to_keras=_to_keras,
        from_keras=_from_keras,
        first=next(iter(modules)),
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


def _mark(modules: Mapping[str, str]) -> str:
    """A tensor whose name ends no other's: the first convolution's within a block, if there is."""
    found = [module for layer, module in modules.items() if not layer.endswith("bn")]
    deep = [module for module in found if module.count(".") > 1]
    return f"{(deep or found)[0]}.weight"


def _kind(name: str) -> str:
    """`denseblock` of `denseblock2.denselayer3.conv1`: what the numbers at the top leave."""
    return name.partition(".")[0].rstrip("0123456789")


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


def _variables(layer: str, *, biased: bool) -> tuple[str, ...]:
    if layer.endswith("bn"):
        return "gamma", "beta", "moving_mean", "moving_variance"
    return ("kernel", "bias") if biased else ("kernel",)


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
