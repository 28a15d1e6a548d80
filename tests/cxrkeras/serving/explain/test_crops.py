"""Maps of a network that sees crops lie where the first crop lies; probabilities are of all."""

import numpy as np
import pytest

from cxrkeras.models.network import TARGET
from cxrkeras.registry import VIEWS
from cxrkeras.serving.explain.folds import Explainers
from cxrkeras.serving.predictor.loaded import load_model
from tests.cxrkeras.backbones import known
from tests.cxrkeras.networks import network_of
from tests.cxrkeras.serving.served_runs import LABELS, write_model

SIZE, SIDE = 64, 48


def small(name: str) -> str:
    return f"{name}:side={SIDE}" if "side" in VIEWS.load(name).model_fields else name


@pytest.mark.parametrize(
    ("views", "head"),
    [
        ("centre", "gap"),
        ("tencrop", "lse:channels=4"),
        pytest.param("centre", "lse:channels=4", marks=pytest.mark.slow),
        pytest.param("tencrop", "gap", marks=pytest.mark.slow),
    ],
)
def test_a_map_lies_in_the_first_crop_and_the_probability_is_the_prediction(
    views, head, tmp_path, monkeypatch
):
    known.add("steps", monkeypatch)
    text = small(views)
    given = {"head": head, "image_size": SIZE}
    network = network_of(("steps",), SIZE, {TARGET: len(LABELS)}, head=head, views=text)
    alone = network_of(("steps",), SIDE, {TARGET: len(LABELS)}, head=head)
    layer, rng = network.logits.get_layer(TARGET), np.random.default_rng(0)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
    alone.logits.set_weights(network.logits.get_weights())
    network.probability.save(write_model(tmp_path / "crops", views=text, **given) / "model.keras")
    alone.probability.save(
        write_model(tmp_path / "alone", **{**given, "image_size": SIDE}) / "model.keras"
    )
    images = rng.uniform(0, 255, (3, SIZE, SIZE)).astype(np.float32)
    model = load_model(tmp_path / "crops")
    explainers = Explainers(model, None)
    start = (SIZE - SIDE) // 2
    middle = slice(start, start + SIDE)
    wanted = Explainers(load_model(tmp_path / "alone"), None).of(0)
    inner = wanted.explain(images[:, middle, middle])
    for fold in (0, None):
        told = explainers.of(fold).explain(images, [1, 0])
        np.testing.assert_allclose(told.probability, model.predict(images)[:, [1, 0]], atol=1e-6)
        cells = told.maps.shape[-1]
        edge = cells * start // SIZE
        within = told.maps[..., edge : cells - edge, edge : cells - edge]
        finer = within.shape[-1] // inner.maps.shape[-1]
        grown = inner.maps[:, [1, 0]].repeat(finer, axis=2).repeat(finer, axis=3)
        np.testing.assert_allclose(within, grown, atol=1e-3)
        outside = told.maps.copy()
        outside[..., edge : cells - edge, edge : cells - edge] = np.nan
        assert np.nanmax(outside) <= 0
        np.testing.assert_allclose(told.scores, inner.scores[:, [1, 0]], atol=1e-4)
