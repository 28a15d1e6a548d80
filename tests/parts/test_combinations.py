"""Backbones, heads, losses and inputs go together: each combination learns a step, is saved, and
answers alike in a process that knows nothing of it; or it is refused by name.

The quick set holds each head, loss, further input and tiny trunk once; the slow ones each pair of
these, and rows drawn of every backbone. A network on a tiny trunk learns from one loss after the
other and is saved in the end: which loss it was shows in a file's values alone.
"""

import json
import random
import subprocess
import sys
from collections import Counter
from functools import cached_property
from itertools import combinations, groupby, product
from typing import NamedTuple

import keras
import numpy as np
import pytest

from cxrkeras.data.inputs import IMAGE, KNOWN, UNKNOWN
from cxrkeras.data.labels.entries import MASKED
from cxrkeras.models.backbones import Backbone
from cxrkeras.models.network import TARGET, build_network, truth_name
from cxrkeras.registry import BACKBONES, HEADS, LOSSES
from cxrkeras.training.plan import resolve
from cxrkeras.training.recipes.shared.saving import save_keras
from data_prep.errors import UserError
from tests.cxrkeras.backbones import known
from tests.cxrkeras.conftest import on_jax
from tests.parts.test_backbones import ON_JAX, OURS

__all__ = ["on_jax"]

SIDE = 64
"""What a trunk sees, at least: two places a side at stride 32."""
DRAWN = 5
"""Rows of each backbone in the slow set: over 200, without those that are left out."""
MOST = 100_000_000
"""The weights of a trunk that is left out above, for the memory of whoever runs this."""
TINY = ("steps", "tiny")
"""Backbones of the tests' own: with a map at each stride, and with one at stride 4 alone."""
TARGETS = np.array(
    [[1, 0, 0], [0, 1, 1], [1, 1, 0], [0, 0, 1], [1, 0, MASKED], [0, 1, 0]], np.float32
)
FRESH = """
import gc, json, sys
from pathlib import Path
import numpy as np
from cxrkeras import runtime
runtime.own_process()
runtime.start()
import keras
wrapped = {"sklearn", "scipy.stats", "jax"} & set(sys.modules)
print(json.dumps({"wrapped": sorted(wrapped), "collects": gc.get_threshold()[0]}), flush=True)
import sklearn
assert sklearn.__version__
from cxrkeras.serving.predictor.keras_file import load_keras
gc.freeze()  # what is there by now need not be looked through for garbage
for line in sys.stdin:
    folder, packages = json.loads(line)
    try:
        model = load_keras(Path(folder) / "model.keras", packages)
        given = dict(np.load(folder + "/given.npz"))
        said = model(given if len(given) > 1 else given["image"], training=False)
        np.save(folder + "/said.npy", keras.ops.convert_to_numpy(said))
        print("answered", flush=True)
    except Exception as error:
        print(json.dumps(repr(error)), flush=True)
    Path(folder, "model.keras").unlink()
    keras.backend.clear_session()
"""


class Row(NamedTuple):
    """A combination; `inputs` are those beside the image."""

    backbone: str
    head: str
    inputs: tuple[str, ...]
    loss: str

    @property
    def network(self) -> tuple:
        """What is built for it."""
        return self[:3]

    def options(self) -> dict[str, str]:
        """As a description of a run has them."""
        inputs = ",".join((IMAGE, *self.inputs))
        return {"backbone": self.backbone, "head": self.head, "inputs": inputs, "loss": self.loss}


def once() -> list[Row]:
    """Each value once at least, in as many networks as there are heads."""
    heads, losses = HEADS.names(), LOSSES.names()
    rows = []
    for n in range(max(len(heads), len(losses))):
        h = n % len(heads)
        inputs = tuple(name for place, name in enumerate(KNOWN) if h >> place & 1)
        rows.append(Row(TINY[h % 2], heads[h], inputs, losses[n % len(losses)]))
    return sorted(rows, key=lambda row: row.network)


def paired() -> list[Row]:
    """Each pair of values: all heads with all losses, each head's losses shared by two networks.

    One network of a head has the inputs and the tiny trunk that the other hasn't; which these are
    turns from head to head.
    """
    rows = []
    for n, head in enumerate(HEADS.names()):
        told = [bool((n % 4) >> place & 1) for place in range(len(KNOWN))]
        for m, loss in enumerate(LOSSES.names()):
            other = (m + n // 4) % 2
            inputs = tuple(name for name, on in zip(KNOWN, told, strict=True) if on != other)
            rows.append(Row(TINY[(n + n // 4 + other) % 2], head, inputs, loss))
    return sorted(rows, key=lambda row: row.network)


def drawn(backbone: str) -> list[Row]:
    """Some combinations of a backbone, by a seed."""
    subsets = [told for n in range(len(KNOWN) + 1) for told in combinations(KNOWN, n)]
    possible = list(product([backbone], HEADS.names(), subsets, LOSSES.names()))
    rows = random.Random(backbone).sample(possible, DRAWN)
    return sorted(Row(*row) for row in rows)


@pytest.fixture(scope="module", autouse=True)
def our_backbones():
    """`--backbone steps`, beside `tiny`."""
    with pytest.MonkeyPatch.context() as patch:
        known.add("steps", patch)
        yield


@pytest.fixture(autouse=True)
def step_by_step(monkeypatch):
    """Nothing is traced, which would take longer than the one step; a trunk is built once."""
    if not ON_JAX:  # which would compile each operation
        always = property(lambda self: True, lambda self, value: None)
        monkeypatch.setattr(keras.Model, "run_eagerly", always)
    trunks, build = {}, Backbone.trunk

    def trunk(part, image_size, *, name=None, weights=None):
        key = (str(part), image_size, name)
        if key not in trunks:
            trunks[key] = build(part, image_size, name=name, weights=weights)
        return trunks[key]

    monkeypatch.setattr(Backbone, "trunk", trunk)
    yield
    keras.backend.clear_session()


class Fresh:
    """A process that loads one file after the other, while this one goes on.

    It begins as a command's does, and tells what it had imported by then.
    """

    def __init__(self):
        how = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([sys.executable, "-c", FRESH], **how)

    def ask(self, folder, packages) -> None:
        """Let it answer for a folder."""
        print(json.dumps([str(folder), packages]), file=self.process.stdin, flush=True)

    @cached_property
    def begun(self) -> dict:
        """Its first line."""
        return json.loads(self.process.stdout.readline())

    def answer(self, folder) -> np.ndarray:
        """What it said; folders in the order in which they were asked."""
        assert self.begun
        line = self.process.stdout.readline()
        assert line == "answered\n", line
        return np.load(folder / "said.npy")


@pytest.fixture(scope="module")
def fresh():
    """One such process."""
    found = Fresh()
    with found.process as process:
        yield found
        process.stdin.close()
        assert process.wait(60) == 0


def go_together(rows, experiment, folder, fresh) -> Counter:
    """Build, teach, save and ask; all that is wrong is said at once."""
    wrong, asked, counts = [], [], Counter()
    for number, (_, group) in enumerate(groupby(rows, key=lambda row: row.network)):
        group, network = list(group), None
        for row in group:
            try:
                plan = resolve(experiment(**row.options(), image_size=side_of(row)))
                network = network or build_network(plan.architecture, {TARGET: TARGETS.shape[1]})
                given = made_up(plan.architecture)
                learns(network, plan.loss, given)
            except UserError as refusal:
                counts["refused"] += 1
                wrong += [] if is_named(row, str(refusal)) else [f"{row}: unnamed: {refusal}"]
            except Exception as error:  # what isn't named is wrong, and the others go on
                wrong.append(f"{row}: {error!r}")
            else:
                counts["learnt"] += 1
        if network is not None:
            said = keras.ops.convert_to_numpy(network.probability(given, training=False))
            place = folder / str(number)
            place.mkdir()
            facts = save_keras(network.probability, place)
            np.savez(place / "given.npz", **(given if isinstance(given, dict) else {IMAGE: given}))
            fresh.ask(place, facts.get("package", []))
            asked.append((group[0], place, said))
    for row, place, said in asked:
        assert said.shape == TARGETS.shape
        assert ((said >= 0) & (said <= 1)).all()
        if row.backbone in TINY:  # a deep trunk of random weights may give every image the same
            assert np.ptp(said, axis=0).max() > 0
        far = np.abs(fresh.answer(place) - said).max()
        counts["answered"] += 1
        wrong += [f"{row.network}: {far} from what it learnt"] if far > 1e-5 else []
    assert not wrong, "\n".join(wrong)
    return counts


def learns(network, loss, given) -> None:
    """One step of training by Keras moves some weights, and the loss is a number."""
    layer, labels = loss.layer(), TARGETS.shape[1]
    layer(np.zeros((1, labels), np.float32), np.zeros((1, labels), np.float32))
    if hasattr(layer, "counts"):
        layer.counts.assign([[5.0, 20.0]] * labels)
    model, told = network.logits, given
    if network.teaching is not None:
        model = network.teaching
        told = given if isinstance(given, dict) else {IMAGE: given}
        told = told | {truth_name(TARGET): TARGETS}
    optimizer = loss.optimizer() or keras.optimizers.SGD()
    optimizer.learning_rate = 1e-2
    model.compile(optimizer, loss={TARGET: lambda targets, logits: layer(targets, logits)})
    start = model.get_weights()
    assert np.isfinite(model.train_on_batch(told, {TARGET: TARGETS}))
    assert any((now != was).any() for now, was in zip(model.get_weights(), start, strict=True))


def made_up(architecture):
    """Grey noise, and where they are told, persons of whom something is unknown."""
    rng, count = np.random.default_rng(0), len(TARGETS)
    side = architecture.image_size
    given = {IMAGE: rng.integers(0, 256, (count, side, side, 1)).astype(np.float32)}
    for name in architecture.inputs[1:]:
        given[name] = rng.choice([UNKNOWN, 0.0, 1.0], (count, 1)).astype(np.float32)
    return given if len(given) > 1 else given[IMAGE]


def side_of(row: Row) -> int:
    """Of the image, so that the trunk sees enough."""
    return HEADS.make(row.head).shrinks * max(SIDE, BACKBONES.make(row.backbone).smallest())


def is_named(row: Row, said: str) -> bool:
    """Whether a refusal says which part it is."""
    return any(f"--{kind} {name}" in said for kind, name in row.options().items())


@pytest.mark.parametrize(("rows", "together"), [(once, 1), (paired, 2)])
def test_the_rows_hold_each_value_or_each_pair_of_values(rows, together):
    rows = [
        (row.backbone, row.head, row.loss, *(name in row.inputs for name in KNOWN))
        for row in rows()
    ]
    axes = (TINY, HEADS.names(), LOSSES.names(), *((False, True) for _ in KNOWN))
    for some in combinations(range(len(axes)), together):
        found = {tuple(row[axis] for axis in some) for row in rows}
        assert found == set(product(*(axes[axis] for axis in some)))


@pytest.mark.skipif(ON_JAX, reason="there it runs on what TensorFlow wraps")
def test_a_process_of_our_own_leaves_out_what_tensorflow_and_keras_only_wrap(fresh):
    """scikit-learn, imported later, is whole, and the networks of all tests answer beside it."""
    assert fresh.begun == {"wrapped": [], "collects": 100_000}


@pytest.mark.parametrize("rows", [once, pytest.param(paired, marks=pytest.mark.slow)])
def test_parts_go_together(rows, experiment, tmp_path, fresh):
    counts = go_together(rows(), experiment, tmp_path, fresh)
    assert counts["learnt"] == len(rows())


def test_a_part_that_makes_no_sense_is_refused_by_name(experiment, tmp_path, fresh):
    """Attention over the one place of a map; and a loss with an optimiser beside another."""
    row = Row("steps", "query2label", (), "auc_margin")

    def small(**options):
        return experiment(**options | {"image_size": 32})

    counts = go_together([row], small, tmp_path, fresh)
    assert counts == {"refused": 1}
    with pytest.raises(UserError, match="--loss auc_margin brings an optimiser"):
        resolve(experiment(**row.options(), optimizer="sgd"))


@pytest.mark.slow
@pytest.mark.parametrize("backbone", sorted(OURS))
def test_drawn_parts_go_together(backbone, experiment, tmp_path, fresh):
    if BACKBONES.load(backbone).model_fields.keys() & {"preset"}:
        pytest.skip("it has no network of its own")
    part = BACKBONES.make(backbone)
    if (count := part.trunk(max(SIDE, part.smallest()), name=backbone).count_params()) > MOST:
        pytest.skip(f"its {count:,} weights are over {MOST:,}")
    print(backbone, dict(go_together(drawn(backbone), experiment, tmp_path, fresh)))


@pytest.mark.slow
@pytest.mark.skipif(ON_JAX, reason="this is that process")
def test_parts_go_together_on_jax(on_jax):
    on_jax(f"{__file__}::test_parts_go_together")
