"""Replaces what isn't known by models that haven't seen the film; then the head learns on from it.

Source: a report on noisy chest labels (see the loss `reweighted_bce`), which replaces uncertain and
blank labels by the best model's predictions, freezes the trunk and retrains the last layer. That
predictions are out of fold is ours: a model agrees too easily with what it has learnt.
"""

from typing import ClassVar

from cxrkeras.registry import option
from cxrkeras.training.recipes.shared.wrapping import Wrapping, has_weights
from data_prep.errors import UserError


class Part(Wrapping):
    """Wraps another recipe; what is replaced is what policies leave to be guessed: `--uncertain
    self_trained`, for some labels or all, and `--blank self_trained`.

    The training images are split into inner folds, by patient. A model of each, fitted without the
    entries to be replaced, predicts them in the fold that it hasn't seen. Then the base learns from
    all training images but these entries; and with its trunk as it is, the head learns on from the
    entries too. With a base that freezes trunks, the head is trained only once. 0 and 1 are never
    changed. A label of which only one class is known has its entries left out.
    """

    guesses: ClassVar[bool] = True

    base: str = option("finetune", "Recipe by which the models are trained.")
    inner: int = option(3, "Inner folds.", ge=2, le=20)
    confidence: float = option(
        0.5,
        "Replace an entry only where the probability of presence, or of absence, is at least this; "
        "others are left out.",
        ge=0.5,
        le=1,
    )
    soft: bool = option(True, "Replace by the probability, not by 1 or 0.")
    weight: float = option(1.0, "Weight of a replaced entry, beside 1 of a known one.", gt=0, le=1)

    def check(self, plan):
        """As the wrapped recipe does; and see `Recipe.check`."""
        super().check(plan)
        if not isinstance(plan.recipe, Part) or self.within().guesses:
            raise UserError(
                f"--recipe {self.part_name()} goes around a recipe that doesn't guess, and not "
                f"within another. Received: --recipe {plan.experiment.recipe}. Give --recipe "
                f"{self.part_name()}, with another base or none."
            )
        if not plan.guesses:
            raise UserError(
                f"--recipe {self} replaces entries that policies leave to be guessed, and there "
                "are none. Give --uncertain self_trained, --blank self_trained, or both."
            )

    def fitter(self, session):
        """See `Recipe.fitter`."""
        from cxrkeras.training.recipes.shared.passing import Passing
        from cxrkeras.training.recipes.shared.relabelling import Relabelling

        within = self.within()
        first, again = within.fitter(session), None
        if not within.freezes:
            if not has_weights(first):
                raise UserError(
                    f"--recipe {self}: the head that learns on needs the network of its base, "
                    f"which {within} has changed. Take another base."
                )
            again = Passing(session, frozen=True)
        return Relabelling(session, first, again, self)
