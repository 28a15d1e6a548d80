"""What network a file's names look like, to answer a wrong `--as`."""

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from cxrkeras.models.importing.state import State
from cxrkeras.registry import BACKBONES
from data_prep.errors import UserError

_DENSENETS = {
    (6, 12, 24, 16): 121,
    (6, 12, 32, 32): 169,
    (6, 12, 48, 32): 201,
    (6, 12, 36, 24): 161,
}
_BOTTLENECKS = {(3, 4, 6, 3): 50, (3, 4, 23, 3): 101, (3, 8, 36, 3): 152}
_BASIC = {(2, 2, 2, 2): 18, (3, 4, 6, 3): 34}

_VGGS = {8: 11, 10: 13, 13: 16, 16: 19}


@cache
def importable() -> dict[str, str]:
    """{what can be imported, in `recognise`'s words: as which backbone}, by what backbones say."""
    return {file: name for name in BACKBONES.names() for file in BACKBONES.load(name).files}


def recognise(state: State) -> str | None:
    """`PyTorch's DenseNet121` and the like; None for a network that isn't known."""
    if state.kind == "torch":
        name = _torch(list(state.tensors))
        return name and f"PyTorch's {name}"
    name = _keras([key.rpartition("/")[0].replace("/", "_") for key in state.tensors])
    return name and f"Keras's {name}"


def check_network(state: State, backbone: str, path: Path) -> None:
    """Refuse a file that holds another network than asked for.

    Raises:
        UserError: naming what it looks like, and the right `--as` if there is one.
    """
    found = recognise(state)
    known = importable()
    if known.get(found) == backbone:
        return
    if found in known:
        cure = f"Give --as {known[found]}."
    else:
        cure = f"What can be imported: {', '.join(known)}."
    looks = f"looks like {found}" if found else "isn't one of the known networks"
    raise UserError(f"--as {backbone} doesn't fit: {path} {looks}. {cure}")


def _torch(keys: list[str]) -> str | None:
    layers = _blocks(keys, r"(?:^|\.)denseblock(\d+)\.denselayer(\d+)\.")
    if layers:
        return _named("DenseNet", _DENSENETS, layers)
    blocks = _blocks(keys, r"(?:^|\.)layer(\d+)\.(\d+)\.")
    if blocks:
        deep = any(key.endswith("layer1.0.conv3.weight") for key in keys)
        return _named("ResNet", _BOTTLENECKS if deep else _BASIC, blocks)
    return _vgg(keys)


def _vgg(keys: list[str]) -> str | None:
    """By the number of its convolutions; with batch-norm, every second module has statistics."""
    weights = sum(bool(re.search(r"(?:^|\.)features\.\d+\.weight$", key)) for key in keys)
    norms = sum(bool(re.search(r"(?:^|\.)features\.\d+\.running_mean$", key)) for key in keys)
    depth = _VGGS.get(weights - norms)
    return depth and f"VGG{depth}{'-BN' if norms else ''}"


def _keras(layers: list[str]) -> str | None:
    names = set(layers)
    blocks = _blocks(names, r"^conv([2-5])_block(\d+)_")
    if "pool2_bn" in names:
        return _named("DenseNet", _DENSENETS, blocks)
    if blocks:
        family = "ResNet50V2 or its like" if "post_bn" in names else None
        return family or _named("ResNet", _BOTTLENECKS, blocks)
    old = _blocks(names, r"^res([2-5])([a-z]\d*)_branch2a$")
    if old:
        return _named("ResNet", _BOTTLENECKS, old)
    if "block14_sepconv2" in names:
        return "Xception"
    if "block5_conv3" in names:
        return "VGG19" if "block5_conv4" in names else "VGG16"
    automatic = {name for name in names if re.fullmatch(r"conv2d(_\d+)?", name)}
    return "InceptionV3" if len(automatic) == 94 else None


def _blocks(names: Iterable[str], pattern: str) -> tuple[int, ...]:
    """How many different blocks each stack has, the stacks in order."""
    found = {match.groups() for name in names if (match := re.search(pattern, name))}
    counts = Counter(stack for stack, _ in found)
    return tuple(counts[stack] for stack in sorted(counts, key=int))


def _named(family: str, depths: dict[tuple[int, ...], int], blocks: tuple[int, ...]) -> str:
    depth = depths.get(blocks)
    return f"{family}{depth}" if depth else f"{family} with blocks {blocks}"
