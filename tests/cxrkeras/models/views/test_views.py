"""Which pixels the crops hold, what is refused, what a model says of itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrkeras.models.network import TARGET
from cxrkeras.models.summary.cost import multiply_adds
from cxrkeras.registry import VIEWS
from cxrkeras.runs.description import make_experiment
from cxrkeras.training.plan import resolve
from data_prep.errors import UserError
from tests.cxrkeras.networks import network_of


def centre_crop(image, side):
    """torchvision.transforms.functional.center_crop, in its words."""
    top, left = (round((extent - side) / 2.0) for extent in image.shape)
    return image[top : top + side, left : left + side]


def ten_crop(image, side):
    """torchvision.transforms.functional.ten_crop: five crops, then those of the mirror image."""
    found = []
    for one in (image, image[:, ::-1]):
        found += [one[:side, :side], one[:side, -side:], one[-side:, :side], one[-side:, -side:]]
        found.append(centre_crop(one, side))
    return found


@given(side=st.integers(32, 40), rest=st.integers(0, 9))
def test_the_crops_are_torchvision_s(side, rest):
    size = side + rest
    image = np.arange(size**2).reshape(size, size)

    def cut(name):
        for top, left, mirrored in VIEWS.make(f"{name}:{side}").crops(size):
            part = image[top : top + side, left : left + side]
            yield (part[:, ::-1] if mirrored else part).tobytes()

    assert list(cut("centre")) == [centre_crop(image, side).tobytes()]
    found, wanted = list(cut("tencrop")), [one.tobytes() for one in ten_crop(image, side)]
    assert sorted(found) == sorted(wanted)


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"views": "centre", "image_size": 200}, r"at least 224 px\. Received: 200\. .*side=200"),
        (
            {"views": "centre:64", "image_size": 200, "backbone": "inception_v3"},
            r"inception_v3 needs .* at least 75 px\. Received: 64\. Raise side of --views\.",
        ),
        (
            {"views": "tencrop:64", "image_size": 100, "recipe": "study_fusion"},
            "study_fusion learns from one view of a film.*Received: --views tencrop:side=64",
        ),
        ({"views": "five"}, "--views must be one of"),
        ({"views": "centre:side=31"}, "side must be greater than or equal to 32"),
    ],
)
def test_what_can_not_be_is_refused(choices, said):
    with pytest.raises(UserError, match=said) as refused:
        resolve(make_experiment({"random_trunk": True, **choices}))
    assert "\n" not in str(refused.value)


def test_a_head_that_computes_maps_anew_takes_ten_crops_of_frozen_trunks():
    choices = {"views": "tencrop:64", "image_size": 100, "recipe": "frozen", "head": "lse"}
    assert resolve(make_experiment({"random_trunk": True, **choices})).architecture.seen == 64


def test_the_whole_image_is_no_choice():
    usual, spelled = make_experiment({}), make_experiment({"views": "whole"})
    assert usual.digest == spelled.digest
    assert "views" not in usual.placeless()
    assert make_experiment({"views": "centre"}).digest != usual.digest


@pytest.mark.usefixtures("pocket")
def test_ten_crops_cost_ten_times_one():
    costs = {
        views: multiply_adds(network_of(("pocket",), 40, {TARGET: 3}, views=views).probability)
        for views in ("centre:32", "tencrop:32", "whole")
    }
    assert costs["tencrop:32"] == 10 * costs["centre:32"]
    assert costs["centre:32"] < costs["whole"]
