"""The trunk doesn't change; the head learns on its features, computed once and standardised.

Source: Huang et al., Diagnostics 2022 (layer transfer).
"""

from typing import ClassVar

from cxrkeras.registry import option
from cxrkeras.training.recipes import Recipe


class Part(Recipe):
    """A head that doesn't use pooled features learns from maps computed anew in every epoch."""

    augment: ClassVar[str] = "none"
    validation: ClassVar[float] = 0.0  # a small head needs every image more
    freezes: ClassVar[bool] = True
    takes_rows: ClassVar[bool] = True

    copies: int = option(3, "With --augment: number of augmented copies of each image.", ge=0)

    def fitter(self, session):
        """See `Recipe.fitter`."""
        if not session.plan.architecture.head.pooled:
            from cxrkeras.training.recipes.shared.passing import Passing

            return Passing(session, frozen=True)
        from cxrkeras.training.recipes.shared.pooled.heads import Pooled

        return Pooled(session, self.copies)
