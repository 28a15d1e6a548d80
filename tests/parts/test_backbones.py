"""What a backbone must be: a trunk from its smallest size up, whose maps are known by stride."""

import math

import keras
import numpy as np
import pytest

from cxrkeras.models.network import TARGET
from cxrkeras.registry import BACKBONES
from data_prep.errors import UserError
from tests.cxrkeras.networks import network_of
from tests.cxrkeras.plain_keras import foreign_classes
from tests.parts.each import each, made, part_of

QUICK = {"mobilenet_v3_small", "resnet50"}  # test_strides.py has DenseNet121's maps by name
ON_JAX = keras.backend.backend() == "jax"
LOST = 4
"""Places of a map that layers without padding cost at most: Inception's stem loses most."""
OURS = {name for name in BACKBONES.names() if not BACKBONES.about(name).package}

every_backbone = each(BACKBONES)


@each(BACKBONES, slow=OURS - {"mobilenet_v3_small"})
def test_it_builds_at_its_smallest_size(part_id):
    part, (_, name) = made(part_id), part_of(part_id)
    smallest = part.smallest()
    network = network_of((str(part),), smallest, {TARGET: 2})
    (trunk,) = network.trunks
    assert trunk.name == name
    height, width, channels = trunk.output_shape[1:]
    assert height == width >= 1
    images = np.full((2, smallest, smallest, 1), 128, np.float32)
    # Step by step JAX would compile each.
    run = network.features.predict_on_batch if ON_JAX else network.features
    features = keras.ops.convert_to_numpy(run(images))
    assert features.shape == (2, channels)
    assert np.isfinite(features).all()
    assert not foreign_classes(network.probability)
    assert part.trunk(smallest, name="second").name == "second"


@each(BACKBONES, slow=OURS - QUICK)
def test_its_maps_have_the_sides_of_their_strides(part_id):
    """Every other pixel of the last: no more places than S / stride, and few less."""
    part = made(part_id)
    side = max(96, part.smallest())
    trunk = part.trunk(side)
    maps = part.maps(trunk)
    assert {len(key) for key in maps} == {3}
    assert list(maps) == sorted(maps)
    assert [*maps.values()][-1] is trunk.outputs[0]
    for key, tensor in maps.items():
        most = math.ceil(side / int(key[1:]))
        height, width = tensor.shape[1:3]
        assert height == width
        assert most - LOST <= height <= most, key


@each(BACKBONES, slow=OURS)
def test_its_weights_are_in_one_place_at_any_size(part_id):
    """The same tensors in the same order, so that weights go from one size to another."""
    part = made(part_id)
    one, two = part.trunk(part.smallest()), part.trunk(part.smallest() + 61)
    assert [w.shape for w in one.weights] == [w.shape for w in two.weights]


@every_backbone
def test_an_image_too_small_is_refused(part_id):
    part = made(part_id)
    smallest = part.smallest()
    for refuse in (part.check, part.trunk):
        with pytest.raises(UserError, match=f"at least {smallest} px. Received: {smallest - 1}"):
            refuse(smallest - 1)
    part.check(smallest)


@every_backbone
def test_weights_that_nobody_published_are_refused(part_id):
    part = made(part_id)
    if part.published:
        pytest.skip("it has published weights")
    with pytest.raises(UserError, match=r"weights (of|for) .*--source imagenet"):
        part.trunk(part.smallest(), weights="imagenet")
