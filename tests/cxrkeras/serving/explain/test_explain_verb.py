"""`cxrkeras explain` from the command line: pictures, maps, tables, who explained what."""

import json
import shutil

import keras
import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image

from cxrkeras.cli import main
from cxrkeras.data.dataset import load_dataset
from cxrkeras.evaluation.evidence.doubts import LEARNT_BY_FOLDS
from cxrkeras.evaluation.rules import parse_rule
from cxrkeras.serving.app.judge import LocalJudge
from cxrkeras.serving.app.reading import see
from cxrkeras.serving.explain.choice import check_choice, choose
from cxrkeras.serving.predict.unseen import own_images
from cxrkeras.serving.predictor.loaded import load_card
from cxrkeras.serving.predictor.read import read_card
from data_prep.errors import UserError
from data_prep.films.film import read_film, to_square
from data_prep.films.square import Settings
from tests.cxrkeras.serving.reporting.films import SECRETS, write_film
from tests.cxrkeras.serving.served_runs import FOLDS, LABELS, PREPARED, SIDE, write_model, write_run

IMAGES = 8


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A `run` with its dataset, whose last image was held out as test, and what that was made of,
    `raw`; a `model`; `films`.
    """
    root = tmp_path_factory.mktemp("explained")
    write_model(root / "model")
    write_run(root / "run", frozen=True)
    data = root / "run-data"
    write_data(data, root / "raw")
    folds = [str(n % FOLDS) for n in range(IMAGES - 1)] + ["test"]
    names = [f"images/{n}.png" for n in range(IMAGES)]
    table = pd.DataFrame({"image": names, "patient": range(IMAGES), "fold": folds})
    table.to_csv(root / "run" / "folds.csv", index=False)
    begun = {"films": load_dataset(data).films}
    (root / "run" / "environment.json").write_text(json.dumps(begun))
    (root / "films").mkdir()
    for n in range(2):
        pixels = np.random.default_rng(n).integers(0, 256, (50, 60)).astype(np.uint8)
        Image.fromarray(pixels).save(root / "films" / f"{n}.png")
    (root / "films" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    return root


def write_data(root, raw) -> None:
    for folder in (root / "images", raw):
        folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(4)
    rows = []
    for n in range(IMAGES):
        pixels = rng.integers(0, 256, (PREPARED + 5, PREPARED + 9)).astype(np.uint8)
        Image.fromarray(pixels).save(raw / f"film {n}.png")
        film = read_film(raw / f"film {n}.png")
        square = to_square(film.pixels, PREPARED)
        Image.fromarray(square).save(root / "images" / f"{n}.png")
        about = {"image": f"images/{n}.png", "patient": f"p{n}", "sha256": film.digest}
        rows.append(about | dict.fromkeys(LABELS, "0"))
    pd.DataFrame(rows).to_csv(root / "manifest.csv", index=False)
    facts = {"format": 1, "name": "ours", "labels": LABELS, "image_size": PREPARED}
    (root / "dataset.json").write_text(json.dumps(facts))
    boxes = [(f"images/{n}.png", LABELS[n % 2], 4 + n, 6, 20, 10) for n in range(4)]
    head = ["image", "label", "x", "y", "width", "height"]
    pd.DataFrame(boxes, columns=head).to_csv(root / "boxes.csv", index=False)


def explain(*words) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["explain", *map(str, words)])
    return stop.value.code


def test_files_are_explained_by_all_models_and_broken_ones_listed(served, tmp_path, capsys):
    out = tmp_path / "why"
    assert explain(served / "run", served / "films", "--out", out, "--labels", "all") == 0
    said = capsys.readouterr().out
    assert "CAM of 2 images: 2 by all models, whose maps are averaged." in said
    assert "broken.png" in said
    rejected = pd.read_csv(out / "rejected.csv")
    assert rejected["file"].str.endswith("broken.png").tolist() == [True]
    table = pd.read_csv(out / "explained.csv", dtype={"name": str})
    assert table["model"].unique().tolist() == ["all"]
    assert table["name"].tolist() == ["0"] * 3 + ["1"] * 3
    assert sorted(path.name for path in (out / "sheets").iterdir()) == ["0.png", "1.png"]
    assert len(list((out / "overlays").iterdir())) == 6
    maps = np.load(out / "maps" / "1.npy")
    assert (maps.dtype, maps.shape[0]) == (np.float32, 3)
    told = table[table["name"] == "1"]
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), told["map_mean"], rtol=1e-4)
    np.testing.assert_allclose(told["map_mean"] + told["bias"], told["score"], atol=1e-4)
    boxes = pd.read_csv(out / "boxes.csv")
    assert set(boxes["label"]) == set(LABELS)
    assert (boxes["x"] + boxes["width"]).max() <= PREPARED
    assert json.loads((out / "explained.json").read_text())["image_size"] == PREPARED


def test_pictures_of_dicom_films_are_secondary_captures_too(served, tmp_path, capsys):
    pytest.importorskip("highdicom", reason="highdicom (extra dicom) isn't installed")
    film, out = write_film(tmp_path / "film.dcm"), tmp_path / "why"
    words = (served / "model", film, served / "films" / "0.png", "--out", out, "--dicom")
    assert explain(*words, "--labels", LABELS[0]) == 0
    said = capsys.readouterr().out
    assert "Secondary Captures: 1, with names of patients. None of " in said
    assert "Results of DICOM films (1) bear a keyed hash: explained.csv tells the file." in said
    assert not any(secret in said for secret in SECRETS)
    (made,) = (out / "dicom").iterdir()
    drawn = np.asarray(Image.open(out / "overlays" / f"{made.stem}.png"))
    assert np.array_equal(pydicom.dcmread(made).pixel_array, drawn)
    assert explain(*words, "--labels", LABELS[1], "--overwrite") == 0
    assert made not in (out / "dicom").iterdir()


def test_probabilities_are_those_of_predict(served, tmp_path):
    films = [served / "films" / f"{n}.png" for n in range(2)]
    assert explain(served / "run", *films, "--out", tmp_path / "why", "--no-pictures") == 0
    with pytest.raises(SystemExit):
        main(["predict", str(served / "run"), *map(str, films), "--out", str(tmp_path / "p.json")])
    told = json.loads((tmp_path / "p.json").read_text())["images"]
    predicted = [[label["probability"] for label in image["labels"].values()] for image in told]
    table = pd.read_csv(tmp_path / "why" / "explained.csv")
    explained = table["probability"].to_numpy().reshape(2, -1)
    np.testing.assert_allclose(explained, predicted, atol=1e-5)
    assert not (tmp_path / "why" / "sheets").exists()


def test_the_runs_own_images_are_explained_out_of_fold_and_scored(served, tmp_path, capsys):
    out = tmp_path / "why"
    code = explain(
        *(served / "run", "--data", served / "run-data", "--out", out),
        *("--no-pictures", "--randomisation-check"),
    )
    said = capsys.readouterr().out
    assert code == 0
    assert "1 by all models, whose maps are averaged; 7 out of fold" in said
    table = pd.read_csv(out / "explained.csv").drop_duplicates("file")
    expected = [f"fold {n % FOLDS}" for n in range(IMAGES - 1)] + ["all"]
    assert table["model"].tolist() == expected
    one = keras.models.load_model(served / "run" / "folds" / "1" / "model.keras")
    film = Image.open(served / "run-data" / "images" / "4.png")
    from cxrkeras.data.images import resized

    image = resized(np.asarray(film)[..., None], SIDE).numpy()[None]
    rows = pd.read_csv(out / "explained.csv").iloc[12:15]
    np.testing.assert_allclose(rows["probability"], one(image)[0], atol=1e-5)
    scores = json.loads((out / "localisation.json").read_text())
    assert {label: one["boxes"]["boxes"] for label, one in scores.items()} == {
        LABELS[0]: 2,
        LABELS[1]: 2,
        "all labels": 4,
    }
    assert "Pointing game" in said
    assert (out / "localisation.txt").read_text() in said
    check = pd.read_csv(out / "randomisation.csv")
    assert len(check) == 2 * IMAGES * len(LABELS)
    assert check["randomised"].unique().tolist() == ["head", "block"]
    assert "head randomised: median Spearman" in said


def test_only_boxed_and_gradcam_and_pictures_with_known_boxes(served, tmp_path, capsys):
    out = tmp_path / "why"
    words = (served / "run", "--data", served / "run-data", "--out", out, "--only-boxed")
    assert explain(*words, "--map", "gradcam++", "--labels", "top1") == 0
    assert "Grad-CAM++ of 4 images: 4 out of fold" in capsys.readouterr().out
    assert len(list((out / "overlays").iterdir())) == 4
    # again, other labels: only when asked to, and only what the first call wrote goes
    (out / "overlays" / "mine.png").write_bytes(b"mine")
    (out / "notes.csv").write_text("mine")
    assert explain(*words, "--labels", LABELS[0]) == 1
    assert "holds earlier results of `cxrkeras explain`" in capsys.readouterr().err
    broken = (served / "run", served / "films" / "broken.png", "--out", out, "--overwrite")
    assert explain(*broken) == 1
    assert len(list((out / "overlays").iterdir())) == 5
    assert explain(*words, "--labels", LABELS[0], "--overwrite") == 0
    assert (out / "notes.csv").read_text() == "mine"
    (out / "overlays" / "mine.png").unlink()
    assert {path.name.split("-")[1] for path in (out / "overlays").iterdir()} == {
        f"{LABELS[0]}.png"
    }


def test_a_copy_of_the_runs_data_is_recognised_by_its_content(served, tmp_path):
    card, data = read_card(served / "run"), served / "run-data"

    def folds(root, **given):
        own = own_images(card, **given)
        return [own.fold_at(root / "images" / f"{n}.png") for n in (0, 4, 7)]

    assert folds(data) == [0, 1, None]
    copy = tmp_path / "copy"
    shutil.copytree(data, copy)
    assert folds(copy) == [None] * 3
    assert folds(copy, dataset=copy) == [0, 1, None]
    assert folds(copy, files=[copy / "images" / "3.png"]) == [0, 1, None]
    table = pd.read_csv(copy / "manifest.csv", dtype=str)
    table.loc[0, "sha256"] = "another picture"
    table.to_csv(copy / "manifest.csv", index=False)
    assert folds(copy, dataset=copy) == [None] * 3
    assert folds(data, dataset=data) == [0, 1, None]


def test_films_of_source_rows_were_learnt_from_by_every_model(served, tmp_path):
    run, beside = tmp_path / "run", tmp_path / "beside"
    shutil.copytree(served / "run", run)
    shutil.copytree(served / "run-data", beside)
    table = pd.read_csv(beside / "manifest.csv", dtype=str)
    table["sha256"] = "another picture " + table["image"]
    table.to_csv(beside / "manifest.csv", index=False)
    for card in run.glob("folds/*/model.json"):
        facts = json.loads(card.read_text()) | {"learnt_from": [load_dataset(beside).films]}
        card.write_text(json.dumps(facts))
    for model, kept in ((run, [0, 1]), (run / "folds" / "1", [-1, None])):
        own = own_images(read_card(model), dataset=beside)
        films = [own.places.get((beside / f"images/{n}.png").resolve()) for n in range(IMAGES)]
        assert films == [-1] * IMAGES
        data = served / "run-data"
        assert [own.places.get((data / f"images/{n}.png").resolve()) for n in (0, 1)] == kept


def test_the_page_notes_a_raw_film_that_the_run_learnt_from(served):
    card = read_card(served / "run")
    judge = LocalJudge(card, load_card(card), parse_rule("corrected"))
    for film, noted in (("film 4.png", True), ("film 7.png", False)):
        seen = see((served / "raw" / film).read_bytes(), Settings(PREPARED))
        assert judge.notes(seen) == (LEARNT_BY_FOLDS,) * noted


@pytest.mark.parametrize("kind", ["final", "fold"])
def test_a_single_model_says_that_it_learnt_from_the_images(served, tmp_path, capsys, kind):
    data, out = served / "run-data", tmp_path / "why"
    if kind == "final":
        made = {"films": load_dataset(data).films}
        model, learnt = write_model(tmp_path / "m", run=made), [1] * IMAGES
    else:
        # Fold 1 held out images 1 and 4; the last image was held out as test.
        model, learnt = served / "run/folds/1", [1, 0, 1, 1, 0, 1, 1, 0]
    assert explain(model, "--data", data, "--out", out, "--no-pictures") == 0
    said = capsys.readouterr().out
    assert "CAM of 8 images: 8 by the model." in said
    assert f"Warning: the model learnt from {sum(learnt)} of these images" in said
    table = pd.read_csv(out / "explained.csv").groupby("name", sort=True)["learnt_from"].first()
    assert table.tolist() == learnt
    with pytest.raises(SystemExit):
        main(["predict", str(model), str(data / "images"), "--json"])
    told = json.loads(capsys.readouterr().out)["images"]
    assert [any("learnt from this" in w for w in i["warnings"]) for i in told] == list(
        map(bool, learnt)
    )


def test_of_other_images_nothing_is_said(served, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(served / "run-data", other)
    table = pd.read_csv(other / "manifest.csv", dtype=str)
    table["sha256"] = "another picture " + table["image"]
    table.to_csv(other / "manifest.csv", index=False)
    for model in ("model", "run", "run/folds/1"):
        words = (served / model, "--data", other, "--out", tmp_path / "why", "--no-pictures")
        assert explain(*words, "--overwrite") == 0
        said = capsys.readouterr().out
        assert "learnt" not in said
        assert "out of fold" not in said


def test_a_raw_file_of_the_runs_own_data_is_recognised_by_its_pixels(served, tmp_path, capsys):
    films = [served / "raw" / f"film {n}.png" for n in (4, 7)]
    Image.open(films[0]).save(tmp_path / "another name.tiff")
    films.append(tmp_path / "another name.tiff")
    out = tmp_path / "why"
    assert explain(served / "run", *films, "--out", out, "--no-pictures") == 0
    assert "1 by all models, whose maps are averaged; 2 out of fold" in capsys.readouterr().out
    models = pd.read_csv(out / "explained.csv").groupby("name")["model"].first()
    assert models.to_dict() == {
        "film_4": "fold 1", "film_7": "all", "another_name": "fold 1",
    }  # fmt: skip
    with pytest.raises(SystemExit):
        main(["predict", str(served / "run"), *map(str, films), "--json"])
    told = json.loads(capsys.readouterr().out)["images"]
    learnt = [any("learnt from this image" in w for w in i["warnings"]) for i in told]
    assert learnt == [True, False, True]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run",), "Give FILES or --data"),
        (("run", "film.png", "--data", "x"), "Give FILES or --data"),
        (("run", "film.png", "--labels", "Mass,Masss"), "Received: Masss"),
        (
            ("run", "film.png", "--operating-point", "best"),
            "operating-point must be one of corrected, ",
        ),
        (("run", "film.png"), "no such file"),
        (("run", "--data", "run-data", "--boxes", "none.csv"), "Not found: none.csv"),
        (("films", "film.png"), "There is no model"),
        (("run", "--data", "run-data", "--dicom"), "--dicom is for the pictures of FILES"),
        (("run", "film.png", "--dicom", "--no-pictures"), "--dicom is for the pictures of FILES"),
    ],
)
def test_what_can_not_be_done_is_said_in_one_line(served, tmp_path, capsys, words, message):
    places = [served / word if (served / word).exists() else word for word in words]
    assert explain(*places, "--out", tmp_path / "why") in (1, 2)
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "why").exists()


def test_a_folder_of_something_else_is_left_alone(served, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("keep")
    assert explain(served / "model", served / "films", "--out", tmp_path) == 1
    assert "holds something else" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_which_labels_get_pictures():
    labels, p, cut = ("a", "b", "c"), np.array([0.2, 0.9, 0.1]), np.array([0.1, 0.95, np.nan])
    assert choose("positive", labels, p, cut) == [0]
    assert choose("all", labels, p, cut) == [0, 1, 2]
    assert choose("top2", labels, p, cut) == [0, 1]
    assert choose("c, a", labels, p, cut) == [2, 0]
    for wrong in ("top0", "top", "d", "a,,b"):
        with pytest.raises(UserError, match="Received"):
            check_choice(wrong, labels)
