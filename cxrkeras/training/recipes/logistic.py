"""Logistic regression on the features of a trunk that doesn't change, label by label.

Source: scikit-learn's (L2, L-BFGS), as in Cohen et al.'s and many others' linear probes.
"""

from typing import ClassVar

from cxrkeras.models.heads.shared.dense import DenseHead
from cxrkeras.registry import LOSSES, option
from cxrkeras.runs.experiment import Experiment
from cxrkeras.training.recipes.frozen import Part as Frozen
from data_prep.errors import UserError


class Part(Frozen):
    """Each label is fitted to its optimum on standardised features; the model is `frozen`'s.

    Nothing distorts its probabilities. Epochs, batches, learning rate and dropout play no part.
    """

    takes_rows: ClassVar[bool] = True

    strength: float | None = option(
        None,
        "Inverse of the penalty, scikit-learn's C; if not given, the one with the smallest log "
        "loss over folds within the training images.",
        gt=0,
        le=1e6,
    )
    inner: int = option(3, "Folds, by patients, in which the strength is chosen.", ge=2, le=20)

    def check(self, plan):
        """See `Recipe.check`."""
        head, usual = plan.architecture.head, Experiment.model_fields["loss"].default
        plain = isinstance(head, DenseHead) and type(head).classify is DenseHead.classify
        if not (plain and head.pooled):
            raise UserError(
                f"--recipe {self.part_name()} is a dense layer on pooled features. Received: "
                f"--head {head}. Give --head gap."
            )
        for option_, value, default in (
            ("loss", plan.loss, LOSSES.make(usual)),
            ("transform", plan.transform, None),
        ):
            if value != default:
                raise UserError(
                    f"--recipe {self.part_name()} has a loss of its own, over all images at once. "
                    f"Received: --{option_} {value}. Leave it out, or give --recipe frozen."
                )
        if plan.validation:
            raise UserError(
                f"--recipe {self.part_name()} has nothing that validation images could steer. "
                f"Received: --validation-fraction {plan.validation:g}. Leave it out, or give "
                "--recipe frozen."
            )
        if any(trunk.stages for trunk in plan.trunks):
            return  # whose trainings go by the rest
        fields, chosen = Experiment.model_fields, plan.experiment
        for name in ("optimizer", "average"):
            if (value := getattr(chosen, name)) != fields[name].default:
                raise UserError(
                    f"--recipe {self.part_name()} takes no steps. Received: --{name} {value}. "
                    "Leave it out, or give --recipe frozen."
                )

    def fitter(self, session):
        """See `Recipe.fitter`."""
        from cxrkeras.training.recipes.shared.pooled.regression import Logistic

        return Logistic(session, self.copies, self.strength, self.inner)
