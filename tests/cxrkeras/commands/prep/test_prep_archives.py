"""`cxrkeras prep nih`, `prep chexpert`, and the sample that every verb can take."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from cxrkeras.cli import main
from data_prep.dataset.publish import MANIFEST
from data_prep.tables.vocabulary import CHEXPERT5, CHEXPERT14

NIH = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]\n"
)


def write_film(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    small = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 12), np.uint8))
    small.resize((64, 64), Image.Resampling.BICUBIC).save(path)


@pytest.fixture
def nih(tmp_path):
    """Eight films of four patients, a ninth that isn't here, lists and a box."""
    root, table = tmp_path / "nih", NIH
    for number in range(9):
        image = f"{number // 2:08d}_{number % 2:03d}.png"
        finding = "Nodule|Mass" if number % 3 == 0 else "No Finding"
        table += f"{image},{finding},0,{number // 2},50,F,PA,2500,2048,0.1,0.1\n"
        if number < 8:
            write_film(root / f"images_{1 + number % 2:03d}" / "images" / image, number)
    (root / "Data_Entry_2017_v2020.csv").write_text(table)
    (root / "test_list.txt").write_text("00000000_000.png\n00000000_001.png\n")
    boxes = "Image Index,Finding Label,Bbox [x,y,w,h],,,\n00000000_000.png,Mass,512,0,256,128\n"
    (root / "BBox_List_2017.csv").write_text(boxes)
    return root


@pytest.fixture
def chexpert(tmp_path):
    """One study of two views to train on, one film to validate on."""
    root = tmp_path / "raw" / "CheXpert-v1.0"
    films = {
        "train": ["patient00001/study1/view1_frontal", "patient00001/study1/view2_lateral"],
        "valid": ["patient64541/study1/view1_frontal"],
    }
    for split, names in films.items():
        header = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *CHEXPERT14]
        rows = [header]
        for number, name in enumerate(names):
            write_film(root / split / f"{name}.jpg", 10 * (split == "valid") + number)
            side = name.rsplit("_", 1)[1].capitalize()
            codes = ["1.0", "-1.0", *[""] * 12]
            rows.append([f"CheXpert-v1.0/{split}/{name}.jpg", "Male", 50, side, "AP", *codes])
        with (root / f"{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return root


def run(verb, *words, size=32):
    with pytest.raises(SystemExit) as exit_:
        main(["prep", verb, *map(str, words), "--image-size", str(size), "--workers", "0"])
    return exit_.value.code


def manifest(out):
    with (out / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_nih_is_prepared_with_its_boxes_and_public_identifiers(nih, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("nih", nih, "--out", out) == 0
    said = capsys.readouterr().out
    for words in (
        "8 of 9 images of the table are here",
        "official split: test 2",
        "boxes: 1 of the 1",
        f"{out}: prepared: 8 images of 4 patients",
        "1  file not found",
        f"Next: cxrkeras pretrain --source imagenet,nih={out}",
    ):
        assert words in said
    assert "pseudonyms" not in said
    rows = manifest(out)
    assert [(row["source_id"], row["patient"], row["split"]) for row in rows[:3]] == [
        ("00000000_000.png", "0", "test"),
        ("00000000_001.png", "0", "test"),
        ("00000001_000.png", "1", ""),
    ]
    assert rows[0]["image"] == "images/00000000_000.png"
    boxes = (out / "boxes.csv").read_text()
    assert boxes.splitlines()[1] == "images/00000000_000.png,Mass,16.00,0.00,8.00,4.00"
    description = json.loads((out / "dataset.json").read_text())
    assert "CVPR 2017" in description["citation"]
    assert run("nih", nih, "--out", out) == 0
    assert "already prepared, nothing done" in capsys.readouterr().out


def test_nih_without_the_images_of_two_lists(nih, tmp_path):
    lists = [tmp_path / name for name in ("rotated.csv", "lateral.csv")]
    for number, path in enumerate(lists):
        path.write_text(f"0000000{number}_000.png\n")
    words = [word for path in lists for word in ("--exclude", path)]
    assert run("nih", nih, "--out", tmp_path / "out", *words) == 0
    rejected = (tmp_path / "out" / "rejected.csv").read_text().splitlines()
    assert rejected[2:] == [
        "00000000_000.png,excluded by rotated.csv",
        "00000001_000.png,excluded by lateral.csv",
    ]
    assert len(manifest(tmp_path / "out")) == 6


def test_adjudicated_labels_score_a_nih_models_predictions(nih, tmp_path, capsys):
    table, out = tmp_path / "four.csv", tmp_path / "out"
    lines = ["Image Index,Nodule or mass,Fracture"]
    lines += [f"0000000{n // 2}_00{n % 2}.png,{('NO', 'YES')[n % 2]},NO" for n in range(6)]
    table.write_text("\n".join(lines))
    assert run("nih", nih, "--out", out, "--adjudicated", table) == 0
    assert f"cxrkeras evaluate --predictions FILE --labels {out}" in capsys.readouterr().out
    assert len(manifest(out)) == 6
    assert not (out / "boxes.csv").exists()
    scores = "image,prob_Nodule,prob_Mass\n"
    scores += "".join(
        f"{row['image']},{0.1 * n},{0.05 * n}\n" for n, row in enumerate(manifest(out))
    )
    (tmp_path / "p.csv").write_text(scores)
    words = ["evaluate", "--predictions", tmp_path / "p.csv", "--labels", out]
    with pytest.raises(SystemExit) as exit_:
        main([str(word) for word in [*words, "--out", tmp_path / "scored"]])
    assert exit_.value.code == 0
    assert "scored against the highest of Nodule, Mass" in capsys.readouterr().out
    metrics = json.loads((tmp_path / "scored" / "metrics.json").read_text())
    assert metrics["per_label"]["Nodule or mass"]["pooled"]["auroc"] == pytest.approx(2 / 3)


def test_chexpert_is_prepared_and_scored_per_study(chexpert, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("chexpert", chexpert.parent, "--out", out, "--views", "all") == 0
    assert f"imagenet,chexpert={out}" in capsys.readouterr().out
    rows = manifest(out)
    assert [(row["patient"], row["study"], row["view"], row["split"]) for row in rows] == [
        ("patient00001", "patient00001/study1", "AP", "train"),
        ("patient00001", "patient00001/study1", "LATERAL", "train"),
        ("patient64541", "patient64541/study1", "AP", "valid"),
    ]
    assert [rows[0][label] for label in CHEXPERT14[:3]] == ["1", "-1", ""]
    scores = "image,prob_No Finding\n"
    scores += "".join(f"{row['image']},0.{number + 1}\n" for number, row in enumerate(rows))
    (tmp_path / "p.csv").write_text(scores)
    words = ["evaluate", "--predictions", tmp_path / "p.csv", "--labels", out, "--per", "study"]
    with pytest.raises(SystemExit) as exit_:
        main([str(word) for word in [*words, "--out", tmp_path / "scored"]])
    assert exit_.value.code == 0
    assert "Per study: 3 images are 2 studies" in capsys.readouterr().out
    scored = (tmp_path / "scored" / "predictions.csv").read_text().splitlines()
    assert [line.split(",")[1:4] for line in scored[1:]] == [
        ["patient00001", "0", "0.2"],
        ["patient64541", "0", "0.3"],
    ]


def test_chexperts_five_labels_frontal_from_one_table(chexpert, tmp_path):
    words = ["--label-set", "chexpert5", "--table", chexpert / "train.csv"]
    assert run("chexpert", chexpert, "--out", tmp_path / "out", *words) == 0
    (row,) = manifest(tmp_path / "out")
    assert tuple(row)[len(MANIFEST) :] == CHEXPERT5
    rejected = (tmp_path / "out" / "rejected.csv").read_text()
    assert "valid/patient64541/study1/view1_frontal.jpg,no row in the table" in rejected


def test_every_verb_takes_a_sample_of_whole_patients(nih, tmp_path, capsys):
    assert run("nih", nih, "--out", tmp_path / "a", "--limit", "4", "--seed", "3") == 0
    assert "sample: 4 of 8 images, 2 of 4 patients, seed 3" in capsys.readouterr().out
    chosen = [row["source_id"] for row in manifest(tmp_path / "a")]
    patients = {name[:8] for name in chosen}
    assert len(chosen) == 4
    assert len(patients) == 2
    table = tmp_path / "t.csv"
    lines = [f"{number // 2:08d}_{number % 2:03d}.png,{number // 2},1" for number in range(8)]
    table.write_text("\n".join(["image,patient,Mass", *lines]))
    words = ["--images", nih, "--labels", table, "--public", "--limit", "4", "--seed", "3"]
    assert run("table", *words, "--out", tmp_path / "b") == 0
    names = [row["source_id"].rsplit("/", 1)[1] for row in manifest(tmp_path / "b")]
    assert names == chosen  # the patients decide, not the layout


BAD = {
    "no archive": (lambda t: ("nih", t / "none", "--out", t / "o"), 1, "There is no folder"),
    "an empty folder": (lambda t: ("chexpert", t, "--out", t / "../o"), 1, "There is no train.csv"),
    "out inside": (
        lambda t: ("nih", t / "nih", "--out", t / "nih/o"),
        1,
        "lies inside the archive",
    ),
    "limit 0": (lambda t: ("nih", t, "--out", t / "o", "--limit", "0"), 2, "--limit"),
    "labels": (
        lambda t: ("chexpert", t, "--out", t / "o", "--label-set", "nih14"),
        2,
        "chexpert14",
    ),
    "no list": (
        lambda t: ("nih", t / "nih", "--out", t / "o", "--exclude", t / "gone.csv"),
        1,
        "There is no file",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_calls_are_refused_and_leave_nothing(nih, tmp_path, capsys, case):
    words, code, said = BAD[case]
    assert run(*words(tmp_path)) == code
    error = capsys.readouterr().err
    assert said in error
    if code == 1:
        assert error.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_help_is_quick_and_tells_where_to_download():
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from cxrkeras.commands.prep.verbs import command\n"
        "for verb, words in (('nih', 'nihcc.app.box.com'), ('chexpert', 'stanfordmlgroup')):\n"
        "    shown = CliRunner().invoke(command, [verb, '--help-all']).output\n"
        "    assert words in shown and 'Cite: ' in shown, shown\n"
        "    assert '  Examples:\\n    cxrkeras prep ' + verb in shown, shown\n"
        "print({'numpy', 'pandas', 'pydicom', 'tensorflow', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
