"""A query for each label looks over the map: a transformer's decoder, and a linear layer per label.

Source: Liu et al., Query2Label, 2021; CheXFusion (Kim, 2023), which won CXR-LT, has such a decoder.
As in the published code layers are post-norm, positions are sines (Vaswani et al. 2017, for rows
and columns as in DETR), and queries don't look at each other, so a label's answer doesn't depend on
which others there are; `together=true` is the paper's equation 1. Its width is the trunk's, its
widening fourfold, and it has an encoder layer before: here smaller, and without, so that a token is
a place of the map. What else is known of an image stands beside the linear layers.
"""

from typing import Any, ClassVar

from cxrkeras.models.heads import TARGET, Head
from cxrkeras.models.heads.shared.dense import with_known
from cxrkeras.models.heads.shared.fields import joined_maps
from cxrkeras.registry import option
from data_prep.errors import UserError


class Part(Head):
    """Each output has its own queries and decoder; its uncertain class has the same."""

    map: ClassVar[str] = "how much each label's query looked at each place, in the last layer"

    heads: int = option(4, "Of each attention.", ge=1)
    size: int = option(64, "Width of each; queries have that of all.", ge=4, multiple_of=4)
    layers: int = option(2, "Of the decoder.", ge=1)
    widening: int = option(4, "Times as wide is each layer's inner dense layer.", ge=1)
    drop: float = option(0.1, "Dropout within the decoder.", ge=0, lt=1)
    together: bool = option(False, "Let a label's query look at those of its output's others.")

    @property
    def width(self) -> int:
        """Of queries and tokens."""
        return self.heads * self.size

    def features(self, maps, known, *, seed):
        """[(N, h, w, width), and (N, E) if more is known]: maps at the coarsest trunk's side."""
        from keras import initializers, layers

        make = layers.Conv2D(
            self.width, 1, kernel_initializer=initializers.GlorotUniform(seed), name="tokens"
        )
        tokens = make(joined_maps(maps))
        if tokens.shape[1] == 1:
            raise UserError(
                f"--head {self} looks over the places of a map; here the trunk's has one. Raise "
                "--image-size."
            )
        return tokens if known is None else [tokens, known]

    def classify(self, features, outputs, *, dropout, seed):
        """The kernels of the last layers start at zero."""
        from keras import layers

        maps, known = features if isinstance(features, list | tuple) else (features, None)
        first = next(iter(outputs))
        decoded = self._decoded(maps, first, outputs[first], seed)
        decoded = layers.Dropout(dropout, seed=seed, name=f"dropout_{first}")(decoded)
        logits = {}
        for name, labels in outputs.items():
            make = layers.EinsumDense(
                "nkd,kd->nk", labels, bias_axes="k", kernel_initializer="zeros", name=name
            )
            logits[name] = with_known(make(decoded), known, name)
        return logits

    def heat(self, model, labels):
        """(N, h, w, K): the weights of each label's query, the mean over the heads; their sum is 1.

        They say what the last attention took from where, not what later layers made of it.
        """
        from keras import ops

        _, weights = model.get_layer(_look(self.layers, TARGET)).output  # (N, heads, K, h w)
        side = model.get_layer("tokens").output.shape[1]
        mean = ops.transpose(ops.mean(weights, axis=1), (0, 2, 1))
        return ops.reshape(mean, (-1, side, side, labels))

    def _decoded(self, maps, name: str, labels: int, seed: int):
        """(N, h, w, width) -> (N, K, width): what each label's query found."""
        import numpy as np
        from keras import layers, ops

        maps = ops.cast(maps, "float32")  # the softmax of half precision is a coarse one
        side = maps.shape[1]
        of_row = places(side, self.width // 2)
        nothing = np.zeros_like(of_row)
        here = ops.add(maps, np.concatenate([of_row, nothing], axis=1)[:, None])
        here = ops.add(here, np.concatenate([nothing, of_row], axis=1)[None])
        tokens, placed = (ops.reshape(each, (-1, side * side, self.width)) for each in (maps, here))
        # A graph takes only what comes from its inputs, also the numbers of the labels.
        zero = ops.zeros_like(ops.max(tokens, axis=(1, 2)), dtype="int32")
        numbers = ops.add(ops.expand_dims(zero, 1), np.arange(labels, dtype=np.int32))
        asked = layers.Embedding(labels, self.width, name=f"queries_{name}")(numbers)
        for number in range(1, self.layers + 1):
            if self.together and labels > 1:
                asked = self._attended(asked, asked, asked, f"together_{number}_{name}", seed)
            asked = self._attended(asked, placed, tokens, _look(number, name), seed)
            asked = self._widened(asked, f"{number}_{name}", seed)
        return asked

    def _attended(self, query, key, value, name: str, seed: int):
        """Attention, added to the query and normed."""
        from keras import layers

        attention = layers.MultiHeadAttention(
            self.heads, self.width // self.heads, dropout=self.drop, seed=seed, name=name
        )
        found, _ = attention(query, value, key, return_attention_scores=True)
        return self._added(query, found, name, seed)

    def _widened(self, asked, name: str, seed: int):
        """Two dense layers on each query, added to it and normed."""
        from keras import layers

        inner = layers.Dense(self.widening * self.width, "relu", name=f"wide_{name}")(asked)
        inner = layers.Dropout(self.drop, seed=seed, name=f"dropout_wide_{name}")(inner)
        found = layers.Dense(self.width, name=f"narrow_{name}")(inner)
        return self._added(asked, found, f"narrow_{name}", seed)

    def _added(self, before: Any, found: Any, name: str, seed: int):
        from keras import layers

        found = layers.Dropout(self.drop, seed=seed, name=f"dropout_{name}")(found)
        both = layers.Add(name=f"add_{name}")([before, found])
        return layers.LayerNormalization(epsilon=1e-5, name=f"norm_{name}")(both)


def _look(number: int, output: str) -> str:
    """The layer by which an output's queries look over the map."""
    return f"look_{number}_{output}"


def places(count: int, width: int):
    """(count, width) float32: sines, then cosines, of each place along a side.

    As in DETR a side is 2 pi long, wherever its places lie, and the wavelengths rise
    geometrically from 2 pi to 20,000 pi.
    """
    import numpy as np

    along = 2 * np.pi * (np.arange(count) + 1)[:, None] / count
    angles = along / 10_000 ** (np.arange(width // 2) / (width // 2))
    return np.float32(np.concatenate([np.sin(angles), np.cos(angles)], axis=1))
