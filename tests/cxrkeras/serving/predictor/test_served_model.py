"""Models and runs as they are served: equal to Keras, alike however asked, refused in one line."""

import json
import shutil

import keras
import numpy as np
import pytest

from cxrkeras.data.distortion import Factor
from cxrkeras.data.preparation import Preparation
from cxrkeras.evaluation.rules import PrevalenceRule, parse_rule
from cxrkeras.evaluation.scores.operating import from_prevalence, thresholds_of
from cxrkeras.serving.predictor.loaded import load_model
from cxrkeras.serving.predictor.predictor import even_batches
from cxrkeras.serving.predictor.read import read_card
from data_prep.errors import UserError
from tests.cxrkeras.serving.served_runs import FOLDS, LABELS, PREPARED, SIDE, write_model, write_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "m")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Run folders `frozen` and `free`. Don't write into them."""
    root = tmp_path_factory.mktemp("runs")
    kinds = {"frozen": True, "free": False}
    return {kind: write_run(root / kind, frozen=frozen) for kind, frozen in kinds.items()}


@pytest.fixture
def copied(runs, tmp_path):
    return lambda kind="free": shutil.copytree(runs[kind], tmp_path / "copy")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (9, SIDE, SIDE)).astype(np.uint8)


def by_keras(path, images) -> np.ndarray:
    model = keras.models.load_model(path)
    return np.asarray(model(images[..., None].astype(np.float32)))


@pytest.mark.parametrize("place", [".", "model.keras"])
def test_a_model_predicts_as_keras_does(folder, images, place):
    model = load_model(folder / place)
    found = model.predict(images)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, by_keras(folder / "model.keras", images), atol=1e-6)
    assert (model.labels, model.image_size, len(model.members())) == (LABELS, SIDE, 1)


@pytest.mark.parametrize("kind", ["frozen", "free"])
def test_a_run_is_the_mean_of_its_folds(runs, images, kind):
    model = load_model(runs[kind])
    files = [runs[kind] / "folds" / str(k) / "model.keras" for k in range(FOLDS)]
    each = [by_keras(file, images) for file in files]
    np.testing.assert_allclose(model.predict(images), np.mean(each, axis=0), atol=1e-6)
    members = [member.model for member in model.members()]
    for member, expected in zip(members, each, strict=True):
        found = member(images[..., None].astype(np.float32))
        np.testing.assert_allclose(found, expected, atol=1e-6)
    convolutions = {id(member.layers[2]) for member in members}
    assert len(convolutions) == (1 if kind == "frozen" else FOLDS)


def test_a_frozen_run_s_trunk_runs_once_per_batch(runs, images):
    model = load_model(runs["frozen"])
    layer, calls = model.members()[0].model.layers[2], []
    original = layer.call
    layer.call = lambda *args, **how: calls.append(1) or original(*args, **how)
    model.predict(images)
    assert len(calls) == 1


@pytest.mark.parametrize("kind", ["frozen", "free"])
def test_batches_and_tracing_change_nothing(runs, images, kind):
    model = load_model(runs[kind])
    whole = model.predict(images)
    for size in (1, 2, 4, 5, 100):  # few batches run as they are, more are traced
        np.testing.assert_allclose(model.predict(images, batch_size=size), whole, atol=1e-6)
    np.testing.assert_allclose(model.predict(images[..., None]), whole, atol=0)
    assert model.predict(images[:0]).shape == (0, 3)


def test_all_traced_batches_have_one_size(folder, images, monkeypatch):
    shapes, predict = [], keras.Model.predict_on_batch

    def noted(self, batch):
        shapes.append(batch.shape)
        return predict(self, batch)

    monkeypatch.setattr(keras.Model, "predict_on_batch", noted)
    load_model(folder).predict(images, batch_size=2)
    assert shapes == [(2, SIDE, SIDE, 1)] * 5


@pytest.mark.parametrize("count", [0, 1, 7, 16, 17, 500])
def test_even_batches_take_every_row_once(count):
    slices = list(even_batches(count, 16))
    assert [row for part in slices for row in range(count)[part]] == list(range(count))
    sizes = [part.stop - part.start for part in slices]
    assert len(sizes) == -(-count // 16)
    assert max(sizes, default=0) - min(sizes, default=0) <= 1


def test_images_of_another_size_are_no_input(folder):
    with pytest.raises(ValueError, match="Received"):
        load_model(folder).predict(np.zeros((1, SIDE + 1, SIDE)))


def test_a_run_s_card_is_its_folds_mean(runs):
    card = read_card(runs["free"])
    assert card.facts["inflation"][LABELS[0]] == pytest.approx((4 * 5 * 6) ** (1 / 3))
    assert card.facts["training_prevalence"] == {
        LABELS[0]: pytest.approx(0.21),
        LABELS[1]: None,
        LABELS[2]: pytest.approx(0.05),
    }
    rules = from_prevalence([[0.2], [0.21], [0.22]], Factor([[4.0], [5.0], [6.0]]))
    for rule, thresholds in rules.items():
        found = thresholds_of(card.operating_points(parse_rule(rule)), LABELS)
        assert found[0] == pytest.approx(thresholds.mean())
        assert np.isnan(found[1])
    assert card.operating_points(parse_rule("youden"))[LABELS[1]]["threshold"] is None
    assert card.preparation == Preparation(PREPARED, False, None)
    json.dumps(card.facts, allow_nan=False)


class TwiceThePrevalence(PrevalenceRule):
    def threshold(self, prevalence, distort):
        return 2 * prevalence

    def origin(self):
        return "twice the prevalence"


def test_any_share_is_fitted_on_a_run_and_only_kept_ones_on_a_model(runs, folder):
    rule = parse_rule("sensitivity=0.876")
    point = read_card(runs["free"]).operating_points(rule)[LABELS[0]]
    assert point["sensitivity"] >= 0.876
    with pytest.raises(UserError, match=r"no operating point sensitivity=0.876.*There: .*youden"):
        read_card(folder).operating_points(rule)
    twice = read_card(folder).operating_points(TwiceThePrevalence())
    plain = read_card(folder).operating_points(parse_rule("prevalence"))
    assert twice[LABELS[0]]["threshold"] == 2 * plain[LABELS[0]]["threshold"]
    with pytest.raises(UserError, match=r"no calibration.*Give the run folder"):
        read_card(folder).calibration()


@pytest.mark.parametrize("place", [".", "folds/1"])
def test_an_older_model_s_preparation_is_its_dataset_s(tmp_path, place, capsys):
    run = write_run(tmp_path / "run", noted=False)
    assert read_card(run / place).preparation == Preparation(PREPARED, True, (1.0, 99.0))
    assert capsys.readouterr().err == ""
    shutil.rmtree(tmp_path / "run-data")
    assert read_card(run / place).preparation == Preparation(512, False, None)
    assert (
        "Warning: it isn't recorded how this model's images were prepared"
        in capsys.readouterr().err
    )


def without_a_fold(run):
    (run / "folds" / "1" / "fold.json").unlink()


def without_predictions(run):
    (run / "predictions.csv").unlink()


def without_folds_table(run):
    (run / "folds.csv").write_text("nothing\n")


def with_other_labels(run):
    card = json.loads((run / "folds/2/model.json").read_text())
    (run / "folds/2/model.json").write_text(json.dumps(card | {"labels": LABELS[::-1]}))


def with_points(text):
    def harm(run):
        (run / "operating_points.json").write_text(text)

    return harm


FITTED = '{"format": 3, "calibration": {}, "operating_points": {"youden": %s}}'


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (with_points("[" * 100_000), r"operating_points\.json.*nested too deeply.*cxrkeras cv"),
        (
            with_points(FITTED % '{"Mass": {"threshold": NaN, "from": ""}}'),
            r"operating_points\.json: operating_points\.youden\.Mass\.threshold must.*NaN",
        ),
        (with_points(FITTED % "{}"), r"operating_points\.youden must have every label"),
        (without_a_fold, r"2 of 3 folds finished.*cxrkeras cv --config.*--out"),
        (without_predictions, r"has predictions\.csv.*cxrkeras cv --config"),
        (without_folds_table, r"folds\.csv can't be read"),
        (with_other_labels, r"differ in labels.*RUN/folds/K"),
    ],
)
def test_a_run_that_is_no_ensemble_is_refused(copied, harm, words):
    run = copied()
    harm(run)
    with pytest.raises(UserError, match=words) as error:
        load_model(run)
    assert "\n" not in str(error.value)


def cut_short(folder):
    content = (folder / "model.keras").read_bytes()
    (folder / "model.keras").write_bytes(content[: len(content) // 2])


def of_other_labels(folder):
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(card | {"labels": list(LABELS[:2])}))


def without_inflation(folder):
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(card | {"inflation": {}}))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (cut_short, r"must be one that Keras 3 wrote.*can't be read as such \(BadZipFile\)"),
        (of_other_labels, r"doesn't fit its model\.json.*\(None, 3\), not .*\(None, 2\)"),
        (without_inflation, r"inflation must have every label, but lacks Atelectasis"),
        (lambda f: (f / "model.json").write_bytes(b"{\xff"), r"can't be used: it isn't UTF-8"),
        (lambda f: (f / "model.json").write_text("[]"), r"must be a table"),
        (lambda f: (f / "model.json").unlink(), r"Not found.*model\.json"),
        (lambda f: (f / "model.keras").unlink(), r"no model at.*cxrkeras cv"),
    ],
)
def test_a_folder_that_is_no_model_is_refused(folder, tmp_path, harm, words):
    harmed = shutil.copytree(folder, tmp_path / "m")
    harm(harmed)
    with pytest.raises(UserError, match=words) as error:
        load_model(harmed)
    assert "\n" not in str(error.value)
