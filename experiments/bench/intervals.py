"""What the patient bootstrap costs, against a loop of scikit-learn over the same resamples.

Run: python experiments/bench/intervals.py [RESAMPLES [LOOPED]]. Real predictions: jrzech's 22,433
images of 6,187 patients by 14 labels (`metadata/` of CXRKERAS_REAL_DATA). RESAMPLES (2000) are made
the fast way; scikit-learn scores LOOPED (5) of them and its time is scaled up, which is said.
Prints seconds, ratio, and the largest difference on the resamples that both have.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

from cxrkeras.evaluation.compare.resampling import bootstrap, resample_counts, sampling_units

METADATA = Path(os.environ.get("CXRKERAS_REAL_DATA", "../shared/data")) / "metadata"
SEED = 0


def published() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth (N, K), probabilities (N, K) and patient numbers (N,) of the published predictions."""
    scores = pd.read_csv(METADATA / "jrzech_preds.csv.gz").set_index("Image Index")
    entries = pd.read_csv(METADATA / "Data_Entry_2017_v2020.csv.gz").set_index("Image Index")
    entries = entries.loc[scores.index]
    names = [column.removeprefix("prob_") for column in scores]
    findings = entries["Finding Labels"].str.split("|")
    truth = np.array([[name in found for name in names] for found in findings], dtype=np.float64)
    unit = sampling_units(list(scores.index), entries["Patient ID"].astype(str).tolist())
    return truth, scores.to_numpy(np.float64), unit


def looped(truth: np.ndarray, prob: np.ndarray, unit: np.ndarray, resamples: int) -> np.ndarray:
    """(2, K, B) AUROC and average precision, one scikit-learn call for each."""
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


def main(resamples: int = 2000, loops: int = 5) -> None:
    """Time both and compare them."""
    truth, prob, unit = published()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        fast = bootstrap(truth, [prob], unit, resamples=resamples, seed=SEED)
        times.append(time.perf_counter() - start)
    start = time.perf_counter()
    slow = looped(truth, prob, unit, loops)
    scaled = (time.perf_counter() - start) * resamples / loops
    difference = max(np.abs(fast[i][0, :, :loops] - slow[i]).max() for i in range(2))
    n, k = truth.shape
    print(f"{n:,} images of {unit.max() + 1:,} patients x {k} labels x {resamples:,} resamples")
    print(f"cxrkeras: {min(times):.2f} s (best of 3; worst {max(times):.2f} s), one core")
    print(
        f"scikit-learn: {scaled:.0f} s, scaled from {loops} resamples; {scaled / min(times):.0f}x"
    )
    print(f"largest difference over those {loops} resamples: {difference:.1e}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
