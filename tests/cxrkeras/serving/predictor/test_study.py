"""The kind `study`: whatever the order, batches and processes, a study's films get one answer."""

import json

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrkeras.data.studies import groups_of
from cxrkeras.registry import PREDICTORS
from cxrkeras.serving.export.run import export_model
from cxrkeras.serving.predict.run import predict_words
from cxrkeras.serving.predict.together import study_of
from cxrkeras.serving.predict.told import of_header
from cxrkeras.serving.predictor.loaded import load_card, load_model
from cxrkeras.serving.predictor.make import make_ensemble
from cxrkeras.serving.predictor.read import read_card
from data_prep.errors import UserError
from data_prep.executors.processes import Part as Processes
from data_prep.films.header import Header
from tests.cxrkeras.serving.served_runs import FOLDS, SIDE, write_model, write_run

FILMS = 7
STUDIES = ["s1", "s2", "s1", "", "s1", "", "s2"]


def frozen(seed=0):
    return {"digest": str(seed) * 64, "features": "pool"}


def write_study(folder, seed=0, by="study", width=3):
    """A model folder with an attention that isn't level."""
    write_model(folder, seed, kind="study", studies=by, frozen=frozen(seed))
    return write_attention(folder, seed, width)


def write_attention(folder, seed=0, width=3):
    keras.utils.set_random_seed(seed)
    features = keras.Input((6,), name="features")
    attention = keras.layers.Dense(width, kernel_initializer="he_normal")(features)
    keras.Model(features, attention).save(folder / "attention.keras")
    return folder


@pytest.fixture
def folder(tmp_path):
    return write_study(tmp_path / "study")


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (FILMS, SIDE, SIDE)).astype(np.uint8)


@pytest.fixture
def films(tmp_path, images):
    """The films' files, and a table of their studies."""
    (tmp_path / "films").mkdir()
    names = [f"{number}.png" for number in range(FILMS)]
    for name, pixels in zip(names, images, strict=True):
        Image.fromarray(pixels).resize((80, 80), 0).save(tmp_path / "films" / name)
    table = tmp_path / "studies.csv"
    pd.DataFrame({"image": names, "study": STUDIES, "patient": "p"}).to_csv(table, index=False)
    return [str(tmp_path / "films" / name) for name in names], table


def probability(card, files, table=None, **how):
    """{file: its scores}."""
    told = predict_words(card, files, card.default_rule, workers=0, table=table, **how)
    assert not any(row.reason for row in told.rows)
    return {str(row.path): told.probability[n] for n, row in enumerate(told.rows)}


def same(one, other, tolerance=1e-6):
    """On JAX the trunk's last digits depend on the size of its batches."""
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_allclose(values, other[name], rtol=0, atol=tolerance)


def test_a_film_alone_is_answered_by_its_own_classifier(folder, images):
    model = load_model(folder)
    plain = keras.saving.load_model(folder / "model.keras")
    expected = np.asarray(plain(images[..., None].astype(np.float32)))
    found = model.predict(images)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    kind = PREDICTORS.make("study")
    numbers = model.run_per_film(images)
    np.testing.assert_array_equal(kind.fused(model.card, numbers, np.arange(FILMS)), found)

    together = kind.fused(model.card, numbers, groups_of(STUDIES))
    for one, other in ((0, 2), (2, 4), (1, 6)):
        np.testing.assert_array_equal(together[one], together[other])
    np.testing.assert_array_equal(together[[3, 5]], found[[3, 5]])
    assert (together[0] != found[0]).all()
    low, high = found[[0, 2, 4]].min(axis=0), found[[0, 2, 4]].max(axis=0)
    assert ((together[0] >= low) & (together[0] <= high)).all()
    assert (together[0] != kind.fused(model.card, numbers[:3], groups_of(STUDIES[:3]))[0]).all()


def test_files_are_answered_by_study_in_any_order_and_batch(folder, films, capsys):
    (files, table), card = films, read_card(folder)
    whole = probability(card, files, table)
    said = capsys.readouterr().err
    assert "5 films of 2 studies: each has the score of its study." in said
    assert "unknown for 2 of 7 films" in said
    np.testing.assert_array_equal(whole[files[0]], whole[files[4]])
    same(probability(card, files[::-1], table, batch_size=2), whole)
    alone = probability(card, files)
    assert "unknown for 7 of 7 films, each of which is answered alone" in capsys.readouterr().err
    for name in (files[3], files[5]):
        np.testing.assert_allclose(alone[name], whole[name], atol=1e-6)
    assert (alone[files[0]] != whole[files[0]]).all()


def test_an_unusable_film_leaves_its_study(folder, films, tmp_path):
    (files, table), card = films, read_card(folder)
    whole = probability(card, [name for name in files if name != files[2]], table)
    (tmp_path / "films" / "2.png").write_bytes(b"no picture")
    told = predict_words(card, files, card.default_rule, workers=0, table=table)
    assert [bool(row.reason) for row in told.rows] == [n == 2 for n in range(FILMS)]
    assert np.isnan(told.probability[2]).all()
    np.testing.assert_allclose(told.probability[0], whole[files[0]], atol=1e-6)


@pytest.mark.slow
def test_processes_that_share_a_study_s_films_give_the_same(folder, films):
    (files, table), card = films, read_card(folder)
    whole = probability(card, files, table, batch_size=2)
    spread = probability(card, files, table, batch_size=2, executor=Processes(count=2))
    same(spread, whole, tolerance=0)


def test_headers_tell_the_study_and_the_patient():
    header = Header(patient_id="P", study_uid="1.2.3", sex="F")
    assert of_header(header, ("study", "sex")) == {"study": "1.2.3", "sex": "F"}
    assert of_header(header, ("patient",)) == {"patient": "P"}
    assert of_header(Header(), ("study",)) == {}


def test_what_makes_a_study_is_told_but_no_identifier_is_kept():
    told = {"patient": "Miller", "study": "1.2.3"}
    by_study, by_patient = study_of(told, "study"), study_of(told, "patient")
    assert len({by_study, by_patient, study_of({"study": "1.2.3"}, "study"), ""}) == 4
    assert study_of(told, "") == study_of({"patient": "Miller"}, "study") == ""
    assert not any(word in by_study + by_patient for word in ("Miller", "1.2.3"))


def test_ensembles_put_each_member_s_films_together_first(tmp_path, images):
    parts = [write_study(tmp_path / f"m{n}", n, width=width) for n, width in ((1, 3), (2, 1))]
    make_ensemble(parts, tmp_path / "both", weights=[1, 3])
    groups, models = groups_of(STUDIES), [load_model(part) for part in parts]
    kind = PREDICTORS.make("study")
    one, two = (kind.fused(m.card, m.run_per_film(images), groups) for m in models)
    card = read_card(tmp_path / "both")
    both = load_card(card)
    assert card.studies == "study"
    found = PREDICTORS.make(card.kind).fused(card, both.run_per_film(images), groups)
    np.testing.assert_allclose(found, 0.25 * one + 0.75 * two, atol=1e-12)
    expected = 0.25 * models[0].predict(images) + 0.75 * models[1].predict(images)
    np.testing.assert_allclose(both.predict(images), expected, atol=1e-12)


def test_the_folds_of_a_run_share_their_trunk(tmp_path, images):
    run = write_run(tmp_path / "run", frozen=True, kind="study", studies="study")
    folds = [write_attention(run / "folds" / str(k), k) for k in range(FOLDS)]
    groups, kind = groups_of(STUDIES), PREDICTORS.make("study")
    models = [load_model(fold) for fold in folds]
    each = [kind.fused(m.card, m.run_per_film(images), groups) for m in models]
    whole = load_model(run)
    assert len({id(part.trunk) for part in whole.parts}) == 1
    numbers = whole.run_per_film(images)
    assert numbers.shape == (FILMS, PREDICTORS.make(whole.card.kind).width(whole.card))
    found = PREDICTORS.make(whole.card.kind).fused(whole.card, numbers, groups)
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-6)
    make_ensemble([run, folds[0]], tmp_path / "both")
    again = load_model(tmp_path / "both").run_per_film(images)
    np.testing.assert_allclose(again[:, : numbers.shape[1]], numbers, atol=1e-4)


@pytest.mark.parametrize("other", [{}, {"by": "patient"}])
def test_members_that_answer_for_other_films_are_refused(folder, tmp_path, other):
    write = write_study if other else write_model
    with pytest.raises(UserError, match="answer for the same films"):
        make_ensemble([folder, write(tmp_path / "other", **other)], tmp_path / "both")


def test_a_table_is_for_what_is_asked(folder, films, tmp_path):
    files, table = films
    plain = read_card(write_model(tmp_path / "plain"))
    with pytest.raises(UserError, match="takes the image alone"):
        probability(plain, files, table)
    pd.DataFrame({"image": ["0.png"], "age": ["40"]}).to_csv(table, index=False)
    with pytest.raises(UserError, match="study, patient"):
        probability(read_card(folder), files, table)


def test_files_that_dont_fit_each_other_are_refused(folder):
    facts = json.loads((folder / "model.json").read_text())
    for wrong in ({"frozen": {**frozen(), "features": "nowhere"}}, {"frozen": None}):
        (folder / "model.json").write_text(json.dumps(facts | wrong))
        with pytest.raises(UserError, match="don't fit each other"):
            load_model(folder)
    (folder / "model.json").write_text(json.dumps(facts))
    features = keras.Input((6,), name="features")
    keras.Model(features, keras.layers.Dense(2)(features)).save(folder / "attention.keras")
    with pytest.raises(UserError, match="don't fit each other"):
        load_model(folder)
    (folder / "attention.keras").unlink()
    with pytest.raises(UserError):
        load_model(folder)


@pytest.mark.slow
def test_it_is_exported_film_by_film_and_says_so(folder, tmp_path, capsys):
    card = read_card(folder)
    told = export_model(
        card, tmp_path / "out" / "m", ["saved-model"], card.default_rule, [], describe=str
    )
    assert all(found.passed for found in told.differences)
    assert "each film is answered as if it were the only one" in capsys.readouterr().err
