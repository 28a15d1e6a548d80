"""What a network is put together from. Imports no Keras."""

from dataclasses import dataclass

from cxrkeras.models.backbones import Backbone
from cxrkeras.models.heads import Head


@dataclass(frozen=True)
class Architecture:
    """What decides a network's graph, but for its outputs.

    Args:
        backbones: one per trunk; the trunks see the same image.
        head: what stands on them.
        image_size: the side S in pixels.
        inputs: `image`, and what else the network is told (see `data.inputs`).
        dropout: the heads' dropout rate.
        seed: of every initial weight.
    """

    backbones: tuple[Backbone, ...]
    head: Head
    image_size: int
    inputs: tuple[str, ...] = ("image",)
    dropout: float = 0.5
    seed: int = 0
