"""What an uncertain entry of a label, code -1, teaches: one policy per file."""

from typing import ClassVar

from cxrkeras.registry import Part


class Policy(Part):
    """What becomes of a label's uncertain entries; the codes 0 and 1 are none of its business.

    Attributes:
        guessed: the entries are masked at first, then replaced by the probabilities of the model
            that was fitted without them.
    """

    guessed: ClassVar[bool] = False

    def ends(self) -> tuple[float, float]:
        """The range from which their target is drawn anew for each epoch, lowest and highest.

        In [0, 1], or both MASKED, or both UNCERTAIN_CLASS (`cxrkeras.data.labels.entries`). Equal
        ends are a fixed target.
        """
        raise NotImplementedError
