"""Trains twice: first without the uncertain entries, then with that model's predictions of them.

Source: Irvin et al., CheXpert, AAAI 2019 (U-SelfTrained).
"""

from cxrkeras.registry import RECIPES, option
from cxrkeras.training.recipes import Fitter, Recipe


class Part(Recipe):
    """Wraps another recipe. The policy `self_trained` brings it in automatically."""

    base: str = option("finetune", "Recipe by which both models are trained.")

    @property
    def augment(self) -> str:
        """That of the wrapped recipe."""
        return self._within().augment

    @property
    def validation(self) -> float:
        """That of the wrapped recipe."""
        return self._within().validation

    @property
    def freezes(self) -> bool:
        """Whether the wrapped recipe freezes trunks."""
        return self._within().freezes

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of the wrapped recipe."""
        return self._within().columns

    @property
    def files(self) -> tuple[str, ...]:
        """Those of the wrapped recipe."""
        return self._within().files

    def check(self, plan):
        """As the wrapped recipe does."""
        self._within().check(plan)

    def fitter(self, session):
        """See `Recipe.fitter`."""
        return _Twice(self._within().fitter(session))

    def _within(self) -> Recipe:
        return RECIPES.make(self.base)


class _Twice(Fitter):
    def __init__(self, fitter):
        self._fitter = fitter

    @property
    def facts(self) -> dict:
        return self._fitter.facts

    @property
    def whole(self) -> bool:
        return self._fitter.whole

    def fit(self, train, validation, targets, *, title, checkpoint=None, **how):
        from cxrkeras.training.fitting.guessing import with_guesses

        def learn(taught, title, checkpoint):
            every = targets.placed(train, taught[0])
            fit = self._fitter.fit
            return fit(train, validation, every, title=title, checkpoint=checkpoint, **how)

        def guess(learned, _, rows):
            scores = self._fitter.predict(train[rows])
            return scores, learned.distortion

        return with_guesses(learn, guess, [targets[train]], title, checkpoint)

    def predict(self, rows):
        return self._fitter.predict(rows)

    def branches(self, rows):
        return self._fitter.branches(rows)

    def save(self, folder):
        return self._fitter.save(folder)

    def model(self):
        return self._fitter.model()

    def weights(self):
        return self._fitter.weights()
