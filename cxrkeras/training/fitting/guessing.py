"""U-SelfTrained (Irvin et al. 2019): a first model fills in entries for a second."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd

from cxrkeras.data.distortion import Distortion
from cxrkeras.data.labels.targets import Targets
from cxrkeras.data.pipeline import Part
from cxrkeras.training.fitting.learner import Learner

T = TypeVar("T")


class Taught(NamedTuple):
    """The result of `learn_parts`.

    Args:
        history: of the last fit.
        parts: as they were learnt from in the end, with guesses filled in.
    """

    history: pd.DataFrame
    parts: list[Part]


def learn_parts(
    learner: Learner,
    train: Sequence[Part],
    validation: Sequence[Part],
    *,
    title: str,
    checkpoint: Path | None = None,
    **how,
) -> Taught:
    """`Learner.learn`, twice if entries are to be guessed; arguments as there."""

    def learn(targets: Sequence[Targets], title: str, checkpoint: Path | None) -> Taught:
        parts = [part._replace(targets=t) for part, t in zip(train, targets, strict=True)]
        history = learner.learn(parts, validation, title=title, checkpoint=checkpoint, **how)
        return Taught(history, parts)

    def guess(taught: Taught, number: int, rows: np.ndarray) -> tuple:
        part = train[number]
        scores = learner.scores(part, rows, f"{title}, guessing uncertain entries")
        return scores, learner.distortions(taught.parts)[part.head]

    return with_guesses(learn, guess, [part.targets for part in train], title, checkpoint)


def with_guesses(
    learn: Callable[[Sequence[Targets], str, Path | None], T],
    guess: Callable[[T, int, np.ndarray], tuple[np.ndarray, Distortion | None]],
    targets: Sequence[Targets],
    title: str,
    checkpoint: Path | None,
) -> T:
    """Learn, twice if entries are to be guessed.

    At first these entries are masked; then a second fit from the start takes the first model's
    probabilities in their place. Only known entries steer.

    Args:
        learn: fits from the start state: (targets, title for the progress lines, checkpoint).
        guess: (the result of `learn`, which of the targets, (n,) rows of them) -> (n, K) scores,
            and what the loss did to them, which is undone, or None if it is unknown.
        targets: the targets of the parts that train together.
        title: what is learnt, for the progress lines.
        checkpoint: a file that keeps a fit's state. A first fit keeps its own beside it, to be
            removed with it: after a kill in the second fit, the guesses are made again from that
            state.

    Returns:
        The result of the last `learn`.
    """
    if all(each.guessed is None for each in targets):
        return learn(targets, title, checkpoint)
    first = checkpoint and checkpoint.with_name(f"first-{checkpoint.name}")
    learned = learn(targets, f"{title}, before guessing", first)
    filled = []
    for number, each in enumerate(targets):
        if each.guessed is not None:
            rows = np.flatnonzero(each.guessed.any(axis=1))
            scores, distortion = guess(learned, number, rows)
            probabilities = np.zeros(each.values.shape)
            probabilities[rows] = scores if distortion is None else distortion.undistort(scores)
            each = each.filled(probabilities)
        filled.append(each)
    return learn(filled, title, checkpoint)
