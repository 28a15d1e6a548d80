"""Zones of boxes as further outputs: what they teach, and what is left of them."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrkeras.data.dataset import load_dataset
from cxrkeras.data.labels.entries import MASKED
from cxrkeras.data.pipeline import labelled_batches
from cxrkeras.evaluation.boxes.known_boxes import KnownBoxes
from cxrkeras.models.network import TARGET
from cxrkeras.training.plan import resolve
from cxrkeras.training.recipes.shared.zones import zone_targets, zones
from data_prep.errors import UserError
from tests.cxrkeras.networks import session_of
from tests.cxrkeras.training.tiny import write_dataset

HOW = {"epochs": 2, "learning_rate": 3e-3, "seed": 5, "title": "t"}


def test_a_box_lies_in_the_zones_of_its_centre_and_of_a_quarter_of_its_area():
    def found(*box):
        return zones(np.array([box])).tolist()

    assert found(0.1, 0.1, 0.1, 0.1) == [1, 0, 0, 0, 0, 0]  # left, upper
    assert found(0.8, 0.8, 0.2, 0.2) == [0, 0, 0, 0, 0, 1]
    assert found(0.3, 0.4, 0.4, 0.2) == [0, 1, 0, 0, 1, 0]  # both halves, middle
    assert found(0.4, 0.4, 0.4, 0.2) == [0, 1, 0, 0, 1, 0]  # a quarter of it in the left half
    assert found(0.41, 0.4, 0.4, 0.2) == [0, 0, 0, 0, 1, 0]
    assert found(0, 0, 1, 1) == [0, 0, 0, 0, 1, 0]  # no quarter anywhere: its centre


@given(st.lists(st.tuples(*[st.floats(0, 0.49)] * 2, *[st.floats(0.01, 0.5)] * 2), min_size=1))
def test_each_box_lies_somewhere_and_more_boxes_in_no_fewer_zones(boxes):
    apart = [zones(np.array([box])) for box in boxes]
    assert all(one.any() for one in apart)
    np.testing.assert_array_equal(zones(np.array(boxes)), np.max(apart, axis=0))


def test_what_has_no_box_is_masked_and_what_is_never_boxed_has_no_output():
    known = KnownBoxes({("a", "Nodule"): np.array([[0.1, 0.1, 0.1, 0.1]])}, ("Nodule",))
    found = zone_targets(known, ["images/a.png", "b.png"], ["Mass", "Nodule"])
    assert found.tolist() == [[1, 0, 0, 0, 0, 0], [MASKED] * 6]
    assert zone_targets(known, ["b.png"], ["Nodule"]).shape == (1, 0)


def test_flips_are_refused(experiment):
    with pytest.raises(UserError, match=r"films can't be flipped\. Received: --augment study"):
        resolve(experiment(recipe="location_aware", augment="study"))
    resolve(experiment(recipe="location_aware", augment="study:hflip=0,vflip=0"))


def test_random_parts_are_refused(experiment):
    with pytest.raises(UserError, match=r"shown in parts\. Received: --augment crops:hflip=0"):
        resolve(experiment(recipe="location_aware", augment="crops:hflip=0"))


@pytest.mark.parametrize("recipe", ["{}", "self_training:base={}", "hierarchy:base={}"])
def test_a_run_whose_boxes_have_changed_isn_t_continued(experiment, tmp_path, recipe):
    write_dataset(tmp_path / "target", images=36, seed=0)
    dataset = load_dataset(tmp_path / "target")
    located, plain = (experiment(recipe=recipe.format(r)) for r in ("location_aware", "finetune"))
    told = {located.fingerprint_of(dataset)}
    assert told == {plain.fingerprint_of(dataset)}  # which it is without boxes
    for box in ("2,2,9,9", "2,2,9,8"):
        table = f"image,label,x,y,width,height\n{dataset.images[0]},disc,{box}\n"
        (tmp_path / "target" / "boxes.csv").write_text(table)
        told.add(located.fingerprint_of(dataset))
    assert len(told) == 3
    assert plain.fingerprint_of(dataset) in told


def test_a_masked_zone_pulls_at_nothing(experiment, tmp_path):
    """Exactly: at its output, at its layer, and at all below, where the findings alone pull."""
    write_dataset(tmp_path / "target", images=36, seed=0)
    dataset = load_dataset(tmp_path / "target")
    boxed = [(image, "disc") for image in dataset.images[:3]]
    boxed += [(image, "bar") for image in dataset.images[2:4]]
    table = "\n".join(["image,label,x,y,width,height", *(f"{i},{n},2,2,9,9" for i, n in boxed)])
    (tmp_path / "target" / "boxes.csv").write_text(table)
    session = session_of(experiment(recipe="location_aware", dropout=0.0), dataset)
    fitter, targets = session.plan.recipe.fitter(session), session.target.targets
    model = fitter._learner._trainer.model
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.3, w.shape) for w in model.get_weights()])

    def asked(rows):
        return next(iter(labelled_batches([fitter._part(rows, targets)], len(rows))))

    inputs, truth = asked(np.arange(6))
    logits = model(inputs, training=True)
    _, slopes = slopes_of(lambda: model.compute_loss(y=truth, y_pred=logits), [*logits.values()])
    slope, zones = dict(zip(logits, slopes, strict=True))["location"], truth["location"].numpy()
    known = zones != MASKED
    assert known.sum(axis=1).tolist() == [6, 6, 12, 6, 0, 0]
    assert not slope[~known].any()
    assert slope[known].all()

    inputs, truth = asked(np.arange(4, 16))  # none of them boxed
    assert (truth["location"].numpy() == MASKED).all()
    of_zones = model.get_layer("logits").get_layer("head_location").trainable_weights
    others = [w for w in model.trainable_weights if all(w is not zone for zone in of_zones)]

    def alone():
        layer = model.loss_layers[TARGET]
        return layer(truth[TARGET], model(inputs, training=True)[TARGET])

    def both():
        return model.compute_loss(y=truth, y_pred=model(inputs, training=True))

    whole, slopes = slopes_of(both, [*of_zones, *others])
    finding, wanted = slopes_of(alone, others)
    assert whole == finding
    assert not any(slope.any() for slope in slopes[: len(of_zones)])
    assert all(slope.any() for slope in wanted)
    for slope, expected in zip(slopes[len(of_zones) :], wanted, strict=True):
        np.testing.assert_array_equal(slope, expected)


def slopes_of(value, places):
    """A scalar, and its derivatives; of tensors that are there, it is made of them once more."""
    import tensorflow as tf

    places = [getattr(place, "value", place) for place in places]
    with tf.GradientTape() as tape:
        tape.watch(places)
        found = value()
    zero = tf.UnconnectedGradients.ZERO
    return float(found), [slope.numpy() for slope in tape.gradient(found, places, None, zero)]


def fitted(session):
    fitter = session.plan.recipe.fitter(session)
    rows = np.arange(36)
    learned = fitter.fit(rows[:24], rows[24:30], session.target.targets, **HOW)
    return fitter, learned


@pytest.mark.slow
def test_boxes_change_what_is_learnt_and_not_what_is_saved(experiment, tmp_path):
    write_dataset(tmp_path / "target", images=36, seed=0)
    dataset = load_dataset(tmp_path / "target")

    def session(recipe):
        return session_of(experiment(recipe=recipe, batch_size=6, dropout=0.0), dataset)

    rows = np.arange(36)
    plain, learned = fitted(session("finetune"))
    without, same = fitted(session("location_aware"))
    np.testing.assert_array_equal(without.predict(rows), plain.predict(rows))
    assert same.history.equals(learned.history)
    assert without.facts == {}

    lines = [f"{image},disc,2,2,9,9" for image in dataset.images[:5]]
    table = "\n".join(["image,label,x,y,width,height", *lines])
    (tmp_path / "target" / "boxes.csv").write_text(table)
    located, more = fitted(session("location_aware"))
    assert (located.predict(rows) != plain.predict(rows)).any()
    assert {**located.facts["location"], "digest": ""} == {"outputs": 6, "images": 5, "digest": ""}
    assert {"binary_accuracy", "val_binary_accuracy", "loss"} <= set(more.history)
    assert not more.history["val_location_loss"].any()  # only findings steer
    assert located.save(tmp_path) == plain.save(tmp_path)
    model = keras.saving.load_model(tmp_path / "model.keras")
    assert model.output_shape == (None, 2)
    assert (
        session("location_aware")
        .plan.recipe.fitter(
            session_of(experiment(recipe="location_aware", shuffle_labels=True), dataset)
        )
        .facts
        == {}
    )
