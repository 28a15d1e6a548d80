"""Cross-validation folds and held-out parts: stratified by label, never splitting a patient."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

from cxrkeras.data.folds.stratify import patient_counts, split_patients
from data_prep.errors import UserError

TEST = -1
"""The fold number of held-out test images, which a folds file calls `test`."""


def make_folds(targets: np.ndarray, patients: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """Assign the images to folds.

    Where every patient has one image: iterative-stratification's MultilabelStratifiedKFold
    (Sechidis et al. 2011), shuffled. Otherwise, and where that fails (a single label; an empty
    fold): `split_patients`.

    Args:
        targets: (N, K) float, 1 = positive; 0, NaN and negative count as not positive.
        patients: (N,) the patient of each image; a blank counts as a patient of its own.
        n_folds: at least 2.
        seed: the same seed gives the same folds.

    Returns:
        (N,) int from 0 to n_folds - 1; no fold is empty.

    Raises:
        UserError: there are fewer than 2 folds, or more folds than patients.

    Example:
        >>> import numpy as np
        >>> targets, patients = np.eye(2)[[0, 1, 0, 1]], np.array(["a", "a", "b", "b"])
        >>> folds = cxrkeras.folds.make_folds(targets, patients, n_folds=2, seed=0)
        >>> bool(folds[0] == folds[1] != folds[2] == folds[3])
        True
    """
    patients = known_patients(patients)
    n_patients = len(np.unique(patients))
    if not 2 <= n_folds <= n_patients:
        raise UserError(
            f"Cross-validation needs at least 2 folds and a patient for each. Received: {n_folds} "
            f"folds for {n_patients} patients. Choose another number of folds."
        )
    if n_patients == len(patients) and targets.shape[1] > 1:
        folds = _iterstrat(targets, n_folds, seed)
        if len(np.unique(folds)) == n_folds:
            return folds
    return split_patients(targets, patients, np.ones(n_folds), seed)


def _iterstrat(targets: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    splitter = MultilabelStratifiedKFold(n_folds, shuffle=True, random_state=seed)
    folds = np.empty(len(targets), int)
    positive = (np.asarray(targets) > 0.5).astype(int)  # as floats, a NaN would count as positive
    for fold, (_, rows) in enumerate(splitter.split(positive, positive)):
        folds[rows] = fold
    return folds


def hold_out(targets: np.ndarray, patients: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Choose whole patients to hold out, keeping the labels in proportion.

    Of a label with two or more positive patients, at least one stays in training.

    Args:
        targets: (N, K), as for `make_folds`.
        patients: (N,), as for `make_folds`.
        fraction: share of the images to hold out, between 0 and 1.
        seed: the same seed gives the same choice.

    Returns:
        (N,) bool, True if held out.

    Raises:
        UserError: the fraction is outside (0, 1), or would leave a side empty.

    Example:
        >>> import numpy as np
        >>> patients = np.array(["a", "a", "b", "b"])
        >>> held = cxrkeras.folds.hold_out(np.eye(2)[[0, 1, 0, 1]], patients, 0.5, seed=0)
        >>> int(held.sum())
        2
    """
    if not 0 < fraction < 1:
        raise UserError(f"A held-out fraction lies between 0 and 1. Received: {fraction:g}.")
    patients = known_patients(patients)
    held = split_patients(targets, patients, np.array([1 - fraction, fraction]), seed) == 1
    _keep_positives(held, targets, patients)
    if held.all() or not held.any():
        raise UserError(
            "The held-out part and the rest need at least one patient each. Received: a fraction "
            f"of {fraction:g} of {len(np.unique(patients))} patients. Choose another fraction."
        )
    return held


def _keep_positives(held: np.ndarray, targets: np.ndarray, patients: np.ndarray) -> None:
    """Put the smallest positive patient of each label without one back into training, in place."""
    _, index = np.unique(patients, return_inverse=True)
    counts = patient_counts(targets, index)
    for label in range(targets.shape[1]):
        positive = np.flatnonzero(counts[:, label])
        if len(positive) >= 2 and held[np.isin(index, positive)].all():
            held[index == positive[counts[positive, -1].argmin()]] = False


def known_patients(patients: np.ndarray) -> np.ndarray:
    """(N,) str, each blank (unknown) patient replaced by one of its own."""
    patients = np.asarray(patients).astype(str).astype(object)
    blank = patients == ""
    patients[blank] = [f"\0{row}" for row in np.flatnonzero(blank)]  # no real name starts so
    return patients.astype(str)


def fold_warnings(
    targets: np.ndarray, patients: np.ndarray, labels: Sequence[str], n_folds: int
) -> list[str]:
    """What no folds can mend, one line each: too few positive patients, unknown patients.

    Args:
        targets: (N, K), as for `make_folds`.
        patients: (N,), as for `make_folds`.
        labels: K names.
        n_folds: the number of folds.

    Returns:
        The warnings, if any.

    Example:
        >>> import numpy as np
        >>> targets, patients = np.array([[1.0], [0.0]]), np.array(["a", "b"])
        >>> cxrkeras.folds.fold_warnings(targets, patients, ["Mass"], 2)[0].split(";")[0]
        'Fewer positive patients than the 2 folds: Mass (1)'
    """
    _, index = np.unique(known_patients(patients), return_inverse=True)
    positive = (patient_counts(targets, index)[:, :-1] > 0).sum(axis=0)
    few = [f"{name} ({n})" for name, n in zip(labels, positive, strict=True) if n < n_folds]
    warnings = []
    if few:
        warnings.append(
            f"Fewer positive patients than the {n_folds} folds: {', '.join(few)}; some folds will "
            "have none to score."
        )
    if blank := int((np.asarray(patients).astype(str) == "").sum()):
        warnings.append(
            f"{blank} images have no patient; each counts as a patient of its own, so images of "
            "one person may be in two folds."
        )
    return warnings


def shared_patients(folds: np.ndarray, patients: np.ndarray) -> int:
    """The number of patients with images in two or more folds.

    Args:
        folds: (N,) int.
        patients: (N,), as for `make_folds`.

    Returns:
        Their number.

    Example:
        >>> import numpy as np
        >>> cxrkeras.folds.shared_patients(np.array([0, 1, 1]), np.array(["a", "a", "b"]))
        1
    """
    pairs = set(zip(known_patients(patients).tolist(), np.asarray(folds).tolist(), strict=True))
    return sum(count > 1 for count in Counter(patient for patient, _ in pairs).values())
