"""What was trained on the way to a run's model, scored out of fold beside it."""

from pathlib import Path

from cxrkeras.evaluation.compare.intervals import LEVEL, resample
from cxrkeras.evaluation.compare.resampling import sampling_units
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.evaluation.scores.predictions import Predictions, read_predictions
from data_prep.errors import UserError


def score_branches(run: Path, whole: Predictions) -> dict[str, dict]:
    """AUROC of each branch, and how much better the model is, on the same resampled patients.

    Args:
        run: the run folder, with the branches' tables.
        whole: the model's predictions.

    Returns:
        {branch: `per_label` {label: AUROC or None}, `macro`, and `gain`, the model's macro AUROC
        minus the branch's}; the last two {value, low, high, …} as `Resampled` gives them. Empty if
        there is no branch.

    Raises:
        UserError: a table isn't of the same images.
    """
    named = {name: read_predictions(path) for name, path in RunFolder(run).branches.items()}
    for name, one in named.items():
        if (one.images, one.labels) != (whole.images, whole.labels):
            raise UserError(
                f"{RunFolder(run).branch(name)} must have the images and labels of "
                "predictions.csv. Create both again with `cxrkeras cv`."
            )
    if not named:
        return {}
    unit = sampling_units(whole.images, whole.patients)
    probs = [whole.prob, *(one.prob for one in named.values())]
    drawn = resample(whole.truth, probs, unit, whole.labels)["auroc"]
    return {
        name: {
            "per_label": {
                label: drawn.of_label(number, k, LEVEL)["value"]
                for k, label in enumerate(whole.labels)
            },
            "macro": drawn.of_macro(number, LEVEL),
            "gain": drawn.of_difference(0, number, LEVEL),
        }
        for number, name in enumerate(named, start=1)
    }
