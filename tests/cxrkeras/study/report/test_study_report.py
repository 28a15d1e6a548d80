"""A study's tables and report: against independent references, and in what they let one say."""

import json

import numpy as np
import pandas as pd
import pytest

from cxrkeras.evaluation.compare.compare import compare_predictions
from cxrkeras.evaluation.compare.intervals import holm
from cxrkeras.evaluation.evidence.evidence import write_metrics
from cxrkeras.evaluation.scores.predictions import Predictions, read_predictions, write_predictions
from cxrkeras.study.report.differences import compare_cells, families
from cxrkeras.study.report.published import published
from cxrkeras.study.report.report import write_study
from cxrkeras.study.report.results import kept_epoch, read_cells
from cxrkeras.study.report.tables import Table
from cxrkeras.study.report.words import reading, sentence
from data_prep.errors import UserError
from tests.cxrkeras.evaluation.report.test_report import check
from tests.cxrkeras.study.report.study_folder import LABELS, SETTINGS, write_study_folder

GRID = {
    "ImageNet": ("regular", [["imagenet"]]),
    "CheXpert": ("regular", [["chexpert"]]),
    "NIH": ("regular", [["nih"]]),
    "ImageNet + CheXpert": ("regular", [["imagenet", "chexpert"]]),
    "ImageNet + NIH": ("regular", [["imagenet", "nih"]]),
    "mixed ImageNet | CheXpert": ("mixed", [["imagenet"], ["chexpert"]]),
    "mixed ImageNet | NIH": ("mixed", [["imagenet"], ["nih"]]),
    "co-trained CheXpert + NIH": ("cotrain", [["chexpert"], ["nih"]]),
}
TWO = {name: SETTINGS[name] for name in ("ImageNet", "NIH")}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Eight cells; with densenet121 NIH is far better, everything else alike."""
    out = tmp_path_factory.mktemp("study") / "out"

    def skill(setting: str, backbone: str, recipe: str) -> float:
        return 3.0 if "NIH" in setting and backbone == "densenet121" else 1.0

    write_study_folder(out, skill=skill)
    write_study(out)
    return out


def test_the_report_is_whole_and_self_contained(study):
    page = check(study / "study.html")
    assert {"backbone", "source", "combination", "imagenet", "best", "beside"} <= page.ids
    # backbone: 4 scores and the differences; source, combination: a score and the differences;
    # imagenet, best: the differences
    assert len(page.figures) == 5 + 2 + 2 + 1 + 1
    for table in (study / "study.md").read_text().split("\n"):
        assert "nan" not in table
        assert "None" not in table
    people = read_predictions(study / "runs" / "finetune-resnet50-nih" / "predictions.csv")
    html = (study / "study.html").read_text()
    assert not any(patient in html for patient in people.patients)


def test_what_cannot_be_told_from_chance_stands_before_the_tables(tmp_path):
    out = tmp_path / "out"
    write_study_folder(
        out, backbones=("resnet50",), skill=lambda setting, *_: 0.0 if setting == "NIH" else 3.0
    )
    write_study(out)
    said = (out / "study.md").read_text()
    beware = said[said.index("## Before you believe a number") : said.index("## Backbone")]
    assert "- finetune-resnet50-nih: The macro AUROC can't be told from chance: 0.5" in beware
    assert beware.count("macro AUROC") == 1
    assert "(0.5), and in how many of 4 cells: " in beware
    assert "Lung patterns (1)" in beware
    page = (out / "study.html").read_text()
    assert "finetune-resnet50-nih: The macro AUROC can&#39;t be told from chance" in page
    (cell,) = (
        c
        for c in json.loads((out / "study.json").read_text())["cells"]
        if c["cell"].endswith("-nih") and "imagenet" not in c["cell"]
    )
    assert "Lung patterns" in cell["results"]["doubts"]["labels"]


def test_writing_again_gives_the_same_bytes(study):
    before = {path: path.read_bytes() for path in study.glob("study.*")}
    assert len(before) == 4
    write_study(study)
    assert {path: path.read_bytes() for path in study.glob("study.*")} == before


def test_differences_equal_those_of_compare(study):
    _, cells = read_cells(study)
    compared = compare_cells(cells)
    runs = {c.name: read_predictions(c.run / "predictions.csv") for c in cells}
    for family in compared["families"]:
        for pair in family["pairs"]:
            named = {name: runs[name] for name in (pair["second"], pair["first"])}
            wanted = compare_predictions(named)
            for metric in ("auroc", "average_precision"):
                expected = wanted["differences"][0][metric]
                for key in ("value", "low", "high", "p"):
                    assert pair[metric][key] == pytest.approx(expected[key], rel=1e-9, abs=1e-12)
        for metric in ("auroc", "average_precision"):
            corrected = holm([pair[metric]["p"] for pair in family["pairs"]])
            assert [pair[metric]["p_holm"] for pair in family["pairs"]] == corrected
    for cell in cells:
        expected = compare_predictions({"a": runs[cell.name], "b": runs[cells[0].name]})["runs"][
            "a"
        ]
        own = compared["cells"][cell.name]["out_of_fold"]["auroc"]
        assert own == pytest.approx(expected["auroc"])


def test_each_perspective_compares_what_it_is_about(tmp_path):
    out = write_study_folder(tmp_path / "out", settings=GRID, images=60, test=0)
    _, cells = read_cells(out)
    asked = {family.key: family.pairs for family in families(cells)}
    assert len(asked["backbone"]) == 8
    assert all(a.setting == b.setting and a.backbone != b.backbone for a, b in asked["backbone"])
    assert len(asked["source"]) == 2 * 3
    assert all(a.is_single and b.is_single for a, b in asked["source"])
    # with each backbone: 5 combinations against their two parts, and 2 against the other method
    assert len(asked["combination"]) == 2 * (5 * 2 + 2)
    assert len(asked["imagenet"]) == 2 * 7
    assert {b.setting for _, b in asked["imagenet"]} == {"ImageNet"}
    assert len(asked["best"]) == 15
    assert all(a.backbone == b.backbone for k in ("source", "combination") for a, b in asked[k])


def test_only_what_the_intervals_support_is_said(study):
    content = json.loads((study / "study.json").read_text())
    found = {f["key"]: f for f in content["compared"]["families"]}
    said = (study / "study.md").read_text()
    told = [p for p in found["source"]["pairs"] if reading(p["auroc"]) != "not distinguishable"]
    assert [(p["first"], p["second"]) for p in told] == [
        ("finetune-densenet121-imagenet", "finetune-densenet121-nih")
    ]
    assert (
        "1 of 2 differences in macro AUROC can be told from chance: NIH with densenet121 above "
        "ImageNet with densenet121 by " in said
    )
    assert "The other 1 is not distinguishable on 240 images." in said


def test_sentences():
    def pair(value, p, p_precision=1.0):
        ends = {"low": value - 0.01, "high": value + 0.01}
        auroc = {"value": value, **ends, "p_holm": p}
        precision = {**auroc, "p_holm": p_precision}
        return {"first": "a", "second": "b", "auroc": auroc, "average_precision": precision}

    names = {"a": "A", "b": "B"}
    unclear, clear = pair(0.02, 0.2), pair(-0.02, 0.01)
    assert (
        sentence({"pairs": [unclear]}, names, 546)
        == "A and B are not distinguishable by macro AUROC on 546 images."
    )
    assert sentence({"pairs": [unclear] * 3}, names, 546) == (
        "Not one of 3 differences in macro AUROC is distinguishable on 546 images."
    )
    assert sentence({"pairs": [clear]}, names, 1) == (
        "1 of 1 difference in macro AUROC can be told from chance: "
        "B above A by 0.020 (0.010 to 0.030)."
    )
    assert sentence({"pairs": [clear] * 5}, names, 9).endswith("; and 2 more.")
    mixed = {"pairs": [unclear, pair(0.02, 0.2, 0.01)]}
    assert sentence(mixed, names, 9).endswith(
        "9 images. By average precision, 1 of 2 can be told from chance."
    )
    assert reading({"value": 0.1, "p_holm": None}) == "–"


def test_scores_stand_in_the_studys_form(study):
    table = pd.read_csv(study / "study.csv").set_index("cell")
    row = table.loc["finetune-resnet50-nih"]
    # folds 0, 1, 2 were kept at epoch 2, the first of the smallest validation losses
    assert row["training_binary_accuracy_mean"] == pytest.approx(0.71)
    assert row["training_binary_accuracy_sd"] == pytest.approx(0.01)
    run = study / "runs" / "finetune-resnet50-nih"
    metrics = json.loads((run / "metrics.json").read_text())
    text = (study / "study.md").read_text()
    assert "| 71.00 ± 1.00 | 0.290 ± 0.010 |" in " ".join(text.split())
    for prefix, part in (("out_of_fold", metrics), ("test", metrics["test"])):
        assert row[f"{prefix}_auroc"] == pytest.approx(part["macro"]["pooled"]["auroc"])
        for rule in ("hamming_prevalence", "hamming_corrected"):
            assert row[f"{prefix}_{rule}"] == pytest.approx(part["micro"]["pooled"][rule])
    p = read_predictions(run / "predictions.csv")
    assert row["out_of_fold_all_negative_accuracy"] == pytest.approx(np.mean(p.truth == 0))
    prevalence = np.mean([np.mean(p.truth[:, k]) for k in range(len(LABELS))])
    assert row["out_of_fold_random_average_precision"] == pytest.approx(prevalence)


@pytest.mark.parametrize("restored", [True, False])
def test_the_kept_epoch(restored):
    history = pd.DataFrame({"epoch": [1, 2, 3], "val_loss": [0.9, 0.4, 0.4]})
    assert kept_epoch(history, restored=restored)["epoch"] == (2 if restored else 3)
    assert kept_epoch(history[["epoch"]], restored=restored)["epoch"] == 3


def test_without_a_test_set_its_columns_stay_empty_and_that_is_said(tmp_path):
    out = write_study_folder(
        tmp_path / "out", test=0, images=60, backbones=("resnet50",), settings=TWO
    )
    write_study(out)
    said = " ".join((out / "study.md").read_text().split())
    assert "there is no held-out test set, so its columns are empty" in said
    assert "| 0.290 ± 0.010 | – | – |" in said
    assert not any(name.startswith("test_") for name in pd.read_csv(out / "study.csv"))
    check(out / "study.html")


def test_a_column_of_the_corrected_rule_stands_where_a_distortion_is_known(tmp_path):
    out = write_study_folder(tmp_path / "out", images=60, backbones=("resnet50",), settings=TWO)
    runs = sorted((out / "runs").iterdir())
    for number, run in enumerate(runs):
        for path in run.glob("folds/*/fold.json"):
            facts = json.loads(path.read_text())
            del facts["inflation"]
            path.write_text(json.dumps(facts))
        write_metrics(run)
        if number == 0:
            write_study(out)
            assert "Hamming, corrected rule" in (out / "study.md").read_text()
    write_study(out)
    assert "Hamming, corrected rule" not in (out / "study.md").read_text()
    assert "Hamming, prevalence rule" in (out / "study.md").read_text()
    assert "corrected rule, out of fold" not in (out / "study.html").read_text()


def test_unfinished_cells_are_named_with_their_reason(tmp_path):
    failed = ("finetune-resnet50-nih", "finetune-densenet121-imagenet")
    out = write_study_folder(tmp_path / "out", images=60, test=0, failed=failed)
    write_study(out)
    text = (out / "study.md").read_text()
    assert text.count("No prepared dataset in data/nih.") == 2
    assert "6 of 8 cells done." in text
    assert "No prepared dataset" in check(out / "study.html").text


def test_before_any_cell_is_done_there_is_a_report_already(tmp_path):
    names = [
        f"finetune-{b}-{s.lower().replace(' ', '-')}"
        for b in ("resnet50", "densenet121")
        for s in SETTINGS
    ]
    out = write_study_folder(tmp_path / "out", failed=tuple(names))
    write_study(out)
    assert "0 of 8 cells done." in check(out / "study.html").text


def test_the_published_figures_stand_beside_what_corresponds_only(tmp_path, study):
    text = (study / "study.md").read_text()
    row = next(line for line in text.split("\n") if "densenet121, ImageNet + NIH" in line)
    assert "78.35 ± 11.89" in row
    assert "0.779" in row
    assert "another prevalence" in text
    mixed = next(line for line in text.split("\n") if "resnet50, mixed ImageNet" in line)
    assert "93.48 ± 0.50*" in mixed
    assert "probably a copying error" in text
    alone = {"backbones": ("densenet121",), "settings": TWO, "weights": "typefaces.weights.h5"}
    out = write_study_folder(tmp_path / "out", images=60, test=0, **alone)
    write_study(out)
    text = (out / "study.md").read_text()
    assert "densenet121, NIH" in text  # no weights in it
    assert "densenet121, ImageNet" not in text


def test_published_rows_are_the_studys_sixteen():
    found = [
        published(backbone, method, links, ["imagenet"] * (links[0][0] == "imagenet"))
        for backbone in ("resnet50", "densenet121")
        for method, links in GRID.values()
    ]
    assert None not in found
    assert sum(row.doubtful for row in found) == 2
    assert published("resnet50", "mixed", [["nih"], ["imagenet"]], ["imagenet"]) is found[6]
    assert published("resnet50", "regular", [["nih", "chexpert"]], []) is None
    assert published("resnet50", "regular", [["half_a"]], []) is None
    assert published("xception", "regular", [["imagenet"]], ["imagenet"]) is None
    assert published("resnet50", "regular", [["imagenet"]], ["r.keras"]) is None


def test_cells_scored_on_other_images_are_refused(tmp_path):
    out = write_study_folder(
        tmp_path / "out", images=60, test=0, backbones=("resnet50",), settings=TWO
    )
    path = out / "runs" / "finetune-resnet50-nih" / "predictions.csv"
    p = read_predictions(path)
    write_predictions(
        path, Predictions(p.images, p.patients, p.folds, p.labels, p.prob, 1 - p.truth)
    )
    with pytest.raises(UserError, match="scored on the same images"):
        write_study(out)


@pytest.mark.parametrize("content", [None, "{", "{}", '{"title": "x", "cells": [{}]}'])
def test_a_folder_that_is_no_study_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "cells.json").write_text(content)
    with pytest.raises(UserError, match=r"cells\.json"):
        write_study(tmp_path)


def test_names_are_escaped(tmp_path):
    settings = {"<b>|x": ("regular", [["imagenet"]]), "NIH": ("regular", [["nih"]])}
    out = write_study_folder(
        tmp_path / "out", settings=settings, backbones=("resnet50",), images=60
    )
    for path in (out / "runs").iterdir():
        assert path.is_dir()
    write_study(out)
    assert "<b>|x" in check(out / "study.html").text
    assert r"<b>\|x" in (out / "study.md").read_text()


def test_markdown_is_aligned():
    text = Table("T", ("a", "b"), [("x|y", "1"), ("z", "22")], "Note.").markdown()
    lines = [line for line in text.split("\n") if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1
    assert lines[1] == "| ---- | -: |"
    assert lines[2] == r"| x\|y |  1 |"
