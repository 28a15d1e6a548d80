"""What a label's uncertain entries (code -1) teach: one policy per file."""

from typing import ClassVar

from cxrkeras.registry import Part


class Policy(Part):
    """What becomes of a label's uncertain entries; the codes 0 and 1 aren't affected.

    Attributes:
        guessed: the entries are masked at first, and then replaced by the probabilities from the
            model fitted without them.
    """

    guessed: ClassVar[bool] = False

    def ends(self) -> tuple[float, float]:
        """Both ends of the range from which targets are drawn anew in each epoch, low then high.

        Both are in [0, 1], or MASKED, or UNCERTAIN_CLASS (`cxrkeras.data.labels.entries`). Equal
        ends give a fixed target.
        """
        raise NotImplementedError
