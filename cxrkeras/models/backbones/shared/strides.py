"""A trunk's maps by stride: the last tensor of each stride through which everything flows.

The last tensor of a size is no such map: it may be a branch, a squeezed channel weight, or padding.
A map is a tensor through which all ways from the image to the trunk's output lead: the number of
ways into it times the number of ways out of it is the number of all ways. Its stride is the product
of the layers' own strides; a division of sides would be wrong wherever padding is `valid`.
"""

from collections import defaultdict
from collections.abc import Iterable

import keras

from cxrkeras.models.graph import around

SMALLEST = 4
"""Maps of smaller strides are left out: they hold edges, and are as large as the image."""
_PADDING = (keras.layers.ZeroPadding2D, keras.layers.Cropping2D)


def key(stride: int) -> str:
    """`s08`; `s128` behind a stem."""
    return f"s{stride:02d}"


def maps_by_stride(trunk: keras.Model) -> dict[str, keras.KerasTensor]:
    """The maps of a trunk's own graph, the last one always among them.

    Args:
        trunk: (N, S, S, 3) -> (N, h, w, C), each layer called once.

    Returns:
        {`s04`: (N, h, w, C), …}, the strides ascending.
    """
    steps, strides = _steps(trunk), strides_of(trunk)
    into = _ways(steps, trunk.inputs)
    back = [(outputs, inputs) for inputs, outputs, _ in reversed(steps)]
    out_of = _ways([(*pair, None) for pair in back], trunk.outputs)
    total = into[id(trunk.outputs[0])]
    return named(
        trunk,
        strides,
        (
            tensor
            for _, outputs, operation in steps
            for tensor in outputs
            if into[id(tensor)] * out_of[id(tensor)] == total
            and not isinstance(operation, _PADDING)
        ),
    )


def named(
    trunk: keras.Model, strides: dict[int, int], tensors: Iterable[keras.KerasTensor]
) -> dict[str, keras.KerasTensor]:
    """The last of the tensors at each stride, and the trunk's own output."""
    found = {strides[id(tensor)]: tensor for tensor in tensors if len(tensor.shape) == 4}
    (last,) = trunk.outputs
    found = {stride: tensor for stride, tensor in found.items() if stride >= SMALLEST}
    found[strides[id(last)]] = last
    return {key(stride): found[stride] for stride in sorted(found)}


def strides_of(trunk: keras.Model) -> dict[int, int]:
    """{id of a tensor: pixels of the image from one place to the next}; the largest way counts."""
    strides = {id(tensor): 1 for tensor in trunk.inputs}
    for inputs, outputs, operation in _steps(trunk):
        before = max((strides.get(id(tensor), 1) for tensor in inputs), default=1)
        strides |= {id(tensor): before * stride(operation) for tensor in outputs}
    return strides


def stride(operation: keras.Operation) -> int:
    """A layer's own stride; a nested model's is that of all it does."""
    if isinstance(operation, keras.Model):
        return strides_of(operation)[id(operation.outputs[-1])]
    own = getattr(operation, "strides", 1)
    return int(own[0] if isinstance(own, list | tuple) else own)


def _steps(model: keras.Model) -> list[tuple[list, list, keras.Operation]]:
    """(inputs, outputs, operation), each after those that it needs."""
    sequential = isinstance(model, keras.Sequential)
    return [
        (*around(operation), operation)
        for operation in (model.layers if sequential else model.operations)
        if not isinstance(operation, keras.layers.InputLayer)
    ]


def _ways(steps: Iterable[tuple], starts: Iterable[keras.KerasTensor]) -> dict[int, int]:
    """{id of a tensor: number of ways to it from where they start}."""
    ways: dict[int, int] = defaultdict(int)
    ways.update({id(tensor): 1 for tensor in starts})
    for before, after, _ in steps:
        through = sum(ways[id(tensor)] for tensor in before)
        for tensor in after:
            ways[id(tensor)] += through
    return ways
