"""Trains twice: first without the uncertain entries, then with that model's predictions of them.

Source: Irvin et al., CheXpert, AAAI 2019 (U-SelfTrained).
"""

from cxrkeras.registry import option
from cxrkeras.training.recipes import Fitter
from cxrkeras.training.recipes.shared.wrapping import Wrapping


class Part(Wrapping):
    """Wraps another recipe. The policy `self_trained` brings it in automatically."""

    base: str = option("finetune", "Recipe by which both models are trained.")

    @property
    def takes_rows(self) -> bool:
        """Whether the wrapped recipe does; what is uncertain there stays masked."""
        return self.within().takes_rows

    def fitter(self, session):
        """See `Recipe.fitter`."""
        return _Twice(self.within().fitter(session))


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
