"""What a DICOM file is called, and its header's text, stay out of pictures, maps and answers."""

import os
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from cxrkeras.cli import main
from cxrkeras.serving.explain.folder import overlay_name
from cxrkeras.serving.predict.film_names import unique_names
from data_prep.dataset.identity import keyed_hash, load_key
from data_prep.tables.table import read_table
from tests.cxrkeras.serving.served_runs import write_model

MARK, UID = "ZQMUELLER", "1.2.826.0.1.4711"


def write_dicom(path: Path, uid: str = UID) -> Path:
    """A film whose file name and free text name somebody."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = uid or "1.2"
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    pixels = np.random.default_rng(7).integers(0, 4096, (40, 40)).astype(np.uint16)
    about = {"PatientName": MARK, "BodyPartExamined": f"THX {MARK}", "ViewPosition": MARK}
    about |= {"StudyDescription": MARK, "Modality": "DX", "SamplesPerPixel": 1}
    about |= {"PhotometricInterpretation": "MONOCHROME2", "PixelRepresentation": 0}
    about |= {"BitsAllocated": 16, "BitsStored": 12}
    about |= {"HighBit": 11, "Rows": 40, "Columns": 40, "PixelData": pixels.tobytes()}
    dataset.update(about | ({"SOPInstanceUID": uid} if uid else {}))
    dataset.save_as(path)
    return path


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_explain_and_predict_tell_nothing_of_a_dicom_but_where_it_lies(tmp_path, capsys):
    write_model(tmp_path / "model")
    films, out = tmp_path / "films", tmp_path / "why"
    films.mkdir()
    film = write_dicom(films / f"{MARK}.dcm")
    grey = np.random.default_rng(1).integers(0, 256, (40, 40)).astype(np.uint8)
    odd = films / os.fsdecode(b"caf\xe9\n.png")
    Image.fromarray(grey).save(odd)
    key = tmp_path / "key"
    for verb in (
        ["explain", tmp_path / "model", films, "--out", out, "--labels", "all", "--key-file", key],
        ["predict", tmp_path / "model", films, "--out", tmp_path / "p.csv", "--json"],
    ):
        with pytest.raises(SystemExit) as ended:
            main([*map(str, verb), "--workers", "0"])
        assert ended.value.code == 0
    said = capsys.readouterr().out
    own = keyed_hash(load_key(key), "sop", UID)
    assert {path.name for path in (out / "sheets").iterdir()} == {f"{own}.png", "caf.png"}
    table = read_table(out / "explained.csv")
    assert set(table["name"]) == {own, "caf"}
    assert set(table["file"]) == {str(film), f"{films}/caf\\xe9\\n.png"}
    assert set(read_table(tmp_path / "p.csv")["file_name"]) == {film.name, "caf\\xe9\\n.png"}
    for text in (said, (tmp_path / "p.csv").read_text(), (out / "explained.csv").read_text()):
        assert MARK not in text.replace(film.name, "")
    for path in out.rglob("*"):
        assert MARK not in path.name
        if path.is_file() and path.name != "explained.csv":
            assert MARK.encode() not in path.read_bytes()


def test_names_are_told_apart_and_hashed_by_content_not_by_ending(tmp_path):
    named = [write_dicom(tmp_path / "a.dcm"), write_dicom(tmp_path / "b.png")]
    lone = write_dicom(tmp_path / "c", uid="")
    plain = tmp_path / "film.png"
    plain.write_bytes(b"\x89PNG and no more")
    key = load_key(tmp_path / "key")
    own, none = keyed_hash(key, "sop", UID), keyed_hash(key, "file", "c")
    files = [*named, lone, plain, tmp_path / "absent.dcm", tmp_path]
    names = unique_names(files, tmp_path / "key")
    assert names == [own, f"{own}~2", none, "film", "absent", tmp_path.name]


def test_no_key_is_made_where_no_film_is_dicom(tmp_path):
    (tmp_path / "film.png").write_bytes(b"\x89PNG")
    assert unique_names([tmp_path / "film.png"], tmp_path / "key") == ["film"]
    assert not (tmp_path / "key").exists()


@pytest.mark.parametrize("letter", ["a", "é", "胸", "𝔞"])
def test_long_names_fit_into_a_file_name_with_a_label_and_stay_apart(letter):
    """A system's bound is 255 bytes; the files are written under longer, temporary names."""
    stems = unique_names([Path(f"{letter * 60}{k}.png") for k in range(3)])
    assert len(set(stems)) == 3
    assert all(len(overlay_name(stem, letter * 200).encode()) <= 220 for stem in stems)
    assert all(stem.startswith(letter * 20) for stem in stems)
