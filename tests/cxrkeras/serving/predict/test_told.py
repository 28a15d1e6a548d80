"""What a model is told beside the picture: by a DICOM header, by a table; and never by us."""

import json

import keras
import numpy as np
import pandas as pd
import pydicom
import pytest

import cxrkeras
from cxrkeras.cli import main
from cxrkeras.data.inputs import KNOWN, as_numbers
from cxrkeras.models.inputs import inputs_of, known_features
from cxrkeras.serving.predict.told import of_table, unknown_in
from cxrkeras.serving.predictor.loaded import load_model
from cxrkeras.serving.predictor.make import make_ensemble
from data_prep.errors import UserError
from data_prep.phantom.write import write_phantoms
from tests.cxrkeras.serving.served_runs import LABELS, SIDE, write_model

INPUTS = ["image", *KNOWN]
AGE, SEX, VIEW = "067Y", "F", "AP"


def write_told(folder, seed=0, inputs=INPUTS):
    """A model folder whose scores depend on the image and on all inputs."""
    write_model(folder, seed, inputs=inputs)
    keras.utils.set_random_seed(seed)
    given = inputs_of(inputs, SIDE)
    pooled = keras.layers.GlobalAveragePooling2D()(given["image"])
    scaled = keras.layers.Rescaling(1 / 255, name="pool")(pooled)
    joined = keras.layers.Concatenate(name="features")([scaled, known_features(given)])
    logits = keras.layers.Dense(len(LABELS), name="target", kernel_initializer="normal")(joined)
    output = keras.layers.Activation("sigmoid", name="probability")(logits)
    keras.Model(given, output).save(folder / "model.keras")
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A model `told`, and `films`: a.dcm with all in its header, b.dcm with nothing, c.png."""
    root = tmp_path_factory.mktemp("told")
    write_told(root / "told")
    write_phantoms(root / "p", patients=1, seed=0, size=96, workers=0, progress=False)
    film = pydicom.dcmread(sorted((root / "p" / "dicom").glob("*.dcm"))[0])
    (root / "films").mkdir()
    film.PatientAge, film.PatientSex, film.ViewPosition = AGE, SEX, VIEW
    film.save_as(root / "films" / "a.dcm")
    for name in ("PatientAge", "PatientSex", "ViewPosition", "PatientBirthDate"):
        if name in film:
            delattr(film, name)
    film.save_as(root / "films" / "b.dcm")
    from PIL import Image

    from data_prep.films.film import read_film

    grey = np.uint8(read_film(root / "films" / "b.dcm").pixels * 255)
    Image.fromarray(grey).save(root / "films" / "c.png")
    return root


def expected(root, cells):
    """(N, K): the films' pixels asked with the cells given, straight from the model."""
    model = load_model(root / "told")
    from cxrkeras.serving.predict.films import prepare_film

    image = prepare_film(root / "films" / "b.dcm", model.preparation, SIDE).image
    known = {n: as_numbers(n, [one.get(n, "") for one in cells]) for n in KNOWN}
    return model.predict({"image": np.stack([image] * len(cells)), **known})


def probabilities(table):
    return table[[f"prob_{label}" for label in LABELS]].to_numpy()


def test_headers_tell_and_what_is_unknown_is_counted(root, capsys):
    table = cxrkeras.load(root / "told").predict(root / "films", workers=0)
    cells = [{"age": "67", "sex": "F", "view": "AP"}, {}, {}]
    np.testing.assert_allclose(probabilities(table), expected(root, cells), atol=1e-3)
    assert np.abs(probabilities(table)[0] - probabilities(table)[1]).max() > 1e-2
    said = capsys.readouterr().err
    for name in KNOWN:
        assert f"{name} unknown for 2 of 3 films" in said
    assert "67" not in said
    assert not {"age", "sex", "view"} & set(table.columns)


def test_a_table_goes_over_the_header(root, tmp_path, capsys):
    rows = ("Image Index,Patient Age,Gender,View Position", "a.dcm,5,,PA", "films/c.png,44,M,")
    (tmp_path / "t.csv").write_text("\n".join((*rows, "z.png,1,,\n")))
    out = tmp_path / "o.csv"
    how = ["--workers", "0", "--table", str(tmp_path / "t.csv"), "--out", str(out)]
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(root / "told"), str(root / "films"), *how])
    assert ended.value.code == 0
    cells = [{"age": "5", "sex": "F", "view": "PA"}, {}, {"age": "44", "sex": "M"}]
    found = probabilities(pd.read_csv(out))
    np.testing.assert_allclose(found, expected(root, cells), atol=1e-3)
    told = capsys.readouterr()
    assert "age unknown for 1 of 3 films, sex unknown for 1 of 3" in told.err
    assert "44" not in told.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,age\na.dcm,5\n", "needs a column `image` or `file`"),
        ("file,years\na.dcm,5\n", "needs a column for what the model takes: age, sex, view"),
        ("file,age\nz.dcm,5\n", "names none of the 2 films"),
        ("file,age\nx.png,5\n", "data row 1 names an image that 2 files answer to"),
        ("file,age\n1/x.png,5\n1/x,77\n", "data row 2 says something else of a film"),
    ],
)
def test_a_table_that_can_t_be_used_is_refused_without_a_value_of_it(text, said, tmp_path):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UserError, match=said) as refused:
        of_table(tmp_path / "t.csv", [tmp_path / "1" / "x.png", tmp_path / "2" / "x.png"], KNOWN)
    assert "77" not in str(refused.value)


def test_a_model_of_images_alone_takes_no_table(root, tmp_path):
    (tmp_path / "t.csv").write_text("file,age\na.dcm,5\n")
    model = cxrkeras.load(write_model(tmp_path / "alone"))
    with pytest.raises(UserError, match="takes the image alone"):
        model.predict(root / "films", table=tmp_path / "t.csv", workers=0)


@pytest.mark.parametrize(
    ("cells", "unknown"),
    [
        ({"age": "61", "sex": "M", "view": "AP ERECT"}, []),
        ({"age": "121", "sex": "O", "view": "LLD"}, ["age", "sex", "view"]),
        ({"age": "", "view": "LEFT LATERAL"}, ["age", "sex"]),
    ],
)
def test_what_counts_as_unknown(cells, unknown):
    assert unknown_in(cells, tuple(KNOWN)) == unknown


def test_members_of_other_inputs_are_each_told_their_own(root, tmp_path):
    write_told(tmp_path / "aged", 1, ["image", "age"])
    write_model(tmp_path / "alone", seed=2)
    members = [root / "told", tmp_path / "aged", tmp_path / "alone"]
    make_ensemble(members, tmp_path / "all")
    whole, rng = load_model(tmp_path / "all"), np.random.default_rng(0)
    assert whole.card.extras == tuple(KNOWN)
    side = whole.image_size
    images = rng.integers(0, 256, (3, side, side, 1)).astype(np.float32)
    told = {"age": [[5.0], [-1], [70]], "sex": [[1.0], [0], [-1]], "view": [[0.0], [2], [1]]}
    inputs = {"image": images, **{name: np.float32(v) for name, v in told.items()}}
    each = [load_model(path).predict(inputs) for path in members]
    np.testing.assert_allclose(whole.predict(inputs), np.mean(each, axis=0), atol=1e-6)
    found = whole.keras_model()(inputs)
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-5)


@pytest.mark.real
def test_real_headers_tell(root, real, capsys):
    """Films that tell age, sex and view, and films that leave the view out."""
    films = sorted(real("dicom", "chest").glob("*.dcm"))
    table = cxrkeras.load(root / "told").predict(films, workers=0)
    assert json.loads(table["error"].eq("").to_json(orient="values")).count(True) == len(films)
    said = capsys.readouterr().err
    assert f"view unknown for 4 of {len(films)} films" in said
    assert "age unknown" not in said
