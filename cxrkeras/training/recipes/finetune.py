"""All layers are trained on the target.

Source: Huang et al., Diagnostics 2022 (fine-tuning).
"""

from typing import ClassVar

from cxrkeras.training.recipes import Recipe


class Part(Recipe):
    """In every epoch the target's images pass through the trunks."""

    takes_rows: ClassVar[bool] = True

    def fitter(self, session):
        """See `Recipe.fitter`."""
        from cxrkeras.training.recipes.shared.passing import Passing

        return Passing(session)
