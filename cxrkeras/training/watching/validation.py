"""What a network says of the validation images while it is fitted, and the AUROC of that."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

_SAID, _TRUE = "logits of ", "targets of "


def as_logs(targets: Mapping[str, Any], logits: Mapping[str, Any]) -> dict[str, Any]:
    """A batch's targets and logits by head, as entries of a step's logs."""
    found = {f"{_SAID}{head}": values for head, values in logits.items()}
    return found | {f"{_TRUE}{head}": targets[head] for head in logits}


class Seen:
    """The batches of one pass over the validation images."""

    def __init__(self) -> None:
        self._batches: list[dict[str, np.ndarray]] = []

    def add(self, logs: Mapping[str, Any]) -> None:
        """Keep a batch, from the logs of its step."""
        names = [name for name in logs if name.startswith((_SAID, _TRUE))]
        if names:
            self._batches.append({name: _rows(logs[name]) for name in names})

    @property
    def entries(self) -> float:
        """Known entries of a batch: the mean over batches, each as often as it has images."""
        known, rows = [], []
        for batch in self._batches:
            targets = [values for name, values in batch.items() if name.startswith(_TRUE)]
            known.append(sum(float(_value_and_weight(one)[1].sum()) for one in targets))
            rows.append(len(targets[0]))
        return float(np.average(known, weights=rows)) if rows else 0.0

    def auroc(self) -> float | None:
        """The mean over all labels that have a positive and a negative; None if none has."""
        names = self._batches[0] if self._batches else ()
        found = []
        for head in [name.removeprefix(_SAID) for name in names if name.startswith(_SAID)]:
            targets = np.concatenate([batch[_TRUE + head] for batch in self._batches])
            logits = np.concatenate([batch[_SAID + head] for batch in self._batches])
            values, weights = _value_and_weight(targets)
            known = (weights > 0) & np.isin(values, (0, 1))  # a guess or a range is no truth
            for label in range(values.shape[1]):
                rows = known[:, label] & np.isfinite(logits[:, label])
                truth = values[rows, label]
                if 0 < truth.sum() < len(truth):
                    found.append(roc_auc_score(truth, logits[rows, label]))
        return float(np.mean(found)) if found else None


def _rows(values: Any) -> np.ndarray:
    """(N, ...); Keras makes a number of what has one element."""
    values = np.asarray(values, np.float32)
    return values if values.ndim else values.reshape(1, 1)


def _value_and_weight(targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, K) each; the weight of what is masked, or of an uncertain class, is 0."""
    values = targets[..., 0] if targets.ndim == 3 else targets
    weights = targets[..., 1] if targets.ndim == 3 else np.ones_like(targets)
    with np.errstate(invalid="ignore"):
        return values, np.where((values >= 0) & (values <= 1), weights, 0.0)
