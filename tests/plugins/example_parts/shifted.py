"""A Keras model asked several times: of the image as it is, and shifted a little four ways.

`model.json` says under `shift` by how many pixels; `model.keras` lies beside it.
"""

from cxrkeras.serving.predictor.card import IMAGE
from cxrkeras.serving.predictor.kinds import Kind


class Part(Kind):
    """Its score is the mean of the five."""

    def files(self, card):
        """The one file."""
        return {"model.keras": card.home / "model.keras"}

    def load(self, card, trunks):
        """See `Kind.load`."""
        return _predictor()(card, trunks.load(card), card.facts.get("shift", 1))


def _predictor():
    import numpy as np

    from cxrkeras.serving.predictor.predictor import Predictor

    class Shifted(Predictor):
        """What comes in at one side left at the other."""

        def __init__(self, card, once, shift):
            super().__init__(card)
            self.once, self.shift = once, shift

        def scores(self, inputs, *, traced):
            """See `Predictor.scores`."""
            images = inputs[IMAGE]
            moves = ((s, axis) for s in (-self.shift, self.shift) for axis in (1, 2))
            all_five = [images, *(np.roll(images, s, axis) for s, axis in moves)]
            asked = [self.once.scores({**inputs, IMAGE: one}, traced=traced) for one in all_five]
            return np.mean(asked, axis=0)

        def members(self):
            """For heat maps: the model, asked once."""
            return self.once.members()

    return Shifted
