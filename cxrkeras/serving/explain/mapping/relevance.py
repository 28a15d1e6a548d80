"""Gradient-weighted relevance of the tokens in a trunk with attention.

Chefer et al., ICCV 2021 (equations 5, 6, 8 and 9 for self-attention): each block adds to the
relevance R of tokens for tokens, which starts as the identity, Ā R with Ā = E_heads[(∇A ⊙ A)⁺], A
the attention and ∇A the score's gradient. Its read-out row is that of a class token; our trunks
have none. Ours: the head reads the last map as one more attention, with Ā = (Σ_c ∇T ⊙ T)⁺ of its
tokens T, on R with the identity and the rest, its rows scaled to sum 1, added.
"""

from collections.abc import Sequence
from functools import partial

import keras
import numpy as np
from keras import layers, ops

from cxrkeras.models.graph import called_by_layers
from cxrkeras.serving.explain.mapping.gradients import score_gradient
from cxrkeras.serving.explain.mapping.structure import scores_and_maps, split_inputs
from data_prep.errors import UserError

_AT_ONCE = 4  # images: each keeps two arrays (heads, T, T) per block


def attends(model: keras.Model) -> bool:
    """Whether there is attention in a model's trunks, the models nested in it."""
    return any(isinstance(layer, keras.Model) and _holds(layer) for layer in model.layers)


def _holds(trunk: keras.Model) -> bool:
    return any(
        _holds(layer) if isinstance(layer, keras.Model) else _is_attention(layer)
        for layer in trunk.layers
    )


def _is_attention(layer) -> bool:
    return isinstance(layer, layers.MultiHeadAttention)


class Relevance:
    """Makes these maps.

    Args:
        model: one image (N, S, S, C), and what else is known of it -> (N, K), its attention among
            T = h w tokens, row by row, of the map (N, h, w, C) in which the one trunk ends.

    Raises:
        UserError: for a model of another form, naming what is in the way.
    """

    def __init__(self, model: keras.Model):
        if not attends(model):
            raise _no("its trunk has no attention layer")
        inputs = [keras.Input(each.shape[1:], name=each.name) for each in model.inputs]
        of_model, known = split_inputs(model)
        made = dict(zip(map(id, model.inputs), inputs, strict=True))
        first = [made[id(each)] for each in (*known.values(), of_model)]
        self._moves: list[keras.KerasTensor] = []
        attention: list[keras.KerasTensor] = []
        output = called_by_layers(model, inputs, partial(self._opened, attention))
        output = output[0] if isinstance(output, list | tuple) else output
        scores, maps = scores_and_maps(output)
        tokens = self._moves[0].shape[-1]
        if len(maps) != 1 or tokens != maps[0].shape[1] * maps[0].shape[2]:
            raise _no("its attention isn't among the places of one last map")
        if any(tuple(one.shape[2:]) != (tokens, tokens) for one in self._moves):
            raise _no("its blocks have different numbers of tokens")
        self._grid = tuple(maps[0].shape[1:3])
        self._whole = keras.Model([*first, *self._moves], [scores, output, *maps, *attention])
        self._head = keras.Model([*first[:-1], *maps], [scores, output])
        self._known = len(known)

    def __call__(
        self, images: np.ndarray, columns: Sequence[int], known: Sequence[np.ndarray] = ()
    ) -> tuple[np.ndarray, ...]:
        """Maps of some labels.

        Args:
            images: (N, S, S, C).
            columns: of the output.
            known: what else the model takes, (N, 1) each, as `split_inputs` orders it.

        Returns:
            (N, len(columns), h, w) float64, never negative; scores and output (N, K).
        """
        starts = range(0, len(images), _AT_ONCE)
        given = [*known, images]
        parts = [self._few([g[at : at + _AT_ONCE] for g in given], columns) for at in starts]
        return tuple(np.concatenate(part) for part in zip(*parts, strict=True))

    def _few(self, first: list[np.ndarray], columns: Sequence[int]) -> tuple[np.ndarray, ...]:
        count, fixed = len(first[-1]), self._known
        shapes = [(count, *move.shape[1:]) for move in self._moves]
        given = [*first, *(np.zeros(shape, np.float32) for shape in shapes)]
        found = self._whole([*map(keras.ops.convert_to_tensor, given)], training=False)
        told = map(keras.ops.convert_to_numpy, found)
        scores, output, last, *attention = told
        heats = []
        for column in columns:
            *_, slope = score_gradient(self._head, [*first[:-1], last], column, fixed=fixed)
            gradients = score_gradient(self._whole, given, column, fixed=fixed + 1)[fixed + 1 :]
            heats.append(relevance(attention, gradients, (slope * last).sum(axis=-1)))
        heat = np.stack(heats, axis=1).reshape(count, len(columns), *self._grid)
        return heat, scores, output

    def _opened(self, attention: list, operation):
        """An operation as it is to be called; a trunk with attention layer by layer."""
        if not (isinstance(operation, keras.Model) and _holds(operation)):
            return operation

        def instead(part):
            if _is_attention(part):
                return partial(self._attended, attention, part)
            return self._opened(attention, part)

        return lambda *args, **_: called_by_layers(operation, args, instead)

    def _attended(
        self, attention: list, layer, query, value, key=None, return_attention_scores=False, **how
    ):
        """What the layer gives, with its scores plus an input of zeros."""
        if any(how.get(name) is not None for name in _MASKS) or how.get("use_causal_mask"):
            raise _no(f"{layer.name} masks tokens")
        if len(query.shape) != 3:
            raise _no(f"{layer.name} doesn't attend along one axis")
        move = keras.Input((layer.num_heads, query.shape[1], value.shape[1]))
        found, scores = _Moved(layer)(query, value, value if key is None else key, move)
        self._moves.append(move)
        attention.append(scores)
        return (found, scores) if return_attention_scores else found


class _Moved(layers.Layer):
    """An attention layer on the same variables, with something added to its scores."""

    def __init__(self, attention: layers.MultiHeadAttention):
        super().__init__(name=f"{attention.name}_moved", dtype=attention.dtype_policy)
        self.attention = attention

    def call(self, query, value, key, move):
        layer = self.attention
        queries, keys = layer.query_dense(query), layer.key_dense(key)
        products = ops.einsum("nqhd,nkhd->nhqk", queries, keys) / layer.key_dim**0.5
        scores = ops.softmax(products, axis=-1)
        found = ops.einsum("nhqk,nkhd->nqhd", scores + move, layer.value_dense(value))
        return layer.output_dense(found), scores

    def compute_output_spec(self, query, value, key, move):
        shape = self.attention.compute_output_shape(query.shape, value.shape)
        dtype = self.compute_dtype
        return keras.KerasTensor(shape, dtype), keras.KerasTensor(move.shape, dtype)


_MASKS = ("attention_mask", "query_mask", "value_mask", "key_mask")


def relevance(
    attention: Sequence[np.ndarray], gradients: Sequence[np.ndarray], read: np.ndarray
) -> np.ndarray:
    """The relevance of T tokens for a score.

    Args:
        attention: (N, H, T, T) of each block, in order.
        gradients: the score's by these.
        read: (N, h, w) or (N, T), Σ_c ∇T ⊙ T of the last tokens.

    Returns:
        (N, T) float64, not negative.
    """
    count, _, tokens, _ = attention[0].shape
    found = np.broadcast_to(np.eye(tokens), (count, tokens, tokens))
    for scores, gradient in zip(attention, gradients, strict=True):
        weighed = np.maximum(scores.astype(np.float64) * gradient, 0).mean(axis=1)
        found = found + weighed @ found
    beside = found - np.eye(tokens)
    total = beside.sum(axis=-1, keepdims=True)
    scaled = np.divide(beside, total, out=np.zeros_like(beside), where=total > 0)
    row = np.maximum(read.reshape(count, 1, tokens).astype(np.float64), 0)
    return (row @ (scaled + np.eye(tokens)))[:, 0]


def _no(reason: str) -> UserError:
    return UserError(
        "--map relevance needs a trunk with attention among the places of its last map. This "
        f"model can't be explained so: {reason}. Leave --map out."
    )
