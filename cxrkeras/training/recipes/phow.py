"""A bag of visual words (PHOW) and a support vector machine for each label, without any network.

Source: Bosch, Zisserman and Munoz, ICCV 2007; the settings are VLFeat's (`phow_caltech101`).
"""

import re
from typing import ClassVar

from pydantic import field_validator

from cxrkeras.registry import option
from cxrkeras.runs.experiment import Experiment
from cxrkeras.training.recipes import Recipe
from data_prep.errors import UserError

_NETWORKS = (
    *("method", "source", "head", "inputs", "joint", "loss", "transform", "dropout", "optimizer"),
    *("augment", "precision", "devices", "views", "validation_fraction"),
)
"""Settings of networks; those of an epoch, and the backbone, may stand at any value."""
_EPOCHS = (
    *("backbone", "random_trunk", "epochs", "source_epochs", "batch_size", "learning_rate"),
    *("source_learning_rate", "plateau_patience", "step_epochs", "plateau_factor"),
    *("early_stopping", "batch_norm"),
)


class Part(Recipe):
    """Dense SIFT at several scales; words by k-means; how often each occurs in each cell of a
    pyramid; the chi-squared kernel; a linear machine per label, and a sigmoid by Platt.

    Backbone, epochs and learning rate make no difference to it; options that would give a network
    more are refused.
    """

    augment: ClassVar[str] = "none"
    validation: ClassVar[float] = 0.0
    unused: ClassVar[tuple[str, ...]] = (*_NETWORKS, *_EPOCHS)
    example: ClassVar[dict] = {"words": 12, "folds": 2}

    words: int = option(600, "Visual words.", ge=2, le=10_000)
    step: int = option(4, "Pixels between descriptors.", ge=2, le=64)
    bins: str = option("4+6+8+10", "Sides of a descriptor's bins, one for each scale.")
    levels: str = option("2+4", "Cells along an edge, one for each level of the pyramid.")
    c: float = option(10.0, "C of the machines' hinge loss.", gt=0, le=1e6)
    folds: int = option(5, "Folds by patient within the training part, for the sigmoids.", ge=2)

    @field_validator("bins", "levels")
    @classmethod
    def _of_numbers(cls, text: str, info) -> str:
        numbers(text, *{"bins": (2, 64), "levels": (1, 16)}[info.field_name])
        return text

    def check(self, plan):
        """See `Recipe.check`."""
        fields, chosen = Experiment.model_fields, plan.experiment
        for name in _NETWORKS:
            value = getattr(chosen, name)
            if value != fields[name].default and (name, value) not in _SAME:
                told = ",".join(value) if isinstance(value, tuple) else value
                name = name.replace("_", "-")
                raise UserError(
                    f"--recipe {self} has no network. Received: --{name} {told}. Leave --{name} "
                    "out, or give another --recipe."
                )
        if (smallest := self.grid.smallest) > chosen.image_size:
            raise UserError(
                f"--recipe {self} needs images of at least {smallest} px. Received: --image-size "
                f"{chosen.image_size}. Give a larger one, or smaller bins."
            )

    @property
    def grid(self):
        """Where descriptors lie."""
        from cxrkeras.models.words.sift import Grid

        return Grid(self.step, numbers(self.bins))

    def fitter(self, session):
        """See `Recipe.fitter`."""
        from cxrkeras.training.recipes.shared.bagging import Bagging

        how = {"words": self.words, "levels": numbers(self.levels)}
        return Bagging(session, self.grid, **how, c=self.c, folds=self.folds)


_SAME = (("augment", "none"), ("validation_fraction", 0.0))


def numbers(text: str, low: int = 1, high: int = 64) -> tuple[int, ...]:
    """Whole numbers joined by +, as 2+4.

    Raises:
        ValueError: for another text, or a number outside of these bounds.
    """
    found = (
        tuple(map(int, text.split("+"))) if re.fullmatch(r"\d{1,3}(\+\d{1,3}){0,7}", text) else ()
    )
    if not found or not all(low <= number <= high for number in found):
        raise ValueError(f"must be whole numbers from {low} to {high}, joined by +, as 4+8")
    return found
