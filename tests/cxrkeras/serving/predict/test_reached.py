"""What a point reaches, told by any `model.json` that its schema lets through."""

import pytest

from cxrkeras.serving.predict.reached import reached

SHARES = {"sensitivity": 0.5, "specificity": 0.6}


@pytest.mark.parametrize(
    ("held_out", "where"),
    [
        (SHARES | {"n": 1200, "positives": 30}, "on the held-out test set (1,200 images)."),
        (SHARES | {"n": None}, "on the held-out test set."),
        (SHARES, "on the held-out test set."),
    ],
)
def test_the_test_set_is_named_with_its_size_where_that_is_known(held_out, where):
    found = reached({"a": {"held_out": held_out}, "b": {}}, ["a", "b"], 1)
    assert (found.sensitivity, found.specificity) == ((0.5, None), (0.6, None))
    assert found.where == where
