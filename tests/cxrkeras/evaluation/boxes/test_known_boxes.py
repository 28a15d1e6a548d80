"""Tables of boxes: ours and NIH's; and what is no such table."""

import pytest

from cxrkeras.evaluation.boxes.known_boxes import image_key, read_known_boxes
from data_prep.errors import UserError

HEAD = "image,label,x,y,width,height\n"


def write(path, text):
    path.write_text(text)
    return path


def test_boxes_are_found_by_image_and_finding_whatever_the_spelling(tmp_path):
    table = "images/a.png,Pleural Effusion,10,20,30,40\nimages/a.png,Effusion,0,0,5,5\n"
    table += "b.png,X,1,1,1,1\n"
    known = read_known_boxes(write(tmp_path / "boxes.csv", HEAD + table), 100)
    assert known.images == {"a", "b"}
    assert known.labels == ("Effusion", "X")
    assert known.on("elsewhere/a.dcm", "effusion", 200).tolist() == [
        [20, 40, 60, 80],
        [0, 0, 10, 10],
    ]
    assert known.on("a.png", "Mass", 200) is None


def test_names_without_folder_and_ending():
    assert image_key("images/a.b.png") == "a.b"
    assert image_key("C:\\films\\x.dcm") == "x"
    assert image_key("plain") == "plain"
    assert image_key("films/1.2.840.5") == image_key("1.2.840.5.png") == "1.2.840.5"


def test_two_images_of_one_name_are_refused(tmp_path):
    rows = "p1/view1.jpg,X,1,1,1,1\np1/view1.jpg,Y,1,1,1,1\np2/view1.jpg,X,1,1,1,1\n"
    with pytest.raises(UserError, match=r"p1/view1\.jpg and p2/view1\.jpg"):
        read_known_boxes(write(tmp_path / "boxes.csv", HEAD + rows), 100)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,label,x,y\na,b,1,2\n", "lacks width, height"),
        (HEAD + "a,b,1,2,three,4\n", "four numbers"),
        (HEAD + "a,b,90,2,20,4\n", "within its image of 100 px"),
        (HEAD + "a,b,1,2,0,4\n", "within its image"),
        (HEAD + "a,b,nan,2,3,4\n", "within its image"),
    ],
)
def test_what_is_no_box_is_refused_by_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read_known_boxes(write(tmp_path / "boxes.csv", text), 100)
    with pytest.raises(UserError, match="Not found"):
        read_known_boxes(tmp_path / "none.csv", 100)


@pytest.mark.real
def test_the_list_of_nih_knows_its_own_pixels(real):
    path = real("metadata", "BBox_List_2017.csv.gz")
    known = read_known_boxes(path, 512)
    assert sum(len(boxes) for boxes in known.of.values()) == 984
    assert len(known.images) == 880
    assert set(known.labels) == {
        *("Atelectasis", "Cardiomegaly", "Effusion", "Infiltration"),
        *("Mass", "Nodule", "Pneumonia", "Pneumothorax"),
    }
    (box,) = known.on("00013118_008.png", "Atelectasis", 512)
    assert box == pytest.approx(
        [225.084745762712 / 2, 547.019216763771 / 2, 43.3898, 39.5932], 1e-4
    )
