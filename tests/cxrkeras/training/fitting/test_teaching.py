"""What learns by the truth: what is told, and that predictions do without."""

import keras
import numpy as np
import pytest
from scipy.special import expit

from cxrkeras.data.labels.targets import Targets
from cxrkeras.data.pipeline import Features, Part
from cxrkeras.models.architecture import Architecture
from cxrkeras.models.network import TARGET, classifiers
from cxrkeras.registry import HEADS
from cxrkeras.training.fitting.learner import Learner
from cxrkeras.training.plan import resolve

ROWS = 240


@pytest.fixture(scope="module")
def told():
    """Features say the first label; the second is the same by a toss, else the opposite; some of
    its entries are masked.
    """
    rng = np.random.default_rng(0)
    first = rng.random(ROWS) < 0.5
    tossed = rng.random(ROWS) < 0.9
    values = np.stack([first, first == tossed], axis=1).astype(np.float32)
    values[::7, 1] = -1
    features = np.stack([rng.normal(size=ROWS), 2.0 * first - 1], axis=1).astype(np.float32)
    features[:120, 1] = 0  # nothing is seen of them
    return features, values


def learner_of(experiment, told, loss="bce"):
    """A learner of a chain on features, its part, and the views of its network."""
    features, values = told
    inputs = keras.Input((2,))
    head = HEADS.make("label_lstm:units=8")
    found = classifiers(Architecture((), head, 32, dropout=0.0), inputs, {TARGET: 2})
    logits, teaching = keras.Model(inputs, found.outputs), found.teaching([inputs])
    part = Part(TARGET, Features(features), np.arange(ROWS), Targets(values))
    plan = resolve(experiment(loss=loss, head=str(head), batch_size=24))
    return Learner(logits, plan, [part], teaching=teaching), part, teaching


def test_a_chain_learns_by_the_truth_and_predicts_without(experiment, told):
    learner, part, teaching = learner_of(experiment, told)
    history = learner.learn([part], [part], epochs=12, learning_rate=0.02, seed=0, title="t")
    assert history["val_loss"].iloc[-1] < 0.75 * history["val_loss"].iloc[0]

    unseen = np.zeros((2, 2), np.float32)
    name = teaching.inputs[0].name
    given = {name: unseen, "target-truth": np.float32([[0, 0], [1, 1]])}
    conditional = expit(keras.ops.convert_to_numpy(teaching(given)[TARGET]))[:, 1]
    assert conditional[0] < 0.3
    assert conditional[1] > 0.7
    scores = learner.scores(part, np.arange(ROWS), "t")
    blind, seen = scores[:120, 1], scores[120:, 1]
    assert np.ptp(blind) < 0.6  # whose first label isn't known: no truth is looked at
    assert 0.3 < blind.mean() < 0.7
    called = seen > 0.5
    assert (called == (told[0][120:, 1] > 0)).mean() > 0.95


def test_what_a_loss_does_to_conditional_probabilities_is_not_claimed_of_the_marginal_ones(
    experiment, told
):
    learner, part, _ = learner_of(experiment, told)
    assert learner.distortions([part])[TARGET].none
    learner, part, _ = learner_of(experiment, told, "bw_bce")
    # The factors are of odds given the labels before; their means over these aren't such odds.
    assert learner.distortions([part]) == {TARGET: None}
