"""The readers with boxes or masks: each real layout, boxes on prepared films, real tables."""

import gzip
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cxrkeras.registry import READERS
from data_prep.dataset.prepare import prepare
from data_prep.errors import UserError
from data_prep.readers import rsna, siim, vindr
from data_prep.readers.shared import places
from data_prep.readers.shared.places import box_of_corners, boxes_of_mask, run_length_mask, scaled
from data_prep.tables.table import read_table
from tests.data_prep.readers.archives import film
from tests.data_prep.readers.boxed_trees import PLACES, TREES, dcm, marked, runs, table
from tests.data_prep.readers.published import published

FAST = {"key": b"public", "public": True, "workers": 0, "progress": False}
SHAPES = [(128, 192), (192, 128), (128, 128)]

every_tree = pytest.mark.parametrize("layout", TREES)


def tree(layout, root):
    """The layout, of noise films of several shapes; its reader's name."""
    name, write = TREES[layout]
    films = [film(n, 192)[:rows, :columns] for n, (rows, columns) in enumerate(SHAPES)]
    return write(root, marked(films)), name


def read(raw, name, **options):
    return READERS.load(name)(**options).read(raw, name)


@every_tree
@pytest.mark.parametrize("pad", [False, True])
def test_boxes_lie_where_the_film_shows_them(layout, pad, tmp_path):
    raw, name = tree(layout, tmp_path / "raw")
    source = read(raw, name)
    assert len(source.records) == 3
    assert not source.rejected
    prepare(source, tmp_path / "out", size=64, pad=pad, **FAST)
    boxes = pd.read_csv(tmp_path / "out" / "boxes.csv")
    manifest = pd.read_csv(tmp_path / "out" / "manifest.csv")
    assert boxes["image"].nunique() == 2
    for image in manifest["image"]:
        drawn = np.zeros((64, 64), bool)
        for box in boxes[boxes["image"] == image].drop_duplicates().itertuples():
            left, top = round(box.x), round(box.y)
            drawn[top : round(box.y + box.height), left : round(box.x + box.width)] = True
        shown = _pixels(tmp_path / "out" / image) > 150
        assert (drawn ^ shown).sum() <= 0.05 * drawn.sum(), image


def _pixels(path):
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture)


@every_tree
def test_a_part_of_an_archive_says_what_is_missing(layout, tmp_path):
    raw, name = tree(layout, tmp_path)
    films = [p for p in raw.rglob("*.*") if p.suffix in (".png", ".dcm", ".dicom")]
    first = next(p for p in sorted(films) if "ask" not in str(p.relative_to(raw)))
    first.unlink()
    source = read(raw, name)
    assert len(source.records) == 2
    said = "2 of the collection's" if name in ("shenzhen", "montgomery") else "2 of 3 images"
    assert any(said in note for note in source.notes)


@pytest.mark.parametrize("name", sorted({name for name, _ in TREES.values()}))
def test_a_folder_of_another_archive_is_refused_with_the_cure(name, tmp_path):
    table(tmp_path / "Data_Entry_2017.csv", [["Image Index", "Finding Labels"], ["a.png", "Mass"]])
    dcm(tmp_path / "a.dcm", film(0, 64))
    with pytest.raises(UserError, match=r"There is no .+(Give|Download) ") as error:
        read(tmp_path, name)
    assert str(tmp_path) in str(error.value)


# What each archive says


def facts(source):
    return [dict(zip(source.labels, r.codes, strict=True)) for r in source.records]


@pytest.mark.parametrize(("rule", "wanted"), [("any", "1"), ("majority", "1"), ("all", "0")])
def test_vindr_counts_a_film_s_readers(rule, wanted, tmp_path):
    raw, name = tree("vindr_kaggle", tmp_path)
    source = read(raw, name, readers=rule)
    assert source.labels == vindr.KAGGLE14
    assert [codes["Cardiomegaly"] for codes in facts(source)] == [wanted, "0", wanted]
    assert len(source.boxes) == (0 if rule == "all" else 2 * (2 + 1))
    assert {code for codes in facts(source) for code in codes.values()} <= {"0", "1"}


def test_vindr_s_releases_differ_in_labels_and_parts(tmp_path):
    raw, name = tree("vindr_physionet", tmp_path)
    source = read(raw, name)
    assert source.labels == ("Aortic enlargement", "Cardiomegaly", "COPD", "Other disease")
    of = {r.split: codes for r, codes in zip(source.records, facts(source), strict=True)}
    assert of["test"] == dict(zip(source.labels, ("0", "1", "1", "1"), strict=True))
    assert [r.split for r in source.records] == ["train", "train", "test"]
    for path in raw.rglob("image_labels_*.csv"):
        path.unlink()
    alone = read(raw / "1.0.0", name)
    assert alone.labels == vindr.LOCAL22
    assert [codes["Cardiomegaly"] for codes in facts(alone)] == ["0", "1", "1"]


def test_vindr_s_boxes_may_be_missing_and_tables_gzipped(tmp_path):
    raw, name = tree("vindr_physionet", tmp_path)
    for path in list(raw.rglob("*.csv")):
        if path.name.startswith("image"):
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    source = read(raw, name)
    assert source.boxes is None
    assert "boxes: none (annotations_*.csv isn't in the folder)" in source.notes


def test_rsna_s_classes_and_nih_s_patients(tmp_path):
    raw, name = tree("rsna", tmp_path)
    source = read(raw, name)
    assert [r.codes for r in source.records] == [("1", "0"), ("0", "0"), ("1", "0")]
    assert [r.patient for r in source.records] == ["7", "7", "8"]
    (raw / "pneumonia-challenge-dataset-mappings_2018.json").unlink()
    (raw / "stage_2_detailed_class_info.csv").unlink()
    alone = read(raw, name)
    assert alone.labels == ("Opacity Suggesting Pneumonia",)
    assert len({r.patient for r in alone.records}) == 3
    assert any("NIH's may have several" in note for note in alone.notes)


def test_rsna_s_tables_must_agree(tmp_path):
    raw, name = tree("rsna", tmp_path)
    path = raw / "stage_2_detailed_class_info.csv"
    path.write_text(path.read_text().replace("Lung Opacity", "Normal"))
    with pytest.raises(UserError, match="differ in Lung Opacity on 2 films"):
        read(raw, name)


def test_siim_s_rows_of_a_film_are_one_mask(tmp_path):
    raw, name = tree("siim", tmp_path)
    source = read(raw, name)
    assert [r.codes for r in source.records] == [("1",), ("0",), ("1",)]
    found = [tuple(round(64 * s) for s in (b.x, b.y, b.width, b.height)) for b in source.boxes]
    assert sorted(found) == sorted([*PLACES[0], *PLACES[2]])
    later = (raw / "train-rle.csv").read_text().splitlines()[0] + "\n"
    kept = source.records[1].key
    (raw / "stage_2_train.csv").write_text(f"{later.replace(' ', '')}{kept},-1\n")
    assert [r.key for r in read(raw, name).records] == [kept]
    assert len(read(raw, name, table=raw / "train-rle.csv").records) == 3


@pytest.mark.parametrize("layout", ["shenzhen", "montgomery"])
def test_the_library_s_films_tell_sex_age_and_label(layout, tmp_path):
    raw, name = tree(layout, tmp_path)
    source = read(raw, name)
    sex, age = ("F", 35) if layout == "shenzhen" else ("M", 57)
    assert [(r.codes, r.sex, r.age, r.view) for r in source.records] == [
        ((code,), sex, age, "PA") for code in "010"
    ]
    assert {box.label for box in source.boxes} == {"Lung"}
    shutil.rmtree(raw / "ClinicalReadings")
    bare = read(raw.parent, name, lungs=False)
    assert bare.boxes is None
    assert {(r.sex, r.age) for r in bare.records} == {(None, None)}
    assert any("unknown of 3 films" in note for note in bare.notes)


def test_chestx_det_s_films_and_outlines(tmp_path):
    raw, name = tree("chestx_det", tmp_path)
    source = read(raw, name)
    assert [(r.split, r.patient) for r in source.records] == [
        ("train", None),
        ("train", None),
        ("test", "42"),
    ]
    assert [sum(map(int, r.codes)) for r in source.records] == [0, 1, 2]
    assert facts(source)[2]["Diffuse Nodule"] == facts(source)[2]["Effusion"] == "1"
    for path in raw.glob("*.json"):
        entries = json.loads(path.read_text())
        path.write_text(json.dumps([{**entry, "boxes": []} for entry in entries]))
    assert read(raw, name).boxes == source.boxes  # from the outlines


@pytest.mark.parametrize("layout", ["tbx11k", "tbx11k_xml"])
def test_tbx11k_s_kinds_follow_the_boxes(layout, tmp_path):
    raw, name = tree(layout, tmp_path)
    source = read(raw, name)
    assert [(r.codes, r.split) for r in source.records] == [
        (("1", "1", "1", "0"), "train"),
        (("0", "0", "0", "0"), "val"),
        (("1", "1", "0", "0"), "val"),
    ]
    assert [box.label for box in source.boxes][:2] == list(source.labels[1:3])


def test_tbx11k_s_kinds_that_nobody_knows_are_blank(tmp_path):
    raw, name = tree("tbx11k", tmp_path)
    path = raw / "annotations" / "json" / "TBX11K_train.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "annotations": []}))
    assert read(raw, name).records[0].codes == ("1", "", "", "0")
    for drawn in content["annotations"]:
        drawn["category_id"] = 3
    path.write_text(json.dumps(content))
    assert read(raw, name).records[0].codes == ("1", "", "", "0")
    assert {box.label for box in read(raw, name).boxes[:2]} == {"Active or Old Tuberculosis"}


@pytest.mark.parametrize(
    ("layout", "file", "old", "new", "said"),
    [
        (
            "vindr_kaggle",
            "train.csv",
            "Cardiomegaly",
            "Cardiomagely",
            "Nearest known: Cardiomegaly",
        ),
        ("vindr_kaggle", "train.csv", "class_name", "finding", r"There is no .+train\.csv in"),
        ("vindr_kaggle", "train.csv", ",R0,18,", ",R0,wide,", "line 2 isn't a box"),
        ("rsna", "stage_2_train_labels.csv", "96.0,192.0", "x,192.0", "line 2 isn't a box"),
        ("rsna", "stage_2_train_labels.csv", ",,,,,0", ",,,,,1", "line 4: Target is 1 exactly"),
        ("rsna", "stage_2_detailed_class_info.csv", "Normal", "Norm", "has the class 'Norm'"),
        ("siim", "train-rle.csv", " -1", " 12", "isn't pairs of whole numbers"),
        ("siim", "train-rle.csv", " -1", " 1048570 9", "beyond the 1024x1024 picture"),
        ("chestx_det", "ChestX_Det_test.json", "Effusion", "Effusoin", "Nearest known: Effusion"),
        ("chestx_det", "ChestX_Det_test.json", "[", "{", "isn't JSON"),
        ("chestx_det", "ChestX_Det_test.json", '"Effusion"', "", "isn't JSON"),
        ("tbx11k", "annotations/json/TBX11K_train.json", "bbox", "box", "isn't in COCO's form"),
        (
            "tbx11k",
            "annotations/json/TBX11K_val.json",
            "health/",
            "extra/da/",
            "outside imgs/health",
        ),
        ("tbx11k_xml", "annotations/xml/tb0000.xml", "xmin", "left", "Pascal VOC's form"),
    ],
)
def test_damage_is_named_in_one_line(layout, file, old, new, said, tmp_path):
    raw, name = tree(layout, tmp_path)
    text = (raw / file).read_text()
    assert old in text
    (raw / file).write_text(text.replace(old, new))
    with pytest.raises(UserError, match=said) as error:
        read(raw, name)
    assert "\n" not in str(error.value)


# Boxes and masks


def test_boxes_in_pixels_are_cut_to_their_film():
    box = box_of_corners("k", "Mass", (50, 10, 150, 40), "here")
    found = scaled(box, 100, 20)
    assert (found.x, found.y, found.width, found.height) == (0.5, 0.5, 0.5, 0.5)
    assert scaled(box, 40, 20).width == 0  # wholly beyond
    low = scaled(box_of_corners("k", "Mass", ("-10", -5.0, "10", 5), "here"), 20, 20)
    assert (low.x, low.y, low.width, low.height) == (0, 0, 0.5, 0.25)
    for corners in ((1, 1, 0, 2), (0, 0, "nan", 1), (0, 0, 1), ("", 0, 1, 1), (0, 0, "inf", 1)):
        with pytest.raises(UserError, match=r"^here"):
            box_of_corners("k", "Mass", corners, "here")


def test_boxes_that_no_prepared_film_can_show_are_left_out_and_counted(tmp_path):
    rows = [["image_id", "class_name", "rad_id", "x_min", "y_min", "x_max", "y_max"]]
    for number, turn in enumerate((None, ["L", "H"], None)):  # the second is upside down
        dcm(tmp_path / f"{number}.dicom", film(number, 64), PatientOrientation=turn)
        rows.append([number, "ILD", "R1", *((70, 70, 80, 80) if number == 2 else (8, 8, 16, 20))])
    table(tmp_path / "train.csv", rows)
    prepare(read(tmp_path, "vindr"), tmp_path / "out", size=32, **FAST)
    boxes = pd.read_csv(tmp_path / "out" / "boxes.csv")
    assert boxes.iloc[:, 1:].to_numpy().tolist() == [["ILD", 4, 4, 4, 6]]
    notes = json.loads((tmp_path / "out" / "dataset.json").read_text())["notes"]
    assert "warning: 1 boxes are empty or lie beyond their film: left out" in notes
    assert any("1 boxes are on films that were turned or mirrored" in note for note in notes)


def slowly(text: str, side: int) -> np.ndarray:
    """The run lengths pixel by pixel: an independent reading of the same words."""
    mask, place = np.zeros((side, side), bool), 0
    words = [int(word) for word in text.split()]
    for number in range(0, len(words), 2):
        place += words[number]
        for _ in range(words[number + 1]):
            mask[place % side, place // side] = True
            place += 1
    return mask


@given(arrays(bool, (7, 7)))
def test_run_lengths_are_read_as_pixel_by_pixel(mask):
    text = runs(mask)
    found = run_length_mask(text, 7, "x")
    assert (found == mask).all()
    if text != "-1":
        assert (found == slowly(text, 7)).all()


def flooded(mask: np.ndarray) -> set[tuple[int, int, int, int]]:
    """Left, top, right and bottom of each part, eight neighbours, by walking."""
    left, found = set(zip(*np.nonzero(mask), strict=True)), set()
    while left:
        part = [left.pop()]
        for y, x in part:
            near = {(y + a, x + b) for a in (-1, 0, 1) for b in (-1, 0, 1)} & left
            left -= near
            part += near
        down, across = zip(*part, strict=True)
        found.add((min(across), min(down), max(across) + 1, max(down) + 1))
    return found


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_a_box_around_each_part_of_a_mask(mask):
    rows, columns = mask.shape
    boxes = list(boxes_of_mask(mask, "k", "Mass"))
    found = [
        (b.x * columns, b.y * rows, (b.x + b.width) * columns, (b.y + b.height) * rows)
        for b in boxes
    ]
    assert sorted(flooded(mask)) == sorted(tuple(round(s, 6) for s in box) for box in found)


def test_large_masks_are_told_apart_coarsely_and_measured_exactly(monkeypatch):
    monkeypatch.setattr(places, "_LARGEST", 16)
    mask = np.zeros((70, 64), bool)
    mask[5:31, 3:18] = mask[40:69, 33:61] = mask[0, 63] = True
    boxes = list(boxes_of_mask(mask, "k", "Lung", least=0.01))
    assert sorted((b.x * 64, b.y * 70, b.width * 64, b.height * 70) for b in boxes) == [
        (3, pytest.approx(5), 15, pytest.approx(26)),
        (33, pytest.approx(40), 28, pytest.approx(29)),
    ]


# The real tables


@pytest.mark.slow
@pytest.mark.real
def test_vindr_s_real_table_is_counted_as_pandas_does():
    path = published("vinbigdata-train.csv.gz")
    raw = pd.read_csv(path)
    drawn = raw[raw["class_name"] != "No finding"]
    readers = drawn.groupby(["image_id", "class_name"])["rad_id"].nunique().unstack(fill_value=0)
    for rule, least in (("any", 1), ("majority", 2), ("all", 3)):
        part = vindr._Tables("train", None, path, vindr.KAGGLE14)
        read_ = vindr.vindr_table([part], rule)
        codes = read_.frame.set_index("image")[list(read_.labels)].astype(int)
        wanted = (readers >= least).reindex(codes.index, fill_value=False).astype(int)
        pd.testing.assert_frame_equal(
            codes, wanted[codes.columns], check_names=False, check_dtype=False
        )
    assert len(codes) == 15_000


@pytest.mark.slow
@pytest.mark.real
def test_rsna_s_real_table_is_counted_as_pandas_does(tmp_path):
    shutil.unpack_archive(published("kaggle_stage_2_train_labels.csv.zip"), tmp_path)
    path = tmp_path / "stage_2_train_labels.csv"
    raw = pd.read_csv(path)
    codes = rsna.rsna_table(read_table(path), path).frame.set_index("image")[rsna.SUGGESTIVE]
    wanted = raw.groupby("patientId")["Target"].max()
    assert codes.astype(int).loc[wanted.index].equals(wanted.rename(rsna.SUGGESTIVE))
    assert (len(codes), int(wanted.sum())) == (26_684, 6_012)
    boxes = np.array([(b.x, b.y, b.width, b.height) for b in rsna._boxes(read_table(path), path)])
    sides = raw[["x", "y", "width", "height"]].dropna().to_numpy()
    np.testing.assert_allclose(boxes * 1024, sides, atol=1e-9)


@pytest.mark.slow
@pytest.mark.real
def test_siim_s_real_table_is_counted_as_pandas_does():
    path = published("siim-pneumothorax-train-rle.csv.gz")
    raw = pd.read_csv(path)
    masked = raw[" EncodedPixels"].str.strip() != "-1"
    frame = read_table(path)
    codes = siim.siim_table(frame, path).frame.set_index("image")["Pneumothorax"]
    wanted = masked.groupby(raw["ImageId"]).any().astype(int)
    assert codes.astype(int).loc[wanted.index].tolist() == wanted.tolist()
    assert (len(codes), int(wanted.sum())) == (12_047, 2_669)
    for text in frame.loc[frame["EncodedPixels"] != "-1", "EncodedPixels"][:6]:
        assert (run_length_mask(text, 1024, "x") == slowly(text, 1024)).all()
