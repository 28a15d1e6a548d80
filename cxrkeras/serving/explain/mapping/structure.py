"""A classifier taken apart, by its structure: trunk, last feature maps, head, scores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import keras
import numpy as np
from keras import layers

from cxrkeras.data.inputs import KNOWN
from cxrkeras.models.graph import called_by_layers, source
from cxrkeras.models.heads import Head
from cxrkeras.serving.explain.mapping.crops import crop_box
from data_prep.errors import UserError

_IDLE = (layers.Dropout, layers.GaussianDropout, layers.GaussianNoise, layers.Identity)
_SQUASHING = ("sigmoid", "softmax")


@dataclass(frozen=True)
class Parts:
    """One graph, cut where it is a map for the last time. All parts share the model's weights.

    Attributes:
        trunk: image -> [map 1, …, map T], (N, h_t, w_t, C_t) each; then the box (N, 4) by which
            the model cut a part of the image out, if it does.
        head: `known` and those maps -> [scores, output]; scores (N, K) before the sigmoid (or
            softmax), where there is one, and the model's own output.
        dense: the layer of the scores where maps are only pooled before it; None otherwise.
        why_not: what stands in the way of an exact class activation map; "" where nothing does.
        own: as the head -> [the head's own map (N, h, w, K), …], where it has one; else None.
        cut: the places of the maps that tile that box instead of the image.
        known: the inputs beside the image, (N, 1) each, in their order before the maps.
        logits: whether the scores stand before a sigmoid or softmax; else they are the output.
    """

    trunk: keras.Model
    head: keras.Model
    dense: layers.Dense | None
    why_not: str
    own: keras.Model | None = None
    cut: tuple[int, ...] = ()
    known: tuple[str, ...] = ()
    logits: bool = True

    @property
    def weights(self) -> list[np.ndarray]:
        """(C_t, K) float64 of each map, as the dense layer has them now."""
        kernel = np.asarray(self.dense.get_weights()[0], np.float64)
        widths = [shape[-1] for shape in self.map_shapes]
        return np.split(kernel, np.cumsum(widths)[:-1])

    @property
    def bias(self) -> np.ndarray:
        """(K,) float64."""
        values = self.dense.get_weights()
        return np.asarray(values[1] if len(values) > 1 else np.zeros(values[0].shape[1]))

    @property
    def map_shapes(self) -> list[tuple[int, int, int]]:
        """(h, w, C) of each map."""
        return [tuple(map_.shape[1:]) for map_ in self.head.inputs[len(self.known) :]]


def take_apart(model: keras.Model, like: Sequence[Parts] = ()) -> Parts:
    """Find the parts of a classifier.

    Args:
        model: one input (N, H, W, C), and what else is known, see `split_inputs`; one output
            (N, K); from `models.network` or elsewhere, with models nested in it or not.
        like: parts of models that may have the same maps; their trunk is taken then.

    Raises:
        UserError: for another form, naming what is in the way.
    """
    model = _opened_up(model)
    image, known = split_inputs(model)
    scores, dense, features = _before_squashing(model.outputs[0])
    maps = _last_maps([scores])
    if not maps or any(map_ is image for map_ in maps):
        raise _no("it has no feature map between image and output")
    why_not, order = _pooled_maps(features)
    if known:
        why_not, order = f"{', '.join(known)} go into the scores beside the maps", []
    maps = order or maps
    box, cut = crop_box(maps)
    outputs = [*maps, *box]
    same = (p.trunk for p in like if [*map(id, p.trunk.outputs)] == [*map(id, outputs)])
    trunk = next(same, None) or keras.Model(image, outputs, name="maps")
    inputs = [*known.values(), *maps]
    head = keras.Model(inputs, [scores, model.outputs[0]], name="head")
    dense = None if why_not else dense
    logits = _is_squashed(model.outputs[0])
    return Parts(trunk, head, dense, why_not, None, cut, tuple(known), logits)


def taken_at_trunks(model: keras.Model, head: Head) -> Parts:
    """The parts of a network whose head has a map of its own, cut where its trunks end.

    Args:
        model: as for `take_apart`; from `models.network`.
        head: with which it was built.

    Raises:
        UserError: the model isn't of this head.
    """
    _check(model)
    image, known = split_inputs(model)
    output = model.outputs[0]
    scores, *_ = _before_squashing(output)
    try:
        own = head.heat(model, output.shape[-1])
        own = list(own) if isinstance(own, list | tuple) else [own]
    except (ValueError, AttributeError) as error:
        raise _no(
            f"its model.json says that it has the head {head}, and its layers aren't that head's"
        ) from error
    maps = _last_maps([*own, scores], at=lambda tensor: _is_trunks(tensor, model))
    trunk = keras.Model(image, maps, name="maps")
    inputs = [*known.values(), *maps]
    parts = keras.Model(inputs, [scores, output], name="head")
    why_not, maker = f"{head} doesn't just average", keras.Model(inputs, own)
    logits = _is_squashed(output)
    return Parts(trunk, parts, None, why_not, maker, (), tuple(known), logits)


def split_inputs(model: keras.Model) -> tuple[keras.KerasTensor, dict[str, keras.KerasTensor]]:
    """A model's image (N, H, W, C), and what else it is told of it (N, 1), by name."""
    told = {tensor.name: tensor for tensor in model.inputs if len(tensor.shape) != 4}
    (image,) = (tensor for tensor in model.inputs if len(tensor.shape) == 4)
    return image, {name: told[name] for name in KNOWN if name in told}


def scores_and_maps(output) -> tuple:
    """The scores (N, K) before an output's sigmoid or softmax, and the last maps before them."""
    scores, *_ = _before_squashing(output)
    return scores, _last_maps([scores])


def _no(reason: str) -> UserError:
    return UserError(
        "A heat map needs a Keras classifier with one image as input (and age, sex or view), "
        f"feature maps and one output of scores. This model can't be explained: {reason}."
    )


def _check(model: keras.Model) -> None:
    """Refuse what doesn't turn one image, and what else is known of it, into scores."""
    inputs = getattr(model, "inputs", None) or ()
    known = [tensor for tensor in inputs if tensor.name in KNOWN]
    others = [tensor for tensor in inputs if tensor.name not in KNOWN]
    if len(others) > 1 or any(tuple(tensor.shape[1:]) != (1,) for tensor in known):
        raise _no(f"it takes {', '.join(tensor.name for tensor in inputs)}")
    if not others or len(model.outputs or ()) != 1:
        raise _no("it must have been built with one image and one output")
    if len(others[0].shape) != 4 or len(model.outputs[0].shape) != 2:
        shapes = others[0].shape, model.outputs[0].shape
        raise _no(f"it turns {shapes[0]} into {shapes[1]}, not (N, H, W, C) into (N, K)")


def _opened_up(model: keras.Model) -> keras.Model:
    """The model without nested models that turn an image into scores; trunks stay as they are."""
    _check(model)
    if not any(_hides_maps(layer) for layer in model.layers):
        return model
    inputs = [keras.Input(each.shape[1:], name=each.name) for each in model.inputs]
    return keras.Model(inputs, _called_open(model, *inputs))


def _hides_maps(layer) -> bool:
    """A nested model in which the maps end."""
    return isinstance(layer, keras.Model) and not _is_map(layer.outputs[0])


def _called_open(layer, *args, **kwargs):
    """Call a layer; a model that hides maps layer by layer."""
    if not _hides_maps(layer):
        return layer(*args, **kwargs)
    if isinstance(layer, keras.Sequential):
        (tensor,) = args
        for part in layer.layers:
            tensor = _called_open(part, tensor)
        return tensor
    return called_by_layers(layer, args, lambda part: partial(_called_open, part))


def _is_map(tensor) -> bool:
    return len(tensor.shape) == 4 and tuple(tensor.shape[1:3]) != (1, 1)


def _before_squashing(output) -> tuple:
    """The scores before sigmoid or softmax; the dense layer that makes them, and of what."""
    operation, inputs = source(output)
    while isinstance(operation, _IDLE) or _squashes(operation):
        output = inputs[0]
        operation, inputs = source(output)
    if not isinstance(operation, layers.Dense):
        return output, None, None
    if operation.activation is keras.activations.linear:
        return output, operation, inputs[0]
    if operation.activation.__name__ not in _SQUASHING:
        return output, None, None
    return Linear(operation)(inputs[0]), operation, inputs[0]


def _is_squashed(output) -> bool:
    """Whether a sigmoid or softmax makes an output."""
    operation, inputs = source(output)
    while isinstance(operation, _IDLE):
        operation, inputs = source(inputs[0])
    dense = isinstance(operation, layers.Dense)
    return _squashes(operation) or (dense and operation.activation.__name__ in _SQUASHING)


class Linear(layers.Layer):
    """A dense layer without its activation, on the same variables."""

    def __init__(self, dense: layers.Dense):
        super().__init__(name="scores")
        self.dense = dense

    def call(self, features):
        scores = keras.ops.matmul(features, self.dense.kernel)
        return scores if self.dense.bias is None else scores + self.dense.bias

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.dense.units)


def _squashes(operation) -> bool:
    activation = getattr(operation, "activation", None)
    if isinstance(operation, layers.Activation):
        return activation.__name__ in _SQUASHING
    return isinstance(operation, layers.Softmax) or type(operation).__name__ == "Sigmoid"


def _is_trunks(tensor, model: keras.Model) -> bool:
    """Whether a trunk, a nested model, made a map; or where none did, whether it's the image."""
    operation, _ = source(tensor)
    return isinstance(operation, keras.Model) or any(tensor is image for image in model.inputs)


def _last_maps(tensors: Sequence, at: Callable | None = None) -> list:
    """The last feature maps on every way back from some tensors, in the order of the inputs.

    Args:
        tensors: (N, …).
        at: which maps count; all if None.
    """
    found, seen, ways = [], set(), [*reversed(tensors)]
    while ways:
        tensor = ways.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        if _is_map(tensor) and (at is None or at(tensor)):
            found.append(tensor)
            continue
        _, inputs = source(tensor)
        ways += reversed(inputs)
    return found


def _pooled_maps(features) -> tuple[str, list]:
    """What isn't just pooling between the maps and the dense layer; else the maps in order."""
    if features is None:
        return "its scores don't come straight from a dense layer", []
    maps, ways = [], [features]
    while ways:
        operation, inputs = source(ways.pop(0))
        if isinstance(operation, _IDLE):
            ways.insert(0, inputs[0])
        elif isinstance(operation, layers.Concatenate):
            ways = [*inputs, *ways]
        elif isinstance(operation, layers.GlobalAveragePooling2D):
            if operation.data_format != "channels_last" or not _is_map(inputs[0]):
                return f"{operation.name} pools no (N, h, w, C) map", []
            maps.append(inputs[0])
        else:
            kind = type(operation).__name__
            return f"{kind} {operation.name!r} stands between the maps and the dense layer", []
    return "", maps
