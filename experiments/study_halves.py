"""Two source archives out of one: half of the patients keep their labels, half get CheXpert's.

    python experiments/study_halves.py "$CXRKERAS_REAL_DATA/nih_source/labels.csv" data/tables

writes half_a.csv (the labels as they are) and half_b.csv (five of them under CheXpert's names, with
its codes), which `cxrkeras prep table` makes into prepared datasets of different patients. CheXpert
itself can't be had offline; with this its vocabulary, its uncertain entries and its blanks are met.

Patients are drawn by seed, half of them for each table. In half B each entry is then recoded by a
draw of its own: of the positives 20 in 100 become uncertain (-1); of the negatives 3 in 100 become
uncertain and 80 in 100 not mentioned (blank).
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

SEED = 0
NAMES = {
    "Atelectasis": "Atelectasis",
    "Cardiomegaly": "Cardiomegaly",
    "Consolidation": "Consolidation",
    "Edema": "Edema",
    "Effusion": "Pleural Effusion",
}
UNCERTAIN_POSITIVE, UNCERTAIN_NEGATIVE, UNMENTIONED = 0.20, 0.03, 0.80


def halves(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Half A and half B of a ChestX-ray14 table of one-hot labels."""
    rng = np.random.default_rng(SEED)
    patients = np.sort(table["Patient ID"].unique())
    first = rng.permutation(len(patients)) < len(patients) // 2
    in_a = table["Patient ID"].isin(patients[first]).to_numpy()
    b = table[~in_a]
    about = ["Image Index", "Patient ID", "Patient Age", "Patient Gender", "View Position"]
    coded = {new: _recode(b[old].to_numpy(), rng) for old, new in NAMES.items()}
    half_b = pd.concat([b[about], pd.DataFrame(coded, index=b.index)], axis=1)
    return table[in_a], half_b


def _recode(present: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    draw = rng.random(len(present))
    positive = np.where(draw < UNCERTAIN_POSITIVE, "-1", "1")
    blank_to = UNCERTAIN_NEGATIVE + UNMENTIONED
    negative = np.where(draw < UNCERTAIN_NEGATIVE, "-1", np.where(draw < blank_to, "", "0"))
    return np.where(present == 1, positive, negative)


def main(labels: Path, out: Path) -> None:
    """Write both tables."""
    out.mkdir(parents=True, exist_ok=True)
    for name, half in zip(("half_a", "half_b"), halves(pd.read_csv(labels)), strict=True):
        half.to_csv(out / f"{name}.csv", index=False)
        print(f"{out / name}.csv: {len(half)} images, {half['Patient ID'].nunique()} patients")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
