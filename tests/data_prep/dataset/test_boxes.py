"""Boxes follow the picture through every way of preparing it, and an image keeps its own name."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from data_prep.dataset.prepare import prepare
from data_prep.readers.shared.records import Box
from data_prep.tables.table import read_table
from tests.data_prep.readers.archives import dicom_archive, table_source, write_csv, write_png

FAST = {"key": b"k", "workers": 0, "progress": False}


def prepared_box(root, shape, parts, **how):
    """A dark film with one bright rectangle, prepared: its image and its row of boxes.csv."""
    rows, columns = shape
    x, y, width, height = parts
    film = np.full(shape, 20, np.uint8)
    film[round(y * rows) : round((y + height) * rows)][
        :, round(x * columns) : round((x + width) * columns)
    ] = 220
    write_png(root / "films" / "f.png", film)
    table = write_csv(root / "t.csv", [["image", "Mass"], ["f.png", 1]])
    source = replace(table_source(root / "films", table), boxes=(Box("f.png", "Mass", *parts),))
    out = prepare(source, root / "out", **FAST, **how).out
    (box,) = pd.read_csv(out / "boxes.csv").itertuples()
    return np.asarray(Image.open(out / box.image)), box


def test_the_figures_of_a_film_of_64_by_96(tmp_path):
    for pad, x, width in ((True, 32, 32), (False, 24, 48)):
        _, box = prepared_box(
            tmp_path / str(pad), (96, 64), (0.25, 0.5, 0.5, 0.25), size=96, pad=pad
        )
        assert (box.x, box.y, box.width, box.height) == (x, 48, width, 24)


@pytest.mark.parametrize("stretch", [None, (1.0, 99.0)])
@pytest.mark.parametrize("pad", [False, True])
@pytest.mark.parametrize("size", [64, 101, 300])
@pytest.mark.parametrize("shape", [(200, 120), (120, 200), (150, 150), (333, 200)])
def test_a_box_encloses_its_finding(tmp_path, shape, size, pad, stretch):
    how = {"size": size, "pad": pad, "stretch": stretch}
    image, box = prepared_box(tmp_path, shape, (0.3, 0.1, 0.4, 0.6), **how)
    down, right = np.nonzero(image > 127)
    found = right.min(), right.max() + 1, down.min(), down.max() + 1
    told = box.x, box.x + box.width, box.y, box.y + box.height
    assert np.abs(np.subtract(found, told)).max() <= 1


@pytest.mark.parametrize(
    ("how", "own"),
    [({"public": True}, True), ({}, False), ({"public": True, "hash_names": True}, False)],
)
def test_a_public_dicom_keeps_the_archive_s_name(tmp_path, how, own):
    source = dicom_archive(tmp_path / "raw")
    manifest = read_table(
        prepare(source, tmp_path / "out", size=32, **FAST, **how).out / "manifest.csv"
    )
    names = [record.key for record in source.records]
    assert (manifest["source_id"].tolist() == names) is own
    assert not set(manifest["image"]) & {f"images/{n}.png" for n in range(3)}
    if not own:
        assert not set(manifest["source_id"]) & set(names)
