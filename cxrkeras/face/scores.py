"""Scores of a multi-label classifier from arrays.

>>> import numpy as np, cxrkeras
>>> truth, prob = np.array([[1.0], [0.0]]), np.array([[0.9], [0.2]])
>>> cxrkeras.scores.evaluate(truth, prob, ["Mass"])["macro"]["pooled"]["auroc"]
1.0
"""

from cxrkeras.evaluation.scores.metrics import evaluate

__all__ = ["evaluate"]
