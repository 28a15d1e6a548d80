"""A shallow branch on the whole image beside a deep trunk on a smaller one."""

from itertools import pairwise

import keras
import numpy as np
import pytest

from cxrkeras.models.architecture import Architecture
from cxrkeras.models.network import TARGET, build_network
from cxrkeras.registry import BACKBONES, HEADS, VIEWS
from data_prep.errors import UserError
from tests.cxrkeras.backbones import known
from tests.cxrkeras.networks import network_of

SIDE = 96


@pytest.fixture(autouse=True)
def _steps(monkeypatch):
    known.add("steps", monkeypatch)


def numbers(tensor):
    return keras.ops.convert_to_numpy(tensor)


def image():
    return np.random.default_rng(0).uniform(0, 255, (1, SIDE, SIDE, 1)).astype(np.float32)


def test_its_weights_and_maps_are_those_of_its_branch():
    network = network_of(("steps",), SIDE, {TARGET: 2}, head="multiscale")
    widths = (3, 32, 64, 128)
    own = sum(9 * a * b + 4 * b for a, b in pairwise(widths))
    assert network.features.count_params() - network.trunks[0].count_params() == own
    sides = [network.features.get_layer(f"shallow_1_{n}").output.shape[1] for n in (1, 2, 3)]
    assert sides == [48, 24, 12]
    assert network.features.get_layer("joined_1").output.shape == (None, 3, 3, 128 + 16)


def test_only_the_trunks_see_a_smaller_image():
    network = network_of(("steps",), SIDE, {TARGET: 2}, head="multiscale:deep=2")
    (trunk,) = network.trunks
    assert trunk.input_shape == (None, SIDE // 2, SIDE // 2, 3)
    assert network.features.get_layer("shallow_1_1").output.shape == (None, 48, 48, 32)
    smaller = image().reshape(1, SIDE // 2, 2, SIDE // 2, 2, 1).mean(axis=(2, 4))
    expected = numbers(trunk(np.repeat(smaller / 127.5 - 1, 3, axis=3))).mean(axis=(1, 2))
    found = numbers(network.features(image()))
    np.testing.assert_allclose(found[:, 128:], expected, rtol=1e-4, atol=1e-5)


def test_a_side_that_does_not_divide_is_refused():
    with pytest.raises(UserError, match="its side must be a multiple of that"):
        network_of(("steps",), 97, {TARGET: 2}, head="multiscale:deep=2")
    parts = (BACKBONES.make("steps"),), HEADS.make("multiscale:deep=2"), 96
    with pytest.raises(UserError, match=r"Received: side of --views 95\."):
        build_network(Architecture(*parts, views=VIEWS.make("centre:side=95")), {TARGET: 2})
