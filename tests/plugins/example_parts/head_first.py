"""First the head learns on trunks that stand still, then all layers learn on.

Source: Kumar et al., Fine-Tuning can Distort Pretrained Features, ICLR 2022 (LP-FT).
"""

from cxrkeras.registry import option
from cxrkeras.training.recipes import Fitter, Recipe


class Part(Recipe):
    """Images pass through the trunks in both phases."""

    share: float = option(0.5, "Of the epochs: the first phase's.", gt=0, lt=1)

    def fitter(self, session):
        """See `Recipe.fitter`."""
        from cxrkeras.training.recipes.shared.passing import Passing

        return _HeadFirst(Passing(session, frozen=True), Passing(session), self.share)


class _HeadFirst(Fitter):
    def __init__(self, head, everything, share):
        self._head, self._everything, self._share = head, everything, share
        self.predict, self.save = everything.predict, everything.save

    @property
    def facts(self):
        return self._everything.facts

    def fit(self, train, validation, targets, *, epochs, title, checkpoint=None, **how):
        first = max(1, round(self._share * epochs))
        beside = checkpoint and checkpoint.with_name(f"head-{checkpoint.name}")
        self._head.fit(
            train,
            validation,
            targets,
            epochs=first,
            title=f"{title}, the head",
            checkpoint=beside,
            **how,
        )
        return self._everything.fit(
            train,
            validation,
            targets,
            epochs=max(1, epochs - first),
            title=title,
            checkpoint=checkpoint,
            start=self._head.weights(),
            **how,
        )
