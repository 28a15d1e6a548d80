"""Several predictors asked as one, whatever their kinds, trunks and image sizes."""

from collections.abc import Sequence

import keras
import numpy as np

from cxrkeras.data.inputs import IMAGE
from cxrkeras.models.familiar.films import Nearer
from cxrkeras.models.inputs import given
from cxrkeras.serving.predictor.card import Card, Picture, one_picture
from cxrkeras.serving.predictor.combine import Mix, layered
from cxrkeras.serving.predictor.joined import joined, model_of, new_inputs, taken
from cxrkeras.serving.predictor.predictor import Inputs, Member, Predictor


class Ensemble(Predictor):
    """Members, and how their scores become one.

    Args:
        card: of the whole; that of a run is the plain mean of its folds.
        parts: the members, loaded.
    """

    def __init__(self, card: Card, parts: Sequence[Predictor]):
        super().__init__(card)
        self.parts = tuple(parts)
        self._mix = Mix.of(card)
        self._last: tuple[list[np.ndarray], list] = ([], [])

    def scores(self, inputs: Inputs, *, traced: bool) -> np.ndarray:
        """As `Predictor` says."""
        each = self._each(inputs)
        return self._mix([part.scores(own, traced=traced) for part, own in each])

    def per_film(self, inputs: Inputs, *, traced: bool) -> np.ndarray:
        """As `Predictor` says: the members' numbers side by side."""
        each = self._each(inputs)
        return np.concatenate([part.per_film(own, traced=traced) for part, own in each], axis=1)

    def nearer(self, inputs: Inputs, *, traced: bool) -> list[Nearer]:
        """As `Predictor` says: those of all parts."""
        return [
            one._replace(weight=one.weight * weight)
            for (part, own), weight in zip(self._each(inputs), self._mix.weights, strict=True)
            for one in part.nearer(own, traced=traced)
        ]

    def _each(self, inputs: Inputs) -> list[tuple[Predictor, dict[str, np.ndarray]]]:
        """The members with their own inputs; of the same arrays the same, known to their trunks."""
        arrays = list(inputs.values())
        if [*map(id, arrays)] != [*map(id, self._last[0])]:
            sized: dict[tuple, np.ndarray] = {}  # one array of a size: a shared trunk knows it
            found = [(part, self._inputs(part.card, inputs, sized)) for part in self.parts]
            self._last = arrays, found
        return self._last[1]

    def _inputs(self, card: Card, inputs: Inputs, sized: dict) -> dict[str, np.ndarray]:
        """A member's own inputs; its images resized as in its training."""
        found = {}
        for name, picture in card.pictures.items():
            key = (picture.preparation.image_size, picture.side)
            if key not in sized:
                sized[key] = self._image(picture, inputs)
            found[name] = sized[key]
        return found | {name: inputs[name] for name in card.extras}

    def _image(self, wanted: Picture, inputs: Inputs) -> np.ndarray:
        if wanted == self.card.pictures[IMAGE]:
            return inputs[IMAGE]
        side = wanted.preparation.image_size
        name = IMAGE if side == self.preparation.image_size else f"{IMAGE}_{side}"
        if wanted.side == inputs[name].shape[1]:
            return inputs[name]
        from cxrkeras.data.images import resized  # of TensorFlow, which only this needs

        return resized(inputs[name], wanted.side).numpy().astype(np.float32)

    def members(self) -> list[Member]:
        """Those of all parts."""
        return [
            found._replace(order=tuple(found.order[k] for k in order), weight=found.weight * weight)
            for part, order, weight in zip(
                self.parts, self._mix.orders, self._mix.weights, strict=True
            )
            for found in part.members()
        ]

    def keras_model(self) -> keras.Model:
        """One model: image (N, S, S, 1), grey 0-255, and what some member takes beside -> (N, K). A
        shared trunk stands in it once.

        Raises:
            UserError: members take more than one image prepared in one way, or aren't of Keras.
        """
        one_picture(self.card)
        models = [part.keras_model() for part in self.parts]
        if self._plain(models):
            return joined(models, [getattr(part, "features", None) for part in self.parts])
        image = keras.Input((self.image_size, self.image_size, 1), name=IMAGE)
        inputs = new_inputs(models) | {IMAGE: image}
        sized: dict[int, keras.KerasTensor] = {self.image_size: image}
        outputs = []
        for number, (part, model) in enumerate(zip(self.parts, models, strict=True)):
            side = part.image_size
            if side not in sized:
                sized[side] = _resized(image, side)
            inner = keras.Model(given(model), model.outputs[0], name=f"member_{number}")
            told = inner(taken(inner, inputs | {IMAGE: sized[side]}))
            outputs.append(_reordered(told, self._mix.orders[number]))
        whole = layered(self._mix.how, outputs, self._mix.weights, self._mix.grids)
        whole = keras.layers.Identity(name="probability")(whole)
        return model_of(inputs, whole)

    def _plain(self, models: Sequence[keras.Model]) -> bool:
        """Whether it is the plain mean of models that see the same image."""
        return (
            self._mix.how == "mean"
            and len(set(self._mix.weights)) == 1
            and all(order == list(range(len(order))) for order in self._mix.orders)
            and {part.image_size for part in self.parts} == {self.image_size}
            and len({part.card.extras for part in self.parts}) == 1
        )


def _resized(image: keras.KerasTensor, side: int) -> keras.KerasTensor:
    """As `data.images.resized`: its linear filter as two products with one matrix.

    ONNX has no such filter. Summed in another order, up to one pixel of ten thousand comes out one
    grey level off, where it lies next to a half.
    """
    size = image.shape[1]
    rows = keras.layers.Reshape((size, size), name=f"rows_{side}")(image)
    for axis in ("columns", "rows"):
        dense = keras.layers.Dense(side, use_bias=False, trainable=False, name=f"{axis}_to_{side}")
        rows = keras.layers.Permute((2, 1), name=f"{axis}_{side}_turned")(dense(rows))
        dense.set_weights([_filter(size, side)])
    square = keras.layers.Reshape((side, side, 1), name=f"at_{side}")(rows)
    return keras.ops.round(square)


def _filter(size: int, side: int) -> np.ndarray:
    """(size, side) float32: what each pixel of a line gives to each of the smaller one."""
    import tensorflow as tf

    lines = np.eye(size, dtype=np.float32)[..., None]
    return tf.image.resize(lines, (size, side), "bilinear", antialias=True).numpy()[..., 0]


def _reordered(output: keras.KerasTensor, order: list[int]) -> keras.KerasTensor:
    if order == list(range(len(order))):
        return output
    return keras.ops.take(output, np.array(order), axis=-1)
