"""Bootstrap over patients.

Against a loop of scikit-learn over the same resamples, of which it scores a few and its time is
scaled up. Published predictions: 22,433 images of 6,187 patients by 14 labels.
"""

import time
from typing import ClassVar

import numpy as np

from cxrkeras.registry import option
from experiments.bench import Measurement, Row

SEED = 0


class Part(Measurement):
    """See the module's docstring."""

    small: ClassVar = {"resamples": 20, "looped": 2}

    resamples: int = option(2000, "Resamples.", ge=1)
    looped: int = option(5, "Of these, scored by scikit-learn.", ge=1)

    def measure(self, stand):
        """One row; both give the same scores."""
        from cxrkeras.evaluation.compare.resampling import bootstrap

        truth, prob, unit = _simulated() if stand.small else _published(stand)
        fast, slow = [], []

        def ours():
            fast[:] = bootstrap(truth, [prob], unit, resamples=self.resamples, seed=SEED)

        def peer():
            start = time.perf_counter()
            slow[:] = _looped(truth, prob, unit, self.looped)
            return (time.perf_counter() - start) * self.resamples / self.looped

        found = stand.in_turn(ours=ours, peer=peer)
        difference = max(np.abs(fast[i][0, :, : self.looped] - slow[i]).max() for i in range(2))
        images, labels = truth.shape
        yield Row(
            f"{self.resamples:,} resamples of {images:,} images, {labels} labels",
            "s",
            **found,
            against=f"scikit-learn's functions, scaled from {self.looped} resamples",
            note=f"The largest difference of a score on those resamples is {difference:.1e}.",
        )


def _published(stand) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth (N, K), probabilities (N, K) and patient numbers (N,) of the published predictions."""
    import pandas as pd

    from cxrkeras.evaluation.compare.resampling import sampling_units

    folder = stand.real("metadata")
    scores = pd.read_csv(folder / "jrzech_preds.csv.gz").set_index("Image Index")
    entries = pd.read_csv(folder / "Data_Entry_2017_v2020.csv.gz").set_index("Image Index")
    entries = entries.loc[scores.index]
    names = [column.removeprefix("prob_") for column in scores]
    findings = entries["Finding Labels"].str.split("|")
    truth = np.array([[name in found for name in names] for found in findings], dtype=np.float64)
    unit = sampling_units(list(scores.index), entries["Patient ID"].astype(str).tolist())
    return truth, scores.to_numpy(np.float64), unit


def _simulated() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(SEED)
    truth = (random.random((200, 3)) < 0.3).astype(np.float64)
    return truth, random.random((200, 3)), np.arange(200) // 2


def _looped(truth, prob, unit, resamples: int) -> np.ndarray:
    """(2, K, B) AUROC and average precision, one scikit-learn call for each."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    from cxrkeras.evaluation.compare.resampling import resample_counts

    counts = next(resample_counts(int(unit.max()) + 1, resamples, SEED))[unit]
    return np.array(
        [
            [
                [score(truth[:, k], prob[:, k], sample_weight=weight) for weight in counts.T]
                for k in range(truth.shape[1])
            ]
            for score in (roc_auc_score, average_precision_score)
        ]
    )
