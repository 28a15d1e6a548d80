"""Cells that a spreadsheet would run: marked in every CSV, and read back as they were."""

import csv
import io
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrkeras.data.dataset import load_dataset
from cxrkeras.data.folds.files import load_folds, save_folds
from cxrkeras.evaluation.compare.report import COLUMNS, _table
from cxrkeras.evaluation.scores.predictions import Predictions, read_predictions, write_predictions
from data_prep.dataset.prepare import prepare
from data_prep.tables.cells import frame_as_csv, marked, rows_as_csv, unmarked
from data_prep.tables.table import read_table
from tests.data_prep.readers.archives import film, table_source, write_csv, write_png

FORMULAS = "=+-@\t\r"
NASTY = ("=cmd|' /C calc'!A0", "+SUM(A1)", "-Mass", "@cite", "'=quoted", "''-twice", "'plain")
LEADING = st.sampled_from(["", *FORMULAS, "'", "''", "'=", "1", "-1", "'-1"])
TEXTS = st.builds(str.__add__, LEADING, st.text(max_size=6))


@given(TEXTS)
def test_every_text_comes_back_and_no_formula_goes_out(text):
    written = marked(text)
    assert unmarked(written) == text
    assert written[:1] not in tuple(FORMULAS) or np.isfinite(float(written))


@pytest.mark.parametrize("number", ["-1", "-0.5", "+1e-5", "-.5", "0", "-12."])
def test_numbers_stay_numbers(number):
    assert marked(number) == number
    assert unmarked(number) == number
    assert unmarked(f"'{number}") == f"'{number}"  # what we never write is nobody's mark


def cells_of(text: str) -> list[str]:
    return [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]


def harmless(text: str) -> bool:
    cells = cells_of(text)
    return not any(cell[:1] and cell[0] in FORMULAS and cell != "-1" for cell in cells)


def test_both_writers_mark_headers_and_cells():
    rows = [[*NASTY[:2], -1, -0.5], [*NASTY[2:4], 2, 1e-7]]
    text = rows_as_csv(["=a", "b", "c", "d"], rows)
    frame = frame_as_csv(pd.DataFrame(rows, columns=["=a", "b", "c", "d"]))
    assert cells_of(text)[:3] == ["'=a", "b", "c"]
    assert cells_of(text)[4:8] == [f"'{NASTY[0]}", f"'{NASTY[1]}", "-1", "-0.5"]
    assert cells_of(frame)[:8] == cells_of(text)[:8]


def test_a_prepared_dataset_of_nasty_names_reads_back(tmp_path):
    labels, names = ("=Mass", "+Nodule", "-Effusion", "@Edema", "'=Hernia"), ["=f.png", "-g.png"]
    rows = [["image", "patient", *labels]]
    for number, name in enumerate([*names, "@none.png"]):
        rows.append([name, f"=P{number}", *([number % 2, -1, 0, 1, ""])])
    for number, name in enumerate([*names, "+spare.png"]):
        write_png(tmp_path / "films" / name, film(number))
    rows[0][-1] = "''=Hernia"  # a table marks its own: one apostrophe is the mark
    source = table_source(
        tmp_path / "films", write_csv(tmp_path / "t.csv", rows), labels_from=list(labels)
    )
    out = prepare(
        source, tmp_path / "out", key=b"k", size=32, workers=0, progress=False, public=True
    ).out
    for table in ("manifest.csv", "rejected.csv", "duplicates.csv"):
        assert harmless((out / table).read_text()), table
    dataset, manifest = load_dataset(out), read_table(out / "manifest.csv")
    assert dataset.labels == labels
    assert manifest["source_id"].tolist() == names
    assert dataset.patients.tolist() == ["=P0", "=P1"]
    assert dataset.codes[0, :4].tolist() == [0, -1, 0, 1]
    assert read_table(out / "rejected.csv")["file"].tolist() == ["@none.png", "+spare.png"]


def test_predictions_and_folds_read_back(tmp_path):
    images, patients = ("=a", "@b"), ("-x", "+y")
    prob = np.array([[0.25, 1e-9], [0.5, 1.0]])
    truth = np.array([[1.0, np.nan], [0.0, 1.0]])
    told = Predictions(images, patients, ("0", "1"), ("=L", "-M"), prob, truth)
    write_predictions(tmp_path / "predictions.csv", told)
    assert harmless((tmp_path / "predictions.csv").read_text())
    back = read_predictions(tmp_path / "predictions.csv")
    assert (back.images, back.patients, back.labels) == (images, patients, ("=L", "-M"))
    assert np.array_equal(back.prob, prob)
    digests = np.array(["ab", "cd"])
    named = np.array(images), np.array(patients), digests
    save_folds(tmp_path / "folds.csv", *named, np.array([0, 1]))
    assert harmless((tmp_path / "folds.csv").read_text())
    folds = load_folds(tmp_path / "folds.csv", *named)
    assert folds.tolist() == [0, 1]


def test_a_comparison_names_runs_and_labels_harmlessly():
    part = {"value": -0.5, "difference": -0.25, "low": -1.5, "high": 0.5, "p": None, "p_holm": None}
    difference = {"run": "=a", "reference": "-b", "per_label": {"@Mass": part}}
    difference |= {"auroc": part, "average_precision": part}
    cells = cells_of(_table({"differences": [difference]}))
    assert {"'=a", "'-b", "'@Mass", "-0.25", "-1.5"} <= set(cells)
    assert cells[: len(COLUMNS)] == list(COLUMNS)


@pytest.mark.parametrize("cells", ["01", ("text", "words"), ("", "")])
def test_a_table_of_10000_columns_takes_seconds(tmp_path, cells):
    columns = 10_000
    head = ["" if cells[0] == "" else f"c{number}" for number in range(columns)]
    rows = [["image", "Mass", *head]]
    for number in range(3):
        write_png(tmp_path / "films" / f"{number}.png", film(number))
        rows.append([f"{number}.png", number % 2, *[cells[number % 2]] * columns])
    table = write_csv(tmp_path / "t.csv", rows)
    begun = time.process_time()
    source = table_source(tmp_path / "films", table)
    assert time.process_time() - begun < 5  # at 50,000 columns it was over 30 s
    assert len(source.labels) == (columns + 1 if cells == "01" else 1)
