"""Backbones, heads, losses and inputs go together: each combination learns, is saved, and answers
alike in a process that knows nothing of it; or it is refused by name.
"""

import json
import random
import subprocess
import sys
from functools import cache as once
from itertools import combinations, product

import keras
import numpy as np
import pytest

from cxrkeras.data.dataset import load_dataset
from cxrkeras.data.inputs import IMAGE, KNOWN
from cxrkeras.registry import BACKBONES, HEADS, LOSSES
from data_prep.errors import UserError
from tests.cxrkeras.backbones import known
from tests.cxrkeras.conftest import on_jax
from tests.cxrkeras.networks import session_of
from tests.parts.test_backbones import ON_JAX, OURS

__all__ = ["on_jax"]

BATCH, SIDE = 6, 48
SAMPLE = 200
MOST = 100_000_000
"""The weights of a trunk, which a fit holds several times, with its start and Adam's means."""
FRESH = """
import json, sys
from pathlib import Path
import numpy as np
from cxrkeras import runtime
runtime.start()
import keras
from cxrkeras.serving.predictor.keras_file import load_keras
for line in sys.stdin:
    folder, packages = json.loads(line)
    model = load_keras(Path(folder) / "model.keras", packages)
    given = dict(np.load(folder + "/given.npz"))
    said = model(given if len(given) > 1 else given["image"], training=False)
    np.save(folder + "/said.npy", keras.ops.convert_to_numpy(said))
    keras.backend.clear_session()
    print("answered", flush=True)
"""
ALL = ",".join((IMAGE, *KNOWN))
INPUTS = (IMAGE, *(f"{IMAGE},{name}" for name in KNOWN), ALL)
TINY = ("steps", "tiny")
"""Backbones of the tests' own: with a map at each stride, and with one at stride 4 alone."""
KINDS = ("backbone", "head", "loss", "inputs")
AXES = (sorted(OURS), HEADS.names(), LOSSES.names(), INPUTS)


def pairwise(*axes):
    """Few combinations that hold each pair of values of two axes (greedily)."""
    possible = list(product(*axes))
    random.Random(0).shuffle(possible)
    pairs = {one: set(combinations(enumerate(one), 2)) for one in possible}
    missing, chosen = set().union(*pairs.values()), []
    while missing:
        best = max(possible, key=lambda one: len(pairs[one] & missing))
        chosen.append(best)
        missing -= pairs[best]
    return chosen


def paired():
    """All pairs of heads, losses and inputs, on tiny backbones in turn."""
    found = pairwise(HEADS.names(), LOSSES.names(), (IMAGE, ALL))
    return [(TINY[n % len(TINY)], *rest) for n, rest in enumerate(found)]


def quick():
    """Each head, loss and further input at least once, on tiny backbones, and a real backbone."""
    axes = (TINY, HEADS.names(), LOSSES.names(), (ALL, IMAGE, *INPUTS[1:]))
    found = [tuple(axis[n % len(axis)] for axis in axes) for n in range(max(map(len, axes)))]
    return [*found, ("mobilenet_v3_small", *found[0][1:])]


def sampled():
    """A seeded sample of all that there is."""
    possible = list(product(*AXES))
    return random.Random(0).sample(possible, min(SAMPLE, len(possible)))


@pytest.fixture(scope="module", autouse=True)
def our_backbones():
    """`--backbone steps`, beside `tiny`."""
    with pytest.MonkeyPatch.context() as patch:
        known.add("steps", patch)
        yield


@pytest.fixture(autouse=True)
def step_by_step(monkeypatch):
    """Nothing is traced, which would take longer than the one step; and nothing is left."""
    if not ON_JAX:  # which would compile each operation
        always = property(lambda self: True, lambda self, value: None)
        monkeypatch.setattr(keras.Model, "run_eagerly", always)
    yield
    keras.backend.clear_session()


@pytest.fixture(scope="module")
def fresh():
    """`fresh(folder, packages)`: what the model saved there answers in another process."""
    process = subprocess.Popen(
        [sys.executable, "-c", FRESH], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def answers(folder, packages):
        print(json.dumps([str(folder), packages]), file=process.stdin, flush=True)
        assert process.stdout.readline() == "answered\n"
        return np.load(folder / "said.npy")

    with process:
        yield answers
        process.stdin.close()
        assert process.wait(60) == 0


@pytest.fixture
def session(experiment, data):
    """`session(backbone, head, loss, inputs)`: what a recipe learns from, of the tiny target."""

    def make(backbone, head, loss, inputs):
        if BACKBONES.load(backbone).model_fields.keys() & {"preset"}:
            pytest.skip("it has no network of its own")
        choices = dict(zip(KINDS, (backbone, head, loss, inputs), strict=True))
        side = max(SIDE, BACKBONES.make(backbone).smallest())
        how = {"image_size": side, "batch_size": BATCH, "batch_norm": "never"}
        return session_of(experiment(**choices, **how), load_dataset(data / "target"))

    return make


def learns_and_answers(session, chosen, folder, fresh):
    """One step of training moves each answer's weights, and the file answers as the fit did."""
    try:
        session = session(*chosen)
        fitter = session.plan.recipe.fitter(session)
    except UserError as refusal:
        said = str(refusal)
        named = [f"--{kind} {name}" for kind, name in zip(KINDS, chosen, strict=True)]
        if not any(part in said for part in named):
            pytest.fail(f"no part is named: {said}")
        return
    rows, nobody, start = np.arange(BATCH), np.arange(0), fitter.weights()
    learned = fitter.fit(
        rows,
        nobody,
        session.target.targets,
        epochs=1,
        learning_rate=1e-2,
        seed=0,
        title="t",
    )
    assert np.isfinite(learned.history["loss"]).all()
    assert any((now != was).any() for now, was in zip(fitter.weights(), start, strict=True))
    said = fitter.predict(rows)
    assert said.shape == (BATCH, 2)
    assert ((said >= 0) & (said <= 1)).all()
    if chosen[0] in TINY:  # a deep trunk of random weights may give every image the same
        assert np.ptp(said, axis=0).max() > 0
    facts = fitter.save(folder)
    given = session.images.take(rows)
    given = given if isinstance(given, dict) else {IMAGE: given}
    np.savez(folder / "given.npz", **{name: np.asarray(value) for name, value in given.items()})
    found = fresh(folder, facts.get("package", []))
    np.testing.assert_allclose(found, said, rtol=0, atol=1e-5)


@pytest.mark.parametrize("chosen", quick(), ids="-".join)
def test_each_part_goes_with_others(chosen, session, tmp_path, fresh):
    learns_and_answers(session, chosen, tmp_path, fresh)


@pytest.mark.slow
@pytest.mark.parametrize("chosen", paired(), ids="-".join)
def test_pairs_of_parts_go_together(chosen, session, tmp_path, fresh):
    learns_and_answers(session, chosen, tmp_path, fresh)


@pytest.mark.slow
@pytest.mark.parametrize("chosen", sampled(), ids="-".join)
def test_any_parts_go_together(chosen, session, tmp_path, fresh):
    if weights_of(chosen[0]) > MOST:
        pytest.skip(f"{chosen[0]} has over {MOST:,} weights")
    learns_and_answers(session, chosen, tmp_path, fresh)


@pytest.mark.slow
@pytest.mark.skipif(ON_JAX, reason="this is that process")
def test_each_part_goes_with_others_on_jax(on_jax):
    on_jax(__file__, "-m", "not slow")


@once
def weights_of(backbone: str) -> int:
    part = BACKBONES.make(backbone)
    return part.trunk(part.smallest()).count_params()
