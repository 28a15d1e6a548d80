"""What a network is made of. Doesn't import Keras."""

from dataclasses import dataclass

from cxrkeras.models.backbones import Backbone
from cxrkeras.models.heads import Head
from cxrkeras.models.views import Views
from cxrkeras.models.views.whole import Part as Whole

WHOLE = Whole()


@dataclass(frozen=True)
class Architecture:
    """What decides a network's graph, except its outputs.

    Args:
        backbones: one per trunk; the trunks see the same image.
        head: the layers on top of them.
        image_size: the side S in pixels.
        inputs: `image` and further inputs (see `data.inputs`).
        dropout: the heads' dropout rate.
        seed: seed of all initial weights.
        views: which parts of the image the trunks see.
        features: the trunks' maps that the head gets, by stride or layer (see `models.chosen`);
            each trunk's last, and those that the head asks for, if empty.
    """

    backbones: tuple[Backbone, ...]
    head: Head
    image_size: int
    inputs: tuple[str, ...] = ("image",)
    dropout: float = 0.5
    seed: int = 0
    views: Views = WHOLE
    features: tuple[str, ...] = ()

    @property
    def seen(self) -> int:
        """The side in pixels of what a trunk sees."""
        return self.views.seen(self.image_size)
