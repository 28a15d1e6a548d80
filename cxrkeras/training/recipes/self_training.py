"""Trains twice: first without the uncertain entries, then with that model's predictions of them.

Source: Irvin et al., CheXpert, AAAI 2019 (U-SelfTrained).
"""

from typing import ClassVar

from cxrkeras.registry import option
from cxrkeras.training.recipes.shared.wrapping import Around, Wrapping


class Part(Wrapping):
    """Wraps another recipe. The policy `self_trained` brings it in automatically."""

    guesses: ClassVar[bool] = True

    base: str = option("finetune", "Recipe by which both models are trained.")

    @property
    def takes_rows(self) -> bool:
        """Whether the wrapped recipe does; what is uncertain there stays masked."""
        return self.within().takes_rows

    def fitter(self, session):
        """See `Recipe.fitter`."""
        return _Twice(self.within().fitter(session))


class _Twice(Around):
    def fit(self, train, validation, targets, *, title, checkpoint=None, **how):
        from cxrkeras.training.fitting.guessing import with_guesses

        def learn(taught, title, checkpoint):
            every = targets.placed(train, taught[0])
            fit = self._last.fit
            return fit(train, validation, every, title=title, checkpoint=checkpoint, **how)

        def guess(learned, _, rows):
            scores = self._last.predict(train[rows])
            return scores, learned.distortion

        return with_guesses(learn, guess, [targets[train]], title, checkpoint)
