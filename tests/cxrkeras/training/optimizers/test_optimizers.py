"""Steps against NumPy, weight decay of its two kinds, the schedule by epochs."""

import keras
import numpy as np
import pytest

from cxrkeras.models.losses.bce import Part as BCE
from cxrkeras.registry import OPTIMIZERS
from cxrkeras.training.fitting.compute import Compute
from cxrkeras.training.fitting.trainer import Schedule, Trainer
from data_prep.errors import UserError
from tests.cxrkeras.training.fitting.fits import head_and_batches, killed_fit

RATE = 0.1
rng = np.random.default_rng(0)
START = rng.normal(size=3)
GRADIENTS = rng.normal(size=(5, 3))


def adam(l2=0.0, decay=0.0, b1=0.9, b2=0.999, epsilon=1e-7):
    """Algorithm 1 of Kingma and Ba, with L2's gradient or Loshchilov and Hutter's shrinking."""
    w, m, v = START.copy(), 0.0, 0.0
    for t, gradient in enumerate(GRADIENTS, start=1):
        w *= 1 - RATE * decay
        g = gradient + l2 * w
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        # As in its section 2: epsilon stands beside the root before that is corrected.
        w = w - RATE * np.sqrt(1 - b2**t) / (1 - b1**t) * m / (np.sqrt(v) + epsilon)
    return w


def sgd(momentum=0.9, nesterov=False, l2=0.0):
    """PyTorch's documented update, which is Keras's while the rate stays the same."""
    w, b = START.copy(), 0.0
    for gradient in GRADIENTS:
        g = gradient + l2 * w
        b = momentum * b + g
        w = w - RATE * (g + momentum * b if nesterov else b)
    return w


CASES = {
    "adam": adam(),
    "adam:weight_decay=0.3": adam(l2=0.3),
    "adam:beta_1=0.5,epsilon=0.01": adam(b1=0.5, epsilon=0.01),
    "adamw:weight_decay=0.3": adam(decay=0.3),
    "sgd": sgd(),
    "sgd:momentum=0,weight_decay=0.3": sgd(momentum=0, l2=0.3),
    "sgd:nesterov=true,weight_decay=0.3": sgd(nesterov=True, l2=0.3),
}


@pytest.mark.jax
@pytest.mark.parametrize("text", CASES)
@pytest.mark.parametrize("spared", [False, True])
def test_steps_are_those_of_its_equations(text, spared):
    optimizer = OPTIMIZERS.make(text).build()
    optimizer.learning_rate.assign(RATE)
    weight, other = (keras.Variable(np.float32(START)) for _ in range(2))
    optimizer.exclude_from_weight_decay(var_list=[other] if spared else [])
    for gradient in GRADIENTS:
        gradients = [keras.ops.convert_to_tensor(np.float32(gradient))] * 2
        optimizer.apply(gradients, [weight, other])
    np.testing.assert_allclose(weight.numpy(), CASES[text], rtol=1e-5, atol=1e-5)
    expected = {"adam:w": CASES["adam"], "adamw:": CASES["adam"]}
    plain = next((w for name, w in expected.items() if spared and text.startswith(name)), None)
    if plain is not None:  # of the other nothing decays
        np.testing.assert_allclose(other.numpy(), plain, rtol=1e-5, atol=1e-5)


class _Owning(BCE):
    """A loss with an optimiser of its own."""

    def optimizer(self):
        return keras.optimizers.SGD(0.0)


def test_a_loss_that_brings_its_own_refuses_another():
    head, _ = head_and_batches()
    with pytest.raises(UserError, match=r"its own\. Received: --optimizer sgd:momentum=0\.5\. L"):
        Trainer(head, loss=_Owning(), optimizer=OPTIMIZERS.make("sgd:momentum=0.5"))
    assert isinstance(Trainer(head, loss=_Owning()).model.optimizer, keras.optimizers.SGD)


@pytest.mark.jax
def test_the_rate_falls_after_the_chosen_epochs_and_a_killed_fit_lowers_it_once(
    tmp_path, monkeypatch
):
    head, train = head_and_batches()
    trainer = Trainer(head, loss=BCE(), optimizer=OPTIMIZERS.make("sgd:momentum=0.9"))
    schedule = Schedule(6, 0.5, 0, 0.1, 0, step_epochs=(2, 4))

    def fit(**how):
        table = trainer.fit(train, None, schedule, steps=3, seed=0, title="t", **how)
        return [table.to_numpy(), *head.get_weights(), table["learning_rate"].to_numpy()]

    *whole, rates = fit()
    np.testing.assert_allclose(rates, [0.5, 0.5, 0.05, 0.05, 0.005, 0.005], rtol=1e-6)
    for killed in (1, 2, 3):
        path = tmp_path / f"{killed}.npz"
        *again, _ = killed_fit(fit, path, monkeypatch, killed)
        assert all(map(np.array_equal, whole, again))


def test_float16_s_scaled_gradients_decay_as_float32_s():
    ends = []
    for precision in ("float32", "float16"):
        head, train = head_and_batches()
        optimizer = OPTIMIZERS.make("sgd:momentum=0,weight_decay=0.5")
        trainer = Trainer(head, loss=BCE(), optimizer=optimizer, compute=Compute(precision))
        trainer.fit(train, None, Schedule(2, 0.1, 0, 0.1, 0), steps=3, seed=0, title="t")
        ends.append(head.get_weights()[0])
    np.testing.assert_allclose(*ends, rtol=1e-3)
