"""Decision curves: is it worth deciding by a model? (Vickers and Elkin, Med Decis Making 2006).

Whoever films a patient further at a probability above t holds that one finding is worth (1 - t) / t
false alarms. The net benefit at t counts findings found per film, less false alarms at that rate:
TP / n - FP / n · t / (1 - t). Deciding against all has 0.
"""

import numpy as np

from cxrkeras.evaluation.journal.reliability import mean_intervals

STEPS = 50
LEAST, MOST, WIDE = 0.05, 0.5, 4


def decision_curve(truth: np.ndarray, prob: np.ndarray, unit: np.ndarray) -> dict | None:
    """Net benefit of one label's probabilities, and of deciding for all.

    Args:
        truth: (n,) bool.
        prob: (n,) in [0, 1].
        unit: (n,) ints from 0: the patient of each film.

    Returns:
        `thresholds`, `STEPS` of them up to `WIDE` times the prevalence (at least `LEAST`, at most
        `MOST`); `model`, `all`: as many numbers each; `low` and `high`, pointwise of the model (see
        `reliability.mean_intervals`), None for a single patient. None where a class is missing.
        JSON-ready.
    """
    prevalence = float(truth.mean()) if len(truth) else 0.0
    if not 0 < prevalence < 1:
        return None
    end = min(MOST, max(LEAST, float(np.ceil(WIDE * prevalence / LEAST)) * LEAST))
    thresholds = end * np.arange(1, STEPS + 1) / STEPS
    rate = thresholds / (1 - thresholds)
    called = prob[:, None] > thresholds
    model, low, high = mean_intervals(called * np.where(truth[:, None], 1.0, -rate), unit)
    sure = bool(np.isfinite(low).all())
    return {
        "thresholds": thresholds.tolist(),
        "model": model.tolist(),
        "low": low.tolist() if sure else None,
        "high": high.tolist() if sure else None,
        "all": (prevalence - (1 - prevalence) * rate).tolist(),
    }
