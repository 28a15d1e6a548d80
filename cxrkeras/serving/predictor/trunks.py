"""Keras models from their files; a frozen trunk that several of them share is kept and run once."""

import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import keras
import numpy as np

from cxrkeras.data.inputs import IMAGE
from cxrkeras.models.familiar import FILE
from cxrkeras.models.familiar.films import Nearer, load_familiar
from cxrkeras.models.familiar.tensors import with_features
from cxrkeras.models.inputs import given
from cxrkeras.models.views.shared.graph import view_name
from cxrkeras.models.weights.files import weights_of
from cxrkeras.registry import VIEWS
from cxrkeras.serving.predictor.card import Card
from cxrkeras.serving.predictor.keras_file import load_keras
from cxrkeras.serving.predictor.predictor import Inputs, Member, Predictor
from data_prep.errors import UserError

_Key = tuple[str, str, int]


class Trunk:
    """The part of a model that its fit left as it was: inputs -> features.

    Args:
        card: of the first model with it.
        model: that model.
        features: the layer's name.
    """

    def __init__(self, card: Card, model: keras.Model, features: str):
        self.card, self.model, self.features = card, model, features
        self.tensor = model.get_layer(features).output
        self._run = keras.Model(given(model), self.tensor)
        self._last: tuple[list[np.ndarray], object] = ([], None)

    def __call__(self, inputs: Inputs, traced: bool) -> object:
        """The features of a batch, computed once as long as the same arrays come."""
        arrays = list(inputs.values())
        if [*map(id, arrays)] != [*map(id, self._last[0])]:
            self._last = arrays, run(self._run, inputs, traced)
        return self._last[1]


class Watched:
    """A model that gives its features in the pass of its scores.

    Args:
        both: its inputs -> [features (N, C), scores (N, K)].
    """

    def __init__(self, both: keras.Model):
        self._both = both
        self._last: tuple[list[np.ndarray], list] = ([], [])

    def __call__(self, inputs: Inputs, traced: bool) -> np.ndarray:
        """The features of a batch; of the arrays that were scored last from that pass."""
        return self._pass(inputs, traced)[0]

    def scores(self, inputs: Inputs, traced: bool) -> np.ndarray:
        """(B, K)."""
        return self._pass(inputs, traced)[1]

    def _pass(self, inputs: Inputs, traced: bool) -> list[np.ndarray]:
        arrays = list(inputs.values())
        if [*map(id, arrays)] != [*map(id, self._last[0])]:
            self._last = arrays, run(self._both, inputs, traced)
        return self._last[1]


class Trunks:
    """Loads the Keras models of one call.

    Args:
        cards: all of them. What `frozen` says in their `model.json` alike is loaded once.
    """

    def __init__(self, cards: Sequence[Card]):
        counts = Counter(map(_key, cards))
        self._shared = {key for key, count in counts.items() if key and count > 1}
        self._trunks: dict[_Key, Trunk] = {}

    def load(self, card: Card) -> "KerasPredictor":
        """One model; errors as in `keras_file.load_keras`."""
        key = _key(card)
        if key not in self._shared:
            return KerasPredictor(card, _load(card))
        trunk = self._trunks.get(key)
        if trunk is None:
            model = _load(card)
            if key[1] not in {layer.name for layer in model.layers}:
                raise UserError(
                    f"{card.file} has no layer {key[1]!r}, which its model.json names under "
                    "frozen. Give the two files as they were made together."
                )
            self._trunks[key] = trunk = Trunk(card, model, key[1])
            return KerasPredictor(card, model, trunk)
        model = _head_of(trunk, card) or _grafted(trunk, _load(card))
        on_it = model.inputs[0] is trunk.model.inputs[0]
        return KerasPredictor(card, model, trunk if on_it else None)


class KerasPredictor(Predictor):
    """One Keras model.

    Args:
        card: of the model.
        model: its inputs -> (N, K).
        trunk: shared with others; `model` then stands on its tensors.
    """

    def __init__(self, card: Card, model: keras.Model, trunk: Trunk | None = None):
        super().__init__(card)
        self.model, self.trunk = model, trunk
        self._head = keras.Model(trunk.tensor, model.outputs[0]) if trunk else None
        self._familiar = load_familiar(card.home, card.file)
        self._features = self._watched()

    def _watched(self) -> Trunk | Watched | None:
        """What gives the features by which it knows films; None if it knows none."""
        if self._familiar is None:
            return None
        if self.trunk is not None and self._familiar.layers == (self.trunk.features,):
            return self.trunk
        both = with_features(self.model, self._familiar.layers)
        if both is None:
            raise UserError(
                f"{self.card.file} has no layers {', '.join(self._familiar.layers)}, which "
                f"{FILE} beside it names. Give the files as they were made together."
            )
        return Watched(both)

    def nearer(self, inputs: Inputs, *, traced: bool) -> list[Nearer]:
        """As `Predictor` says."""
        if self._features is None:
            return []
        features = self._features(inputs, traced)
        return [self._familiar.nearer(np.asarray(keras.ops.convert_to_numpy(features)))]

    def scores(self, inputs: Inputs, *, traced: bool) -> np.ndarray:
        """As `Predictor` says."""
        if isinstance(self._features, Watched):
            return self._features.scores(inputs, traced)
        if self.trunk is None:
            return run(self.model, inputs, traced)
        features = self.trunk(inputs, traced)
        return keras.ops.convert_to_numpy(self._head(features, training=False))

    def keras_model(self) -> keras.Model:
        """The model itself."""
        return self.model

    def members(self) -> list[Member]:
        """The one; where it has several views of an image, what answers for one of them."""
        order, head = tuple(range(len(self.labels))), self.card.facts.get("head") or ""
        if "views" not in self.card.facts:
            return [Member(self.model, order, 1.0, head)]
        views = VIEWS.make(self.card.facts["views"])
        size = self.card.image_size
        if len(views.crops(size)) == 1:
            return [Member(self.model, order, 1.0, head, views.box(size))]
        view = self.model.get_layer(view_name(self.card.extras))
        return [Member(view, order, 1.0, head, views.box(size), self._of_inputs)]

    def _of_inputs(self, inputs: Inputs) -> np.ndarray:
        return run(self.model, inputs, traced=False)

    @property
    def features(self) -> keras.KerasTensor | None:
        """Where its own part begins, on the shared trunk's tensors."""
        return self.trunk and self.trunk.tensor


def run(model: keras.Model, inputs: Inputs, traced: bool):
    """A batch through a model, its output or a list of several; an only input needs no name."""
    batch = inputs[IMAGE] if list(inputs) == [IMAGE] else dict(inputs)
    if traced:
        return model.predict_on_batch(batch)
    return keras.tree.map_structure(keras.ops.convert_to_numpy, model(batch, training=False))


def _key(card: Card) -> _Key | None:
    known = card.facts.get("frozen")
    return (known["digest"], known["features"], card.image_size) if known else None


def _load(card: Card) -> keras.Model:
    model = load_keras(card.file, card.facts.get("package") or ())
    image, output = (None, card.image_size, card.image_size, 1), (None, len(card.labels))
    if card.extras:
        wanted = {IMAGE: image, **dict.fromkeys(card.extras, (None, 1))}
        fits = {tensor.name: tuple(tensor.shape) for tensor in model.inputs} == wanted
    else:
        fits = model.input_shape == image
    if not fits or model.output_shape != output:
        raise UserError(
            f"{card.file} doesn't fit its model.json: it turns {model.input_shape} into "
            f"{model.output_shape}, not {image} into {output}. Give the two files as they were "
            "made together."
        )
    return model


def _head_of(trunk: Trunk, card: Card) -> keras.Model | None:
    """The model in a file that is built as the trunk's, of which its head alone is read.

    None where it is built otherwise, or where its head's layers don't keep their weights alike.
    """
    if _config(card.file) != _config(trunk.card.file):
        return None
    first = keras.Model(trunk.tensor, trunk.model.outputs[0])
    names = [layer.name for layer in first.layers if layer.weights]
    places = _places(trunk.model)
    with weights_of(trunk.card.file) as store:
        for name in names:  # the places are where Keras is known to put them, or aren't used
            known = _values(store.get(places[name]), first.get_layer(name))
            ours = first.get_layer(name).get_weights()
            if known is None or not all(map(np.array_equal, known, ours)):
                return None
    model = _on(trunk, first, lambda layer: type(layer).from_config(layer.get_config()))
    with weights_of(card.file) as store:
        for name in names:
            values = _values(store.get(places[name]), model.get_layer(name))
            if values is None or not all(np.isfinite(value).all() for value in values):
                return None  # what is wrong is said by whoever reads all of it
            model.get_layer(name).set_weights(values)
    return model


def _grafted(trunk: Trunk, model: keras.Model) -> keras.Model:
    """What stands after the features of a model, its weights with it, on the shared trunk."""
    try:
        features = model.get_layer(trunk.features).output
        return _on(trunk, keras.Model(features, model.outputs[0]), lambda layer: layer)
    except ValueError:  # no such layer, or of another shape: its trunk is another after all
        return model


def _on(trunk: Trunk, head: keras.Model, made: Callable) -> keras.Model:
    """A model of the trunk and a head's layers, each as `made` gives it."""
    outputs: dict[str, keras.KerasTensor] = {}

    def called(layer, *args, **kwargs):
        outputs[layer.name] = layer(*args, **kwargs)
        return outputs[layer.name]

    if head.inputs[0].shape != trunk.tensor.shape:
        raise ValueError("features of another shape")
    keras.models.clone_model(
        head, input_tensors=trunk.tensor, clone_function=made, call_function=called
    )
    output = outputs[head.layers[-1].name]
    return keras.Model(given(trunk.model), output, name=trunk.model.name)


def _places(model: keras.Model) -> dict[str, str]:
    """{layer: its group in the weights file}, as Keras names them: by class, then by number."""
    counts: Counter[str] = Counter()
    places = {}
    for layer in model.layers:
        kind = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)
        kind = re.sub(r"([a-z])([A-Z])", r"\1_\2", kind).lower()
        number = counts[kind]
        places[layer.name] = f"layers/{kind}_{number}" if number else f"layers/{kind}"
        counts[kind] += 1
    return places


def _values(group: h5py.Group | None, layer: keras.Layer) -> list[np.ndarray] | None:
    """A layer's weights, where all of them lie in its own group."""
    variables = group.get("vars") if isinstance(group, h5py.Group) else None
    if not isinstance(variables, h5py.Group):
        return None
    values = [variables[str(number)][...] for number in range(len(variables))]
    shapes = [tuple(weight.shape) for weight in layer.weights]
    return values if [value.shape for value in values] == shapes else None


def _config(path: Path) -> dict:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))
