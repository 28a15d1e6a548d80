"""Folds and held-out parts, stratified by label, that never split a patient.

>>> import numpy as np, cxrkeras
>>> targets, patients = np.eye(2)[[0, 1, 0, 1]], np.array(["a", "a", "b", "b"])
>>> folds = cxrkeras.folds.make_folds(targets, patients, n_folds=2, seed=0)
>>> cxrkeras.folds.shared_patients(folds, patients)
0
"""

from cxrkeras.data.folds.folds import fold_warnings, hold_out, make_folds, shared_patients

__all__ = ["fold_warnings", "hold_out", "make_folds", "shared_patients"]
