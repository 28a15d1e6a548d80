"""As `frozen`, and an attention weighs the films of a study: any number of them, in any order.

Source: Ilse et al., ICML 2018 (equation 9, the gated attention); of studies: Kim, CheXFusion, 2023.
"""

from typing import ClassVar

from cxrkeras.data.studies import By
from cxrkeras.registry import option
from cxrkeras.training.recipes.frozen import Part as Frozen
from data_prep.errors import UserError


class Part(Frozen):
    """A study's logit is the mean of its films' own, by weights that sum to 1.

    A film alone is answered as its own classifier answers it. Every film of a study gets the
    study's score.
    """

    example: ClassVar[dict] = {"by": "patient"}
    takes_rows: ClassVar[bool] = False

    by: By = option("study", "What makes films a study: the column study, or patient in its place.")
    width: int = option(64, "Units of the attention.", ge=1, le=4096)
    per_label: bool = option(True, "Each label weighs the films in its own way.")
    alone: bool = option(True, "Also learn from each film as a study of its own.")

    @property
    def columns(self) -> tuple[str, ...]:
        """What makes the studies, unless patients do."""
        return ("study",) if self.by == "study" else ()

    def check(self, plan):
        """See `Recipe.check`."""
        if not plan.architecture.head.pooled or plan.architecture.head.taught:
            raise UserError(
                f"--recipe {self} takes a head on pooled features that no truth teaches. Received: "
                f"--head {plan.architecture.head}. Give --head gap."
            )
        if len(plan.architecture.views.crops(plan.architecture.image_size)) > 1:
            raise UserError(
                f"--recipe {self} learns from one view of a film, and would be scored on that. "
                f"Received: --views {plan.architecture.views}. Give another --views."
            )
        if plan.transform:
            raise UserError(
                f"--recipe {self} learns from studies, which --transform {plan.transform} can't "
                "change. Leave --transform out."
            )

    def fitter(self, session):
        """See `Recipe.fitter`."""
        from cxrkeras.training.recipes.shared.pooled.fusing import Fusing

        how = {"by": self.by, "width": self.width}
        return Fusing(session, self.copies, **how, per_label=self.per_label, alone=self.alone)
