"""`cxrkeras predict` from the command line: tables, CSV, JSON, exit codes."""

import json

import keras
import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from cxrkeras.cli import main
from cxrkeras.data.images import Images
from cxrkeras.evaluation.rules import parse_rule
from cxrkeras.evaluation.scores.calibration import calibrate
from cxrkeras.evaluation.scores.operating import thresholds_of
from cxrkeras.serving.predictor.read import read_card
from data_prep.films.film import read_film, to_square
from data_prep.tables.table import read_table
from tests.cxrkeras.serving.served_runs import LABELS, PREPARED, SIDE, write_model, write_run
from tests.cxrkeras.their_rules import install_rules

NOTICE = "not for clinical use"
NAME = "Mustermann^Erika"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """`model` and `run` folders, and `films` with three pictures, a DICOM file and a broken one."""
    root = tmp_path_factory.mktemp("served")
    write_model(root / "model")
    write_run(root / "run", frozen=True)
    (root / "films").mkdir()
    for n in range(3):
        pixels = np.random.default_rng(n).integers(0, 256, (50 + n, 60)).astype(np.uint8)
        Image.fromarray(pixels).save(root / "films" / f"{n}.png")
    write_dicom(root / "films" / "4.dcm", "CHEST")
    (root / "films" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    return root


def write_dicom(path, part: str) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    pixels = np.random.default_rng(7).integers(0, 4096, (40, 30)).astype(np.uint16)
    dataset.update(
        {
            "PatientName": NAME,
            "PatientID": "4711",
            "PatientBirthDate": "19640812",
            "BodyPartExamined": part,
            "Modality": "DX",
            "PhotometricInterpretation": "MONOCHROME2",
            "SamplesPerPixel": 1,
            "PixelRepresentation": 0,
            "BitsAllocated": 16,
            "BitsStored": 12,
            "HighBit": 11,
        }
    )
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.PixelData = pixels.tobytes()
    dataset.save_as(path)


def run(capsys, *words) -> tuple[int, str, str]:
    """The exit code, standard output and standard error of `cxrkeras predict`."""
    with pytest.raises(SystemExit) as end:
        main(["predict", *map(str, words), "--workers", "0"])
    said = capsys.readouterr()
    return end.value.code, said.out, said.err


def readable(served) -> list:
    return [served / "films" / name for name in ("0.png", "1.png", "2.png", "4.dcm")]


def test_a_few_images_are_told_label_by_label(served, capsys):
    code, out, _ = run(capsys, served / "model", *readable(served)[:2])
    assert code == 0
    head = "label probability prevalence odds ratio threshold score positive threshold from"
    assert [" ".join(line.split()) for line in out.splitlines()].count(head) == 2
    for label in LABELS:
        assert out.count(f"\n  {label}") == 2
    assert "training prevalence, the loss's inflation undone" in out
    assert "score: the model's own output; the loss's weighting has multiplied its odds by" in out
    assert "Labels in order of surprise: odds ratio of the probability against" in out
    assert out.splitlines()[:2] == [f"In {served / 'films'}:", "0.png"]
    assert NOTICE in out


def test_of_many_what_is_called_and_broken_ones_with_their_reason(served, capsys):
    code, out, _ = run(capsys, served / "run", served / "films", "absent.png", "--batch-size", "2")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == f"In {served / 'films'}:"
    assert lines[1].split() == ["film", "positive", "positive", "labels"]
    assert [line.split()[0] for line in lines[2:6]] == [path.name for path in readable(served)]
    assert "\n4.dcm: no VOI window" in out
    assert "Not read: 2 of 6" in out
    assert "\n  broken.png: neither DICOM, PNG, JPEG nor TIFF" in out
    assert "\n  absent.png: there is no such file" in out
    assert "\nscore: the mean of 3 models" in out
    assert "\nprobability: the score with the loss's weighting taken out" in out
    assert NOTICE in out


def test_a_workbook_has_what_the_csv_has(served, capsys, tmp_path):
    outs = [tmp_path / name for name in ("a.csv", "a.xlsx")]
    words = [word for out in outs for word in ("--out", out)]
    code, *_ = run(capsys, served / "model", served / "films", *words)
    assert code == 0
    csv, book = map(read_table, outs)
    assert list(book.columns) == list(csv.columns)
    for name in csv.columns:
        if name.startswith(("prob", "adjusted", "threshold")):
            book[name], csv[name] = (pd.to_numeric(table[name]) for table in (book, csv))
    pd.testing.assert_frame_equal(book, csv, rtol=1e-15)
    assert run(capsys, served / "model", served / "films", *words)[0] == 1
    assert run(capsys, served / "model", served / "films", *words, "--overwrite")[0] == 0
    (tmp_path / "b.xlsx").write_bytes(b"a person's own")
    code, _, said = run(
        capsys, served / "model", served / "films", "--out", tmp_path / "b.xlsx", "--overwrite"
    )
    assert code == 1
    assert "which is something else" in said


def test_a_fitted_operating_point_is_told_with_what_it_reaches(served, capsys):
    words = ("--operating-point", "sensitivity=0.9")
    _, out, _ = run(capsys, served / "run", *readable(served), *words)
    card = read_card(served / "run")
    points = card.operating_points(parse_rule("sensitivity=0.9"))
    reached = points[LABELS[0]]["cross_fitted"]
    line = next(line for line in out.splitlines() if line.startswith(f"  {LABELS[0]}"))
    threshold = card.meant(thresholds_of(points, LABELS))[0]  # on the probability's scale
    figures = (threshold, reached["sensitivity"], reached["specificity"])
    assert " ".join(f"{figure:.3f}" for figure in figures) in " ".join(line.split())
    assert "the mean of 3, used here, decides a little differently" in out


@pytest.mark.parametrize("rule", ["cost:miss=3", "times:factor=1.5"])
def test_a_rule_of_another_package_is_an_operating_point(
    served, capsys, tmp_path, monkeypatch, rule
):
    install_rules(tmp_path / "site", monkeypatch)
    words = ("--operating-point", rule, "--out", tmp_path / "p.json")
    code, _, _ = run(capsys, served / "run", *readable(served), *words)
    assert code == 0
    content = json.loads((tmp_path / "p.json").read_text())
    points = read_card(served / "run").operating_points(parse_rule(rule))
    for label in LABELS:
        assert content["labels"][label]["threshold"] == points[label]["threshold"]


def test_csv_and_json_hold_what_keras_says_of_prepared_images(served, capsys, tmp_path):
    table, tree = tmp_path / "new" / "p.csv", tmp_path / "p.json"
    words = (
        "--operating-point",
        "youden",
        "--calibrate",
        "isotonic",
        "--out",
        table,
        "--out",
        tree,
    )
    code, out, _ = run(capsys, served / "run", served / "films", *words)
    assert code == 0
    assert f"Written: {table}" in out
    assert "There, adjusted is the probability; prob and threshold are scores." in out
    assert "positive: the probability, not calibrated, is above the threshold." in out
    assert "3 of 3 labels have fewer than 100" in out
    rows, content = pd.read_csv(table), json.loads(tree.read_text())
    assert rows["file_name"].tolist() == ["0.png", "1.png", "2.png", "4.dcm", "broken.png"]
    assert rows["error"].isna().tolist() == [True] * 4 + [False]
    card = read_card(served / "run")

    squares = tmp_path / "squares"
    squares.mkdir()
    for number, path in enumerate(readable(served)):
        square = to_square(read_film(path).pixels, PREPARED)
        Image.fromarray(square).save(squares / f"{number}.png")
    images = Images([str(path) for path in sorted(squares.iterdir())], SIDE).take(np.arange(4))
    expected = np.mean(
        [np.asarray(keras.models.load_model(m.file)(images)) for m in card.members], axis=0
    )
    columns = {
        prefix: rows.loc[:3, [f"{prefix}_{label}" for label in LABELS]].to_numpy(float)
        for prefix in ("prob", "adjusted", "calibrated", "threshold", "positive")
    }
    np.testing.assert_allclose(columns["prob"], expected, atol=1e-6)
    undistorted = card.distortion.undistort(columns["prob"])
    np.testing.assert_allclose(columns["adjusted"], undistorted, atol=1e-12)
    told = calibrate(card.calibration(), LABELS, undistorted, "isotonic")
    np.testing.assert_allclose(columns["calibrated"], told, atol=1e-12)
    decided = np.isfinite(columns["threshold"])
    assert decided[:, [0, 2]].all()
    assert not decided[:, 1].any()  # of the second label nothing is known
    calls = columns["prob"] > columns["threshold"]
    assert np.array_equal(columns["positive"][decided], calls[decided])
    assert np.isnan(columns["positive"][~decided]).all()

    assert [image["file"] for image in content["images"]] == rows["file"].tolist()[:4]
    assert [one["file"] for one in content["unreadable"]] == rows["file"].tolist()[4:]
    for number, image in enumerate(content["images"]):
        for k, label in enumerate(LABELS):
            assert image["labels"][label]["probability"] == columns["prob"][number, k]
            called = image["labels"][label]["positive"]
            assert called == (bool(columns["positive"][number, k]) if decided[number, k] else None)
    about = content["labels"][LABELS[0]]
    assert "Youden on 90 out-of-fold predictions" in about["from"]
    assert (about["threshold"], about["prevalence"]) == (
        columns["threshold"][0, 0],
        pytest.approx(0.21),
    )
    assert NOTICE in content["notice"]


def evaluated(capsys, *words) -> str:
    with pytest.raises(SystemExit) as end:
        main(["evaluate", *map(str, words)])
    said = capsys.readouterr()
    assert end.value.code == 0, said.err
    return said.out


def test_its_table_joins_labels_without_a_key(served, capsys, tmp_path):
    run(capsys, served / "run", served / "films", "--out", tmp_path / "p.csv")
    rows = [(n, f"pat{n}", *((n + k) % 2 for k in range(3))) for n in (2, 1, 0)]
    table = pd.DataFrame(rows, columns=["number", "Patient ID", *LABELS])
    given = ("--predictions", tmp_path / "p.csv")
    prob = pd.read_csv(tmp_path / "p.csv").loc[:2, [f"prob_{label}" for label in LABELS]]

    table.assign(number=[f"{n}.png" for n in table["number"]]).to_csv(tmp_path / "raw.csv")
    out = evaluated(capsys, *given, "--labels", tmp_path / "raw.csv", "--out", tmp_path / "raw")
    assert "Joined on file = number: 3 rows." in out
    assert "Not used, of the predictions" not in out
    assert "1 predicted rows have no score" in out
    assert "resamples of whole patients" in out
    found = pd.read_csv(tmp_path / "raw" / "predictions.csv")
    assert found["image"].tolist() == ["0.png", "1.png", "2.png"]
    assert np.array_equal(found[list(prob)], prob)
    assert found[f"true_{LABELS[0]}"].tolist() == [0, 1, 0]

    labels = table.assign(number=[f"{n}.png" for n in table["number"]])
    labels.to_csv(tmp_path / "labels.csv", index=False)
    films = tmp_path / "films"
    films.mkdir()
    for n in range(3):
        (films / f"{n}.png").write_bytes((served / "films" / f"{n}.png").read_bytes())
    prep = ["prep", "table", "--images", films, "--labels", tmp_path / "labels.csv"]
    words = ["--out", str(tmp_path / "data"), "--image-size", "32", "--workers", "0"]
    with pytest.raises(SystemExit) as end:
        main([*map(str, prep), *words])
    assert end.value.code == 0
    capsys.readouterr()
    evaluated(capsys, *given, "--labels", tmp_path / "data", "--out", tmp_path / "prepared")
    prepared = pd.read_csv(tmp_path / "prepared" / "predictions.csv")
    assert sorted(prepared["image"]) == [f"images/{n}.png" for n in range(3)]
    same = [*prob, *(f"true_{label}" for label in LABELS), "patient"]
    assert prepared[same].equals(found[same])  # the same pseudonyms too


def test_earlier_answers_are_replaced_only_where_that_is_asked_for(served, capsys, tmp_path):
    film, files = served / "films" / "0.png", [tmp_path / "p.csv", tmp_path / "p.json"]
    words = [word for file in files for word in ("--out", file)]
    assert run(capsys, served / "model", film, *words)[0] == 0
    before = [file.read_bytes() for file in files]
    other = served / "films" / "1.png"
    for word in files:
        code, out, err = run(capsys, served / "model", other, "--out", word)
        assert (code, out) == (1, "")
        assert "--overwrite" in err
    assert [file.read_bytes() for file in files] == before
    assert run(capsys, served / "model", other, *words, "--overwrite")[0] == 0
    assert not {file.read_bytes() for file in files} & set(before)
    labels = tmp_path / "labels.csv"
    labels.write_text("image,Mass\na.png,1\n")
    code, _, err = run(capsys, served / "model", film, "--out", labels, "--overwrite")
    assert code == 1
    assert "something else" in err
    assert labels.read_text() == "image,Mass\na.png,1\n"


def test_json_alone_goes_to_standard_output(served, capsys):
    code, out, _ = run(capsys, served / "model", served / "films", "--json")
    assert code == 0
    assert len(json.loads(out)["images"]) == 4


def test_nothing_of_a_dicom_header_is_told(served, capsys, tmp_path):
    files = [tmp_path / "p.csv", tmp_path / "p.json"]
    write_dicom(tmp_path / "knee.dcm", "KNEE")
    films = served / "films" / "4.dcm", tmp_path / "knee.dcm"
    _, out, err = run(capsys, served / "run", *films, *(w for f in files for w in ("--out", f)))
    for text in (out, err, *(file.read_text() for file in files)):
        for secret in ("Mustermann", "Erika", "4711", "19640812"):
            assert secret not in text


def test_another_body_part_is_refused_unless_asked_for(served, capsys, tmp_path):
    write_dicom(tmp_path / "knee.dcm", "KNEE")
    code, out, err = run(capsys, served / "model", tmp_path / "knee.dcm")
    assert code == 1
    assert "knee.dcm: body part KNEE: not a chest radiograph" in out
    assert "None of 1 files could be read" in err
    code, out, _ = run(capsys, served / "model", tmp_path / "knee.dcm", "--any-body-part")
    assert code == 0
    assert "probability" in out


def test_if_nothing_can_be_read_nothing_is_written(served, capsys, tmp_path):
    table = tmp_path / "p.csv"
    words = (served / "films" / "broken.png", tmp_path / "filmz", "--out", table)
    code, out, err = run(capsys, served / "model", *words)
    assert code == 1
    assert "filmz: there is no such file" in out
    assert "Written" not in out
    assert "None of 2 files could be read: " in err
    assert not table.exists()


def test_evaluate_scores_what_predict_writes(served, capsys, tmp_path):
    table, labels = tmp_path / "p.csv", tmp_path / "labels.csv"
    assert run(capsys, served / "run", *readable(served), "--out", table)[0] == 0
    truth = pd.DataFrame({"image": ["0.png", "1.png", "2.png", "4.dcm"], LABELS[0]: [1, 0, 1, 0]})
    truth.to_csv(labels, index=False)
    key = ("--key", "file_name=image", "--out", tmp_path / "scored")
    with pytest.raises(SystemExit) as end:
        main(list(map(str, ["evaluate", "--predictions", table, "--labels", labels, *key])))
    assert end.value.code == 0
    scores = json.loads((tmp_path / "scored" / "metrics.json").read_text())
    assert scores["images"] == 4


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--operating-point", "best"], 2, "--operating-point must be one of corrected, "),
        (["--out", "p.xls"], 2, "FILE.csv, FILE.xlsx or FILE.json"),
        (["--calibrate", "magic"], 2, "temperature"),
        (["--calibrate", "temperature"], 1, "no calibration"),
        (["--operating-point", "sensitivity=0.5"], 1, "no operating point sensitivity=0.5"),
    ],
)
def test_wrong_options_are_refused_before_the_work(served, capsys, words, code, message):
    found, _, err = run(capsys, served / "model", served / "films", *words)
    assert (found, message in err) == (code, True)


def test_without_a_model_or_files_it_says_what_is_missing(served, capsys):
    code, _, err = run(capsys, served / "films", served / "films")
    assert (code, "There is no model at" in err) == (1, True)
    code, _, err = run(capsys, served / "model")
    assert (code, "FILES" in err) == (2, True)


@pytest.mark.real
def test_real_files_are_seen_as_prep_and_training_see_them(real, served, tmp_path, capsys):
    write_model(tmp_path / "model", preparation={"image_size": 512, "pad": False, "stretch": None})
    originals = sorted(real("nih_originals").iterdir())
    four_channels = [path for path in originals if path.read_bytes()[25] == 6]  # PNG colour type
    chest = [real("dicom", "chest", f"{name}.dcm") for name in ("RG1_J2KR", "test1")]
    films = [*sorted({*originals} - {*four_channels})[:2], *four_channels[:3], *chest]
    assert len(films) == 7
    copies = tmp_path / "copies"
    copies.mkdir()
    for film in films:
        (copies / film.name).write_bytes(film.read_bytes())
    labels = pd.DataFrame({"image": [film.name for film in films], "Mass": 0})
    labels.to_csv(tmp_path / "labels.csv", index=False)
    prep = ["prep", "table", "--images", copies, "--labels", tmp_path / "labels.csv", "--public"]
    with pytest.raises(SystemExit) as end:
        main(list(map(str, [*prep, "--out", tmp_path / "data", "--workers", "0", "--no-near"])))
    assert end.value.code == 0
    manifest = pd.read_csv(tmp_path / "data/manifest.csv")
    paths = [str(tmp_path / "data" / image) for image in manifest["image"]]
    images = Images(paths, SIDE).take(np.arange(len(paths)))
    expected = np.asarray(keras.models.load_model(tmp_path / "model/model.keras")(images))
    table = tmp_path / "p.csv"
    capsys.readouterr()
    assert run(capsys, tmp_path / "model", *films, "--out", table)[0] == 0
    rows = pd.read_csv(table).set_index("file_name")
    assert len(rows) == len(films)
    columns = [f"prob_{label}" for label in LABELS]
    uids = {pydicom.dcmread(path).SOPInstanceUID: path.name for path in chest}
    found = rows.loc[manifest["source_id"].replace(uids), columns].to_numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)
