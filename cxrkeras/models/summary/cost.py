"""What a model costs and sees, from its graph: parameters, operations, memory, receptive field."""

from dataclasses import dataclass
from math import inf, prod

import keras

from cxrkeras.models.graph import calls, source, steps

BYTES = 4  # float32
_HALF = {"bfloat16", "float16"}
_KERNELS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)
_POOLS = (keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)
_GLOBAL = (
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.MultiHeadAttention,
)


@dataclass(frozen=True)
class Sight:
    """What one place of a trunk's map sees.

    Args:
        map: (h, w, C) of the feature map.
        stride: pixels of the image from one place to the next.
        field: side of the square of pixels that can change one place (Araujo et al., Distill 2019);
            infinite where squeeze-and-excitation pools the whole image, or attention does.
    """

    map: tuple[int, int, int]
    stride: int
    field: float


def sight(trunk: keras.Model) -> Sight:
    """The coarsest map, stride and receptive field of a trunk, (N, S, S, 3) -> (N, h, w, C).

    Along each layer of kernel k, dilation d and stride s the field grows by (k - 1) d j, and the
    jump j between places is multiplied by s; where paths meet the largest counts.
    """
    known: dict[int, tuple[float, int]] = {}
    for inputs, outputs, operation in steps(trunk):
        before = [known[id(tensor)] for tensor in inputs if id(tensor) in known]
        field = max((f for f, _ in before), default=1.0)
        jump = max((j for _, j in before), default=1)
        size, stride = _window(operation)
        found = (field + (size - 1) * jump, jump * stride)
        known.update({id(tensor): found for tensor in outputs})
    last = min(trunk.outputs, key=lambda map_: map_.shape[1])
    field, jump = known[id(last)]
    return Sight(tuple(last.shape[1:]), jump, field)


def _window(layer: keras.Operation) -> tuple[float, int]:
    """Side of the window that a layer looks through, and its stride."""
    if isinstance(layer, keras.Model):
        inner = sight(layer)
        return inner.field, inner.stride
    if isinstance(layer, _GLOBAL):
        return inf, 1
    if isinstance(layer, _KERNELS):
        return (layer.kernel_size[0] - 1) * layer.dilation_rate[0] + 1, layer.strides[0]
    if isinstance(layer, _POOLS):
        return layer.pool_size[0], layer.strides[0]
    return 1, 1


def multiply_adds(model: keras.Model) -> int:
    """Multiply-adds of the convolutions and dense layers, for one image; twice that are FLOPs."""
    return sum(
        views_of(layer) * multiply_adds(layer)
        if isinstance(layer, keras.Model)
        else _multiply_adds(layer)
        for layer in model.layers
    )


def views_of(nested: keras.Model) -> int:
    """How many views of an image go through a nested model as one batch."""
    joined, _ = source(calls(nested)[-1].inputs[0])
    if not isinstance(joined, keras.layers.Concatenate) or joined.axis != 0:
        return 1
    return len(calls(joined)[-1].inputs)


def _multiply_adds(layer: keras.Layer) -> int:
    if isinstance(layer, keras.layers.Dense):
        return prod(layer.kernel.shape) * prod(layer.output.shape[1:-1])
    if isinstance(layer, keras.layers.MultiHeadAttention):
        return _of_attention(layer)
    if not isinstance(layer, _KERNELS):
        return 0
    places = prod(layer.output.shape[1:3])
    kernels = [w for w in layer.weights if len(w.shape) == 4]
    return places * sum(prod(kernel.shape) for kernel in kernels)


def _of_attention(layer: keras.layers.MultiHeadAttention) -> int:
    """Two projections of each token that asks, two of each that is asked; then each of these is
    compared with each of those, and weighed.
    """
    query, value, *_ = calls(layer)[-1].inputs
    asking, asked = query.shape[1], value.shape[1]
    of_asking = layer.query_dense, layer.output_dense
    of_asked = layer.key_dense, layer.value_dense
    compared = prod(layer.query_dense.kernel.shape[1:])  # heads by their width
    return (
        asking * sum(prod(dense.kernel.shape) for dense in of_asking)
        + asked * sum(prod(dense.kernel.shape) for dense in of_asked)
        + 2 * asking * asked * compared
    )


def training_memory(model: keras.Model, images: int, precision: str = "float32") -> int:
    """Bytes that a training step needs at least, on each device.

    What the gradients need again of every image (see `_kept`), and each trainable weight four
    times, in float32: itself, its gradient, and Adam's two moments. Workspace of the convolutions
    comes on top: on a CPU a step of ResNet50 or DenseNet121 took 1.2 and 1.3 times as much (224 px,
    batch 16, float32).

    Args:
        model: a graph.
        images: of a batch that a device computes.
        precision: in which maps are computed and kept: float32, bfloat16 or float16.
    """
    maps, _ = _kept(model, False)
    trainable = sum(prod(weight.shape) for weight in model.trainable_weights)
    of_maps = BYTES // 2 if precision in _HALF else BYTES
    of_weights = BYTES * (3 * trainable + model.count_params())
    return images * sum(maps.values()) * of_maps + of_weights


def _kept(model: keras.Model, flows: bool) -> tuple[dict[int, int], bool]:
    """Tensors that the gradients of one image need again, and whether gradients leave the model.

    A layer that learns needs what went in, to weigh it; normalisation and maximum pooling need it
    to pass a gradient on, an activation needs what came out; adding, padding, joining and averaging
    need nothing. No gradient goes below the lowest layer that learns.

    Args:
        model: a graph.
        flows: whether a gradient must reach its input.

    Returns:
        {id of a tensor: its numbers}, and whether one must reach its output.
    """
    kept: dict[int, int] = {}
    reached = {id(tensor): flows for tensor in model.inputs}
    for inputs, outputs, operation in steps(model):
        passes = any(reached.get(id(tensor), False) for tensor in inputs)
        if isinstance(operation, keras.Model):
            inner, passes = _kept(operation, passes)
            kept |= inner
        else:
            learns = bool(getattr(operation, "trainable_weights", ()))
            needs_input = learns or (passes and isinstance(operation, _BY_INPUT))
            kept |= _sizes(inputs) if needs_input else {}
            kept |= _sizes(outputs) if passes and isinstance(operation, _BY_OUTPUT) else {}
            passes = passes or learns
        reached |= {id(tensor): passes for tensor in outputs}
    return kept, reached.get(id(model.outputs[0]), flows)


_BY_INPUT = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.MaxPooling2D,
    keras.layers.Multiply,
)
_BY_OUTPUT = (
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.MaxPooling2D,
    keras.layers.MultiHeadAttention,
)


def _sizes(tensors: list) -> dict[int, int]:
    return {id(tensor): prod(tensor.shape[1:]) for tensor in tensors}
