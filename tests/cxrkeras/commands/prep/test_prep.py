"""`cxrkeras prep`: what it says, and that bad input is one line with nothing half-written."""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrkeras.cli import main
from cxrkeras.commands.prep.verbs import command
from cxrkeras.data.dataset import load_dataset
from cxrkeras.data.folds.folds import make_folds
from cxrkeras.data.images import Images
from cxrkeras.data.preparation import linked_patients
from data_prep.errors import UserError

HEADER = "image,patient,Mass,Nodule"


@pytest.fixture
def films(tmp_path, monkeypatch):
    """Four random films, and a key file of the test's own."""
    monkeypatch.setenv("CXRKERAS_KEY_FILE", str(tmp_path / "key"))
    folder = tmp_path / "films"
    folder.mkdir()
    noise = np.random.default_rng(0)
    for number in range(4):
        small = Image.fromarray(noise.integers(0, 256, (12, 12), np.uint8))
        small.resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"f{number}.png")
    return folder


def run(films, table: str | bytes, *options: str, verb: str = "table"):
    """The exit code of `prep VERB` on a table's content."""
    path = films.parent / "t.csv"
    path.write_bytes(table if isinstance(table, bytes) else table.encode())
    given = {"table": "--labels", "eda": "--table"}[verb]
    arguments = ["prep", verb, "--images", films, given, path, "--out", films.parent / "out"]
    arguments += ["--image-size", "32", "--workers", "0", *options]
    with pytest.raises(SystemExit) as exit_:
        main([str(word) for word in arguments])
    return exit_.value.code


def good(encoding="utf-8", separator=","):
    lines = [HEADER, "f0.png,A,1,0", "f1.png,A,0,1", "f2.png,B,-1,", "gone.png,C,1.0,0.0"]
    return "\n".join(lines).replace(",", separator).encode(encoding)


def test_it_says_what_it_understood_what_came_out_and_what_is_next(films, capsys):
    assert run(films, good()) == 0
    said = capsys.readouterr().out
    out = films.parent / "out"
    for words in (
        "image column: image (3 of 4 rows name a file)",
        "patient column: patient",
        "labels: Mass, Nodule",
        f"with the key {films.parent / 'key'}",
        "keep their file names (--hash-names",
        f"{out}: prepared: 3 images of 2 patients",
        "rejected: 2 (in rejected.csv)",
        "1  file not found",
        "1  no row in the table",
        f"Next: cxrkeras cv --data {out} --preset cpu\n(with a GPU: --preset gpu)",
    ):
        assert words in said
    assert run(films, good()) == 0
    assert "already prepared, nothing done" in capsys.readouterr().out


def test_labels_without_negatives_or_positives_are_told(films, capsys):
    rows = ["image,patient,A,B,C,D", "f0.png,P,1,1,0,1", "f1.png,P,1,,,0", "f2.png,Q,1,,0,"]
    for _ in range(2):
        assert run(films, "\n".join(rows)) == 0
        said = capsys.readouterr().out
        assert "warning: no positives, so nothing to score: C\n" in said
        assert "warning: no negatives, so nothing to score: A\n" in said
        assert "warning: no negatives: B. `cxrkeras cv` counts" in said


def test_a_workbook_is_a_table_too(films, capsys):
    rows = [line.split(",") for line in good().decode().splitlines()]
    frame = pd.DataFrame(rows[1:], columns=rows[0])
    frame.to_excel(films.parent / "t.xlsx", sheet_name="Our labels", index=False)
    labels = ("--labels", f"{films.parent / 't.xlsx'}:our labels")
    assert run(films, "", *labels) == 0
    said = capsys.readouterr().out
    assert "image column: image (3 of 4 rows name a file)" in said
    assert "prepared: 3 images of 2 patients" in said


def test_one_person_under_two_numbers_is_never_in_two_folds(films, capsys):
    """The pair shares one film; each has others."""
    noise = np.random.default_rng(1)
    for number in range(4, 20):
        small = Image.fromarray(noise.integers(0, 256, (12, 12), np.uint8))
        small.resize((64, 64), Image.Resampling.BICUBIC).save(films / f"f{number}.png")
    shutil.copy(films / "f0.png", films / "f2.png")
    rows = [f"f{n}.png,P{n // 2},{n % 2},{int(n % 3 == 0)}" for n in range(20)]
    split = {}
    for switch in ("--merge-patients", "--keep-patients"):
        out = films.parent / switch
        assert run(films, "\n".join([HEADER, *rows]), switch, "--no-near", "--out", str(out)) == 0
        data = load_dataset(out)
        named = [name.split("/")[1] for name in data.images]
        pair = [named.index(name) for name in ("f1.png", "f3.png")]
        truth = np.nan_to_num(data.codes)
        folds = [make_folds(truth, data.patients, 5, seed) for seed in range(20)]
        split[switch] = sum(len(set(fold[pair])) > 1 for fold in folds)
        assert linked_patients(out)["merged" if switch == "--merge-patients" else "apart"] == 2
    assert split["--merge-patients"] == 0
    assert split["--keep-patients"] > 10
    said = capsys.readouterr().out
    assert "2 patient numbers are now 1; see duplicates.csv" in said
    assert "one person may be in two folds" in said


@pytest.mark.parametrize("verb", ["table", "eda", "nih", "chexpert", "phantom"])
def test_every_verb_can_verify(verb):
    assert "verify" in [parameter.name for parameter in command.get_command(None, verb).params]


def test_what_training_advises_for_a_damaged_image_cures_it(films, capsys):
    assert run(films, good()) == 0
    dataset = load_dataset(films.parent / "out")
    image = films.parent / "out" / "images" / "f1.png"
    whole = image.read_bytes()
    for damaged in (b"", whole[:200], whole[:-20] + bytes(20), None):
        image.write_bytes(damaged) if damaged is not None else image.unlink()
        with pytest.raises(UserError, match=r"images/f1\.png\. Run .* again with --verify"):
            Images(dataset.paths, 32)
        capsys.readouterr()
        assert run(films, good(), "--verify") == 0
        said = capsys.readouterr().out
        assert "already prepared, every image verified, 1 made again (damaged or missing)" in said
        assert image.read_bytes() == whole
        assert len(Images(dataset.paths, 32)) == 3
    assert run(films, good(), "--verify") == 0
    assert "already prepared, every image verified: 3 images" in capsys.readouterr().out
    image.unlink()
    assert run(films, good()) == 0
    assert "already prepared, 1 made again" in capsys.readouterr().out


def test_what_training_advises_for_the_built_in_data_cures_them(tmp_path, capsys):
    out = tmp_path / "phantoms"
    asked = ["prep", "phantom", "--out", out, "--patients", 3, "--image-size", 32, "--workers", 0]
    with pytest.raises(SystemExit):
        main([str(word) for word in asked])
    image = next((out / "hospital_a" / "images").iterdir())
    whole = image.read_bytes()
    image.write_bytes(whole[:-20] + bytes(20))
    with pytest.raises(UserError, match=r"`cxrkeras (prep phantom .* --verify)`") as error:
        Images([str(image)], 32)
    advised = re.search("`cxrkeras (.*)`", str(error.value))[1]
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        main(advised.split())
    assert exit_.value.code == 0
    assert "hospital_a: 1 images made again" in capsys.readouterr().err.replace("\n", "")
    assert image.read_bytes() == whole


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_of_any_make_gives_the_same(films, encoding, separator):
    assert run(films, good(encoding, separator)) == 0
    manifest = (films.parent / "out" / "manifest.csv").read_text()
    assert [line.rsplit(",", 2)[1:] for line in manifest.splitlines()[1:]] == [
        ["1", "0"],
        ["0", "1"],
        ["-1", ""],
    ]


BAD = {
    "value 2": (f"{HEADER}\nf0.png,A,2,0\n", "'Mass' holds '2' in data row 1"),
    "value yes": (
        f"{HEADER}\nf0.png,A,1,0\nf1.png,A,1,yes\n",
        "'Nodule' holds 'yes' in data row 2",
    ),
    "a name twice": ("image,Mass,Mass\nf0.png,1,0\n", "two columns of one name: 'Mass'"),
    "missing files": (f"{HEADER}\ng0.png,A,1,0\n", "No column of the table names a file"),
    "climbing out": (
        f"{HEADER}\nf0.png,A,1,0\n../../x.png,A,1,0\n",
        "Data row 2 names a path outside",
    ),
    "absolute": (f"{HEADER}\nf0.png,A,1,0\n/etc/x.png,A,1,0\n", "Data row 2 names a path outside"),
    "only climbing": ("image,Mass\n../../x.png,1\n", "Data row 1 names a path outside"),
    "a short row": (f"{HEADER}\nf0.png,A\n", "data row 1 has 2 values"),
    "no labels": ("image,note\nf0.png,fine\n", "neither 0/1 columns nor"),
    "no rows": (f"{HEADER}\n", "no rows"),
    "empty": ("", "is empty"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_are_one_line_and_leave_nothing(films, capsys, case):
    table, words = BAD[case]
    assert run(films, table) == 1
    said = capsys.readouterr()
    assert said.err.startswith("Error: ")
    assert said.err.count("\n") == 1
    assert words in said.err
    assert not (films.parent / "out").exists()


OPTIONS = {
    "unknown column": (["--labels-from", "Mas"], 1, "no column 'Mas'. Nearest known: Mass"),
    "unknown patient column": (["--patient-column", "pat"], 1, "'pat' (--patient-column)"),
    "unknown encoding": (["--encoding", "klingon"], 1, "no encoding 'klingon'"),
    "key inside": (["--key-file", "OUT/key"], 1, "inside the dataset"),
    "label twice": (["--labels-from", "Mass,Mass"], 1, "can't be called 'Mass'"),
    "label of a manifest name": (["--labels-from", "image"], 1, "can't be a label"),
    "linkage inside": (["--linkage", "OUT/link.csv"], 1, "inside the dataset"),
    "stretch": (["--stretch", "9", "2"], 2, "0 <= LOW < HIGH <= 100"),
    "size": (["--image-size", "0"], 2, "--image-size"),
    "out inside images": (["--out", "IMAGES/out"], 1, "lies inside --images"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_bad_options_leave_nothing(films, capsys, case):
    options, code, words = OPTIONS[case]
    places = {"OUT": str(films.parent / "out"), "IMAGES": str(films)}
    for word, place in places.items():
        options = [option.replace(word, place) for option in options]
    assert run(films, good(), *options) == code
    assert words in capsys.readouterr().err
    assert not (films.parent / "out").exists()


def test_eda_merges_and_reports(films, capsys):
    table = "file,finding\nf0.png,scoliosis\nf0.png,aortic curvature\nf1.png,normal\n"
    table += "f2.png,heart pacemaker placement\nf3.png,normal\n"
    assert run(films, table, verb="eda") == 0
    said = capsys.readouterr().out
    assert "heart pacemaker placement is its only finding" in said
    assert "3 of 3 images have no known patient" in said
    manifest = (films.parent / "out" / "manifest.csv").read_text().splitlines()
    assert manifest[0].endswith("intercostal pleural thickening,cardiac hypertrophy")
    assert manifest[1].endswith(",0,1,0,0,1,0,0")
    assert len(manifest) == 4


def test_phantoms_are_written_and_prepared(tmp_path, capsys):
    words = ["prep", "phantom", "--out", str(tmp_path / "p"), "--patients", "2"]
    words += ["--image-size", "32"]
    with pytest.raises(SystemExit) as exit_:
        main([*words, "--workers", "0"])
    assert exit_.value.code == 0
    said = capsys.readouterr().out
    assert f"Next: cxrkeras cv --data {tmp_path / 'p' / 'target'} --source a=" in said
    assert (tmp_path / "p" / "hospital_b" / "dataset.json").exists()


def test_neither_help_nor_preparing_imports_tensorflow_or_keras():
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from cxrkeras.commands.prep.verbs import command\n"
        "for verb in ('table', 'eda', 'phantom'):\n"
        "    shown = CliRunner().invoke(command, [verb, '--help']).output\n"
        "    assert '  Examples:\\n    cxrkeras prep ' + verb in shown, shown\n"
        "heavy = {'numpy', 'pandas', 'pydicom'} & set(sys.modules)\n"
        "import data_prep.phantom.builtin, data_prep.readers.eda\n"
        "print(heavy, {'tensorflow', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set() set()"


@pytest.mark.real
def test_all_real_dicom_files_are_prepared_or_rejected_and_nobody_is_named(films, real, capsys):
    import pydicom

    folder = real("dicom")
    paths = sorted(folder.rglob("*.dcm"))
    table = "image,Mass\n" + "".join(f"{path.relative_to(folder)},0\n" for path in paths)
    assert run(films, table, "--images", str(folder)) == 0
    out = films.parent / "out"
    everything = b"".join(p.name.encode() + p.read_bytes() for p in out.rglob("*") if p.is_file())
    said = "".join(capsys.readouterr()).encode()
    keywords = (
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "StudyInstanceUID",
        "SOPInstanceUID",
    )
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    words = {str(header.get(keyword) or "") for header in headers for keyword in keywords}
    words = {word for word in words if len(word) > 3 and not any(word in p.name for p in paths)}
    assert len(words) > 5
    assert [word for word in words if word.encode() in everything + said] == []
    manifest, rejected = (out / name for name in ("manifest.csv", "rejected.csv"))
    listed = sum(len(path.read_text().splitlines()) - 1 for path in (manifest, rejected))
    duplicates = len((out / "duplicates.csv").read_text().splitlines()) - 1
    assert listed + duplicates == len(paths) == 13


VIEWS = "image,patient,View Position,Mass\nf0.png,A,PA,1\nf1.png,A,LATERAL,0\nf2.png,B,,1\n"


@pytest.mark.parametrize(
    ("choice", "kept", "why"),
    [
        (None, ["f0", "f1", "f2"], None),
        ("frontal", ["f0", "f2"], "f1.png,not a frontal view (--views)"),
        ("lateral", ["f1"], "f0.png,not a lateral view (--views)"),
    ],
)
def test_views_are_kept_by_the_tables_column(films, choice, kept, why):
    assert run(films, VIEWS, *(["--views", choice] if choice else [])) == 0
    out = films.parent / "out"
    assert sorted(path.stem for path in (out / "images").iterdir()) == kept
    assert why is None or why in (out / "rejected.csv").read_text()


def test_what_is_unlike_a_chest_film_is_listed_and_kept(films, capsys):
    assert run(films, VIEWS) == 0
    line = "warning: 3 of 3 images: looks unlike a frontal chest film (why: column looks "
    assert line in capsys.readouterr().out
    assert "left and right differ" in (films.parent / "out/manifest.csv").read_text()


READING = ("prep table", "prep eda", "prep nih", "prep chexpert", "predict", "explain", "export")


@pytest.mark.parametrize("verb", [*READING, "app"])
def test_every_verb_that_reads_films_has_their_bounds(verb, capsys):
    with pytest.raises(SystemExit):
        main([*verb.split(), "--help-all"])
    said = capsys.readouterr().out
    for name in ("any-modality", "min-side", "max-pixels", "max-memory", "max-seconds"):
        assert f"--{name}" in said


def test_a_bound_that_is_exceeded_is_named_and_another_bound_is_another_dataset(films, capsys):
    assert run(films, VIEWS, "--min-side", "65") == 1
    assert "64 x 64 pixels: a side below 65 (--min-side)" in capsys.readouterr().err
    assert run(films, VIEWS) == 0
    assert run(films, VIEWS, "--max-seconds", "61") == 1
    assert "different settings: --max-seconds" in capsys.readouterr().err


def test_a_pipe_among_the_films_costs_no_time(films):
    (films / "f1.png").unlink()
    os.mkfifo(films / "f1.png")
    assert run(films, VIEWS) == 0
    assert 'f1.png,"a pipe, not a file"' in (films.parent / "out/rejected.csv").read_text()
