"""Calibration: turns scores into probabilities that mean what they say, by out-of-fold predictions.

Two steps. First the loss's known distortion is undone in closed form (`data.distortion`). Then,
if wanted, what is left is fitted per label, by one of `METHODS`. A temperature changes no ranking;
isotonic makes ties, which does.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from cxrkeras.data.distortion import log_odds
from cxrkeras.evaluation.report.curves import equal_count_bins

METHODS = {
    "temperature": "one temperature and one bias per label",
    "isotonic": "a rising step function per label; needs hundreds of positives",
}
_TINY = 1e-12
_HOTTEST = 20.0  # of a score that says nothing; the coldest is its inverse


def fit_calibration(
    labels: Sequence[str], truth: np.ndarray, probability: np.ndarray, where: str = "predictions"
) -> dict[str, dict]:
    """Fit both methods for each label.

    `temperature` is p' = σ(logit(p) / T + b) with T > 0: a plain temperature (Guo et al. 2017)
    would turn about p = 0.5, where a rare finding never is. It is fitted with the targets of
    Platt (1999), (P + 1) / (P + 2) and 1 / (N + 2) for P positives and N negatives, so that
    perfectly separated labels stay finite. `isotonic` is scikit-learn's, with one image more than
    there are: at the highest score as much of a negative as the label is rare, at the lowest as
    much of a positive as it is common. Otherwise the single highest-scoring image, if positive,
    would make every higher score a certainty.

    Args:
        labels: K names.
        truth: (N, K) float; 1, 0, or NaN for unknown.
        probability: (N, K) in [0, 1], the loss's distortion undone.
        where: what the rows are, in the plural.

    Returns:
        JSON-ready {label: {`temperature`: {`temperature`, `bias`}, `isotonic`: {`x`, `y`}, `n`,
        `positives`, `from` (in words)}}; both methods are None where a class is missing.
    """
    fitted = {}
    for k, name in enumerate(labels):
        known = np.isfinite(truth[:, k])
        y, p = truth[known, k] == 1, probability[known, k]
        n, positives = len(y), int(y.sum())
        methods = _fit(y, p) if 0 < positives < n else dict.fromkeys(METHODS)
        text = f"{n:,} {where}, {positives:,} positive"
        fitted[name] = {**methods, "n": n, "positives": positives, "from": text}
    return fitted


def calibrate(
    calibration: Mapping[str, Mapping],
    labels: Sequence[str],
    probability: np.ndarray,
    method: str,
) -> np.ndarray:
    """Apply what `fit_calibration` found.

    Args:
        calibration: {label: parameters}.
        labels: K names.
        probability: (N, K) in [0, 1], the loss's distortion undone.
        method: a key of `METHODS`.

    Returns:
        (N, K) float64 in [0, 1]; NaN for a label that could not be fitted.
    """
    columns = [
        _APPLY[method](calibration[name][method], probability[:, k])
        if calibration[name][method]
        else np.full(len(probability), np.nan)
        for k, name in enumerate(labels)
    ]
    return np.stack(columns, axis=1)


def score_calibration(
    labels: Sequence[str],
    truth: np.ndarray,
    raw: np.ndarray,
    probability: np.ndarray,
    fold: np.ndarray,
) -> dict:
    """Score the probabilities before and after calibration, each fold calibrated by the others.

    Args:
        labels: K names.
        truth: (N, K) float; 1, 0, or NaN for unknown.
        raw: (N, K) the model's scores.
        probability: (N, K) the same with the loss's distortion undone.
        fold: (N,) the fold that held each row out.

    Returns:
        {`per_label` {label: scores or None}, `mean` (over the labels that have scores)}; scores are
        {`raw`, `undistorted`, `temperature`, `isotonic`: {`log_loss` (nats), `brier`, `ece`}}. None
        where the rows outside some fold lack a class.
    """
    per_label = {
        name: _score(*(a[np.isfinite(truth[:, k])] for a in (*columns, fold)))
        for k, name in enumerate(labels)
        for columns in [(truth[:, k], raw[:, k], probability[:, k])]
    }
    scored = [scores for scores in per_label.values() if scores]
    mean = {
        kind: {name: float(np.mean([s[kind][name] for s in scored])) for name in _QUALITY}
        for kind in (scored[0] if scored else ())
    }
    return {"per_label": per_label, "mean": mean or None}


def log_loss(y: np.ndarray, p: np.ndarray) -> float:
    """The mean of -ln of the probability given to what was true, in nats; p kept off 0 and 1."""
    p = np.clip(p, _TINY, 1 - _TINY)
    return float(-np.mean(np.where(y, np.log(p), np.log1p(-p))))


def brier(y: np.ndarray, p: np.ndarray) -> float:
    """The mean squared difference between probability and truth."""
    return float(np.mean((p - y) ** 2))


def expected_calibration_error(y: np.ndarray, p: np.ndarray) -> float:
    """Mean |observed share - mean probability| over ten bins of equal count, weighted by count."""
    gaps = np.bincount(equal_count_bins(p), weights=p - y)
    return float(np.abs(gaps).sum() / len(y))


_QUALITY = {"log_loss": log_loss, "brier": brier, "ece": expected_calibration_error}


def _score(y: np.ndarray, raw: np.ndarray, p: np.ndarray, fold: np.ndarray) -> dict | None:
    y = y == 1
    found = {"raw": raw, "undistorted": p, **{method: np.empty(len(p)) for method in METHODS}}
    for k in np.unique(fold):
        here = fold == k
        if not 0 < y[~here].sum() < (~here).sum():
            return None
        for method, parameters in _fit(y[~here], p[~here]).items():
            found[method][here] = _APPLY[method](parameters, p[here])
    if not len(y):
        return None
    return {
        kind: {name: quality(y, values) for name, quality in _QUALITY.items()}
        for kind, values in found.items()
    }


def _fit(y: np.ndarray, p: np.ndarray) -> dict[str, dict]:
    return {"temperature": _fit_temperature(y, p), "isotonic": _fit_isotonic(y, p)}


def _fit_temperature(y: np.ndarray, p: np.ndarray) -> dict[str, float]:
    positives = y.sum()
    target = np.where(y, (positives + 1) / (positives + 2), 1 / (len(y) - positives + 2))
    z = log_odds(p)
    centre, spread = z.mean(), z.std() or 1.0  # standardised, the two parameters hardly interact
    u = (z - centre) / spread

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        x = parameters[0] * u + parameters[1]
        error = expit(x) - target
        slopes = np.array([np.mean(error * u), np.mean(error)])
        return np.mean(np.logaddexp(0, x) - target * x), slopes

    bounds = [(spread / _HOTTEST, spread * _HOTTEST), (None, None)]
    start = [spread, logit(target.mean())]
    slope, level = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, tol=1e-12).x
    slope = slope / spread
    return {"temperature": float(1 / slope), "bias": float(level - slope * centre)}


def _fit_isotonic(y: np.ndarray, p: np.ndarray) -> dict[str, list[float]]:
    common = y.mean()
    scores, truth = np.append(p, [p.min(), p.max()]), np.append(y, [1, 0])
    line = IsotonicRegression(out_of_bounds="clip")
    line.fit(scores, truth, sample_weight=np.append(np.ones(len(y)), [common, 1 - common]))
    return {"x": line.X_thresholds_.tolist(), "y": line.y_thresholds_.tolist()}


def _apply_temperature(parameters: Mapping[str, float], p: np.ndarray) -> np.ndarray:
    return expit(log_odds(p) / parameters["temperature"] + parameters["bias"])


def _apply_isotonic(parameters: Mapping[str, Sequence[float]], p: np.ndarray) -> np.ndarray:
    return np.interp(p, parameters["x"], parameters["y"])


_APPLY = {"temperature": _apply_temperature, "isotonic": _apply_isotonic}
