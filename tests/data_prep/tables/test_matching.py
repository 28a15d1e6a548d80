"""Which file a cell means, and which it must never mean."""

import pytest

from data_prep.errors import UserError
from data_prep.tables.matching import FileIndex
from tests.data_prep.readers.archives import write_dicom

NAMES = ["a.png", "b/c.jpg", "p1/s/v.png", "p2/s/v.png", "p2/s/w.png", "x.dcm", "1.2.840.7.9"]


@pytest.fixture
def index(tmp_path):
    root = tmp_path / "root"
    for name in [*NAMES, "note.txt", ".hidden.png"]:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "secret.png").write_bytes(b"")
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "inner.png").symlink_to(root / "a.png")
    return FileIndex(root)


def test_files_are_found_recursively(index):
    assert index.keys == sorted([*NAMES, "inner.png"])
    assert index.escapes == {"link.png"}


@pytest.mark.parametrize(
    ("cell", "key"),
    [
        ("a.png", "a.png"),
        ("./a.png", "a.png"),
        ("a", "a.png"),
        ("a.dcm", "a.png"),
        ("c.jpg", "b/c.jpg"),
        ("c", "b/c.jpg"),
        ("b\\c.jpg", "b/c.jpg"),
        ("archive/v1/b/c.jpg", "b/c.jpg"),
        ("p1/s/v.png", "p1/s/v.png"),
        ("set/p2/s/v.png", "p2/s/v.png"),
        ("s/w", "p2/s/w.png"),
        ("1.2.840.7.9", "1.2.840.7.9"),
        ("1.2.840.7.9.dcm", "1.2.840.7.9"),
        ("absent.png", None),
        ("p3/s/w.png", None),
        ("other/c.jpg", None),
        ("note.txt", None),
        ("", None),
    ],
)
def test_a_cell_names_a_file(index, cell, key):
    assert index.find(cell, "Data row 1") == key


def test_an_absolute_path_inside_is_understood(index):
    assert index.find(str(index.root / "b" / "c.jpg"), "Data row 1") == "b/c.jpg"


@pytest.mark.parametrize(
    "cell",
    ["../secret.png", "b/../../secret.png", "/etc/passwd.png", "C:\\x.png", "..\\secret.png"],
)
def test_a_path_that_climbs_out_is_refused(index, cell):
    with pytest.raises(UserError, match="Data row 7 names a path outside") as error:
        index.find(cell, "Data row 7")
    assert "\n" not in str(error.value)


def test_a_link_out_is_refused(index):
    with pytest.raises(UserError, match="link that leads out"):
        index.find("link.png", "Data row 1")


@pytest.mark.parametrize("cell", ["v.png", "s/v.png", "v"])
def test_a_name_of_two_files_is_refused(index, cell):
    with pytest.raises(UserError, match="2 files answer to"):
        index.find(cell, "Data row 2")


def test_a_dicom_file_is_found_by_its_uid(tmp_path):
    uid = "1.2.276.0.99.5"
    write_dicom(tmp_path / "one.dcm", 1, SOPInstanceUID=uid)
    write_dicom(tmp_path / "two.dcm", 2)
    (tmp_path / "broken.dcm").write_bytes(b"nothing")
    index = FileIndex(tmp_path)
    assert index.find(uid, "Data row 1") == "one.dcm"
    assert index.find("1.2.276.0.99.6", "Data row 1") is None


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(UserError, match="no image or DICOM"):
        FileIndex(tmp_path)
    with pytest.raises(UserError, match="no folder"):
        FileIndex(tmp_path / "absent")
