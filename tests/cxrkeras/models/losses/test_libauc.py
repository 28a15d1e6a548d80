"""The AUC margin beside LibAUC's own, from the same weights over the same batches.

LibAUC asks for a dozen libraries that its loss and optimiser don't use, so it is no extra of ours:
`pip install torch tqdm; pip install --no-deps libauc==2.0.1`. Its PESG cuts gradients at 1, takes
alpha's from a and b rather than from the batch, and mixes 0.1 of the last step with 0.9 of the
gradient where we, as PyTorch's SGD, add 0.9 of the last step: at the same rate it goes a tenth as
far. So it runs at ten times the rate too.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import roc_auc_score

from cxrkeras.registry import LOSSES
from cxrkeras.training.fitting.trainer import Schedule, Trainer

WIDTH, UNITS, POSITIVE = 20, 16, 0.05
EPOCHS, BATCH, RATE, LOWER_AFTER = 6, 50, 0.1, 4


def data(rows, seed):
    """Rare positives that no line tells apart: (n, 20) and (n, 1)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, WIDTH)).astype(np.float32)
    odds = x[:, 0] * x[:, 1] + x[:, 2] + 0.5 * np.abs(x[:, 3]) + rng.normal(0, 1, rows)
    return x, np.float32(odds > np.quantile(odds, 1 - POSITIVE))[:, None]


def start(seed):
    """The weights of two dense layers."""
    rng = np.random.default_rng(seed)
    sizes = [(WIDTH, UNITS), (UNITS,), (UNITS, 1), (1,)]
    return [
        np.float32(rng.normal(0, 0.2, size) if len(size) > 1 else np.zeros(size)) for size in sizes
    ]


def batches(x, y, seed):
    """[(batches of an epoch)], in the same order for both."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(x)).reshape(-1, BATCH) for _ in range(EPOCHS)]
    return [[(x[rows], y[rows]) for rows in order] for order in orders]


def ours(epochs, counts, weights, test):
    inputs = keras.Input((WIDTH,))
    hidden = keras.layers.Dense(UNITS, "relu")(inputs)
    logits = keras.Model(inputs, {"target": keras.layers.Dense(1, name="target")(hidden)})
    flat = [batch for epoch in epochs for batch in epoch]
    xs, ys = (np.concatenate(part) for part in zip(*flat, strict=True))
    found = tf.data.Dataset.from_tensor_slices((xs, {"target": ys})).batch(BATCH)
    Trainer(logits, loss=LOSSES.make("auc_margin")).fit(
        lambda _: found,
        None,
        Schedule(EPOCHS, RATE, 0, 0.1, 0, (LOWER_AFTER,)),
        steps=len(epochs[0]),
        seed=0,
        title="t",
        counts={"target": counts},
        start=weights,
    )
    return logits.predict(test, verbose=0, batch_size=1000)["target"]


def theirs(epochs, share, weights, test, rate):
    torch = pytest.importorskip("torch", reason="LibAUC needs PyTorch")
    losses = pytest.importorskip("libauc.losses.auc", reason="LibAUC isn't installed")
    optimizers = pytest.importorskip("libauc.optimizers.pesg")
    torch.manual_seed(0)  # PESG draws the weights that hold the first epoch's
    model = torch.nn.Sequential(
        torch.nn.Linear(WIDTH, UNITS), torch.nn.ReLU(), torch.nn.Linear(UNITS, 1)
    )
    with torch.no_grad():
        for parameter, values in zip(model.parameters(), weights, strict=True):
            parameter.copy_(torch.from_numpy(values.T.copy()))
    loss = losses.AUCMLoss(margin=1.0, imratio=share, device="cpu")
    optimizer = optimizers.PESG(model.parameters(), loss, lr=rate, verbose=False, device="cpu")
    for number, epoch in enumerate(epochs):
        if number:
            lower = 10 if number == LOWER_AFTER else 1
            optimizer.update_regularizer(decay_factor=lower)
        for x, y in epoch:
            optimizer.zero_grad()
            scores = torch.sigmoid(model(torch.from_numpy(x)))
            loss(scores, torch.from_numpy(y), auto=False).backward()
            optimizer.step()
    with torch.no_grad():
        return model(torch.from_numpy(test)).numpy()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Input data has no positive sample:UserWarning")
def test_its_auroc_is_at_least_libauc_s():
    found = []
    for seed in range(5):
        x, y = data(2000, seed)
        test, truth = data(20_000, 100 + seed)
        counts = np.array([[y.sum(), (1 - y).sum()]], np.float32)
        epochs, weights, share = batches(x, y, seed), start(seed), float(y.mean())
        libauc = (theirs(epochs, share, weights, test, rate) for rate in (RATE, 10 * RATE))
        every = [*libauc, ours(epochs, counts, weights, test)]
        found.append([roc_auc_score(truth, scores) for scores in every])
        print(
            f"seed {seed}: LibAUC {found[-1][0]:.4f}, {found[-1][1]:.4f}, ours {found[-1][2]:.4f}"
        )
    same_rate, same_step, own = np.mean(found, axis=0)
    assert own >= max(same_rate, same_step)
    assert own > 0.7  # it has learnt
