"""Recipes around another one. Imports no Keras."""

from cxrkeras.registry import RECIPES, option
from cxrkeras.training.recipes import Recipe


class Wrapping(Recipe):
    """A recipe that takes from another what it doesn't say itself."""

    base: str = option("finetune", "Recipe that is wrapped.")

    @property
    def augment(self) -> str:
        """That of the wrapped recipe."""
        return self.within().augment

    @property
    def validation(self) -> float:
        """That of the wrapped recipe."""
        return self.within().validation

    @property
    def freezes(self) -> bool:
        """Whether the wrapped recipe freezes trunks."""
        return self.within().freezes

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of the wrapped recipe."""
        return self.within().columns

    @property
    def files(self) -> tuple[str, ...]:
        """Those of the wrapped recipe."""
        return self.within().files

    def check(self, plan):
        """As the wrapped recipe does."""
        self.within().check(plan)

    def network(self, architecture, labels):
        """That of the wrapped recipe."""
        return self.within().network(architecture, labels)

    def within(self) -> Recipe:
        """The wrapped recipe."""
        return RECIPES.make(self.base)
