"""Attention-guided: the whole film, then what mattered most there, then both, each in its own fit.

Source: Guan et al., Diagnose like a Radiologist: Attention Guided CNN, 2018.
"""

from cxrkeras.models.heads.shared.dense import DenseHead
from cxrkeras.registry import option
from cxrkeras.training.recipes import Recipe
from data_prep.errors import UserError


class Part(Recipe):
    """One network in the end, whose trunks and heads are there twice.

    The local branch sees the box around the largest region in which the global branch's last map is
    above a threshold, enlarged. Both start from the same weights.
    """

    tau: float = option(
        0.7, "Share of the largest heat above which a place belongs to the region.", ge=0, lt=1
    )
    local_epochs: int | None = option(
        None, "Number of epochs of the local branch; --epochs if not given.", ge=1
    )
    fusion_epochs: int | None = option(
        None, "Number of epochs of the fusion; --epochs if not given.", ge=1
    )

    def check(self, plan):
        """See `Recipe.check`."""
        head = plan.architecture.head
        if not isinstance(head, DenseHead) or head.taught:
            raise UserError(
                f"--recipe {self.part_name()} joins what two branches have pooled, so it needs a "
                "head that makes one vector of an image, and that no truth teaches. Received: "
                f"--head {head}. Give --head gap, or --recipe finetune."
            )

    def network(self, architecture, labels):
        """Both branches and their fusion; see `Recipe.network`."""
        from cxrkeras.models.branches import build_branches

        return build_branches(architecture, labels, self.tau)

    def fitter(self, session):
        """See `Recipe.fitter`."""
        from cxrkeras.training.recipes.shared.guided import Guided

        epochs = {"local": self.local_epochs, "target": self.fusion_epochs}
        return Guided(session, self.tau, {name: n for name, n in epochs.items() if n})
