"""A transformer on the map of a convolutional trunk: ResNet50's stages, then 12 layers of 768.

The map at `stride` (16: ResNet50's third stage, 32: its last) becomes tokens by a 1x1 convolution,
row by row and without a class token; learned positions are added, pre-norm layers of attention and
MLP follow, and a last norm. The tokens are then put back to where they were, so that every head
takes them. Positions are a grid of `grid` x `grid`, interpolated to the map's: the weights are the
same at any image size. Layers are called `block1_attention` and so on, with their scores (N, heads,
h w, h w) as second output.

`--source imagenet` gives the base its weights, as does a weights file that holds the base alone;
the transformer then starts at random.

Source: Dosovitskiy et al., An Image is Worth 16x16 Words (ICLR 2021), section 3.1, hybrid
architecture, in the size ViT-B. That the map is ResNet50's with batch-norm, and bilinear positions,
are ours.
"""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import ValidationInfo, field_validator

from cxrkeras.models.backbones import Backbone
from cxrkeras.registry import BACKBONES, option
from data_prep.errors import UserError

if TYPE_CHECKING:
    import keras

    from cxrkeras.models.backbones.shared.scaling import Scaling

_EPSILON = 1e-6
_SPREAD = 0.02


class Part(Backbone):
    """Tokens of any backbone's map."""

    published: ClassVar[bool] = True
    partly: ClassVar[str] = "the transformer"

    base: str = option("resnet50", "Backbone whose map becomes tokens, NAME or NAME:key=value.")
    stride: Literal[4, 8, 16, 32, 64, 128] = option(16, "Of that map, in pixels.")
    depth: int = option(12, "Layers.", ge=1)
    width: int = option(768, "Channels of a token.", ge=1)
    heads: int = option(12, "Of each layer's attention.", ge=1)
    mlp: int = option(3072, "Channels within a layer's MLP.", ge=1)
    grid: int = option(14, "Side of the learned grid of positions.", ge=1)

    @field_validator("base")
    @classmethod
    def _known(cls, base: str) -> str:
        return str(BACKBONES.make(base))

    @field_validator("stride", mode="before")
    @classmethod
    def _number(cls, stride: object) -> object:
        return int(stride) if isinstance(stride, str) and stride.isdigit() else stride

    @field_validator("heads")
    @classmethod
    def _divides(cls, heads: int, info: ValidationInfo) -> int:
        width = info.data.get("width", heads)
        if width % heads:
            raise ValueError(f"must divide width={width}")
        return heads

    def smallest(self) -> int:
        """That of the base, and at least a token."""
        factor = super().smallest() // self.side
        return factor * max(BACKBONES.make(self.base).smallest(), self.stride)

    def pixels(self) -> "Scaling":
        """As the base's."""
        return BACKBONES.make(self.base).pixels()

    def build(self, image_size: int, weights: str | None) -> "keras.Model":
        """(N, S, S, 3) -> (N, S/stride, S/stride, width).

        Raises:
            UserError: the base has no map at that stride, or no such weights.
        """
        import keras
        from keras import layers

        from cxrkeras.models.backbones.shared.stems import nested
        from cxrkeras.models.backbones.shared.strides import key

        base = BACKBONES.make(self.base)
        body = base.trunk(image_size, weights=weights)
        known = base.maps(body)
        if key(self.stride) not in known:
            strides = ", ".join(str(int(stride[1:])) for stride in known)
            raise UserError(
                f"--backbone hybrid: {base} must have a map at the stride. Received: "
                f"stride={self.stride}. It has: {strides}."
            )
        upto = {stride: known[stride] for stride in known if int(stride[1:]) <= self.stride}
        image = keras.Input((image_size, image_size, 3))
        maps = nested(body, upto, image)
        *_, last = maps.values()
        x = layers.Conv2D(self.width, 1, name="projection")(last)
        side = x.shape[1]
        x = layers.Reshape((side * side, self.width), name="tokens")(x)
        x = layers.Add(name="placed")([x, self._positions(x, side)])
        for number in range(1, self.depth + 1):
            x = self._layer(x, f"block{number}")
        x = layers.LayerNormalization(epsilon=_EPSILON, name="norm")(x)
        x = layers.Reshape((side, side, self.width), name="map")(x)
        trunk = keras.Model(image, x, name=self.part_name())
        trunk.stages = {**maps, key(self.stride): x}
        return trunk

    def own_maps(self, trunk: "keras.Model") -> "dict[str, keras.KerasTensor]":
        """The base's maps, at their finer strides, and the transformer's."""
        return dict(trunk.stages)

    def _layer(self, x, name: str):
        """Pre-norm: attention of all tokens to all, then an MLP, each added to what went in."""
        from keras import layers, ops

        y = layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_norm1")(x)
        attention = layers.MultiHeadAttention(
            self.heads, self.width // self.heads, name=f"{name}_attention"
        )
        y, _ = attention(y, y, return_attention_scores=True)
        x = layers.Add(name=f"{name}_add1")([x, y])
        y = layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_norm2")(x)
        y = layers.Dense(self.mlp, name=f"{name}_mlp1")(y)
        y = ops.gelu(y, approximate=True)  # as in the paper's code; the other isn't in ONNX
        y = layers.Dense(self.width, name=f"{name}_mlp2")(y)
        return layers.Add(name=f"{name}_add2")([x, y])

    def _positions(self, tokens, side: int):
        """(N, side^2, width): the learned grid, enlarged or reduced to the map's.

        Keras's own layers do it, so the grid is an embedding of the numbers of its places.
        """
        import numpy as np
        from keras import initializers, layers, ops

        from cxrkeras.models.heads.shared.fields import bilinear_matrix

        places = np.arange(self.grid**2, dtype="float32")
        each = ops.zeros_like(tokens[:, 0, :1]) + places
        table = layers.Embedding(
            self.grid**2,
            self.width,
            embeddings_initializer=initializers.RandomNormal(stddev=_SPREAD),
            name="positions",
        )(each)
        table = layers.Reshape((self.grid, self.grid, self.width), name="grid")(table)
        if side != self.grid:
            matrix = bilinear_matrix(self.grid, side)
            table = ops.einsum("bi,nijc,dj->nbdc", matrix, table, matrix)
        return layers.Reshape((side**2, self.width), name="places")(table)
