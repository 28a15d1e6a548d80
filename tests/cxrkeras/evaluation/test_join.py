import gzip
import json

import numpy as np
import pandas as pd
import pytest

from cxrkeras.evaluation.join import join
from cxrkeras.evaluation.metrics import evaluate
from cxrkeras.evaluation.prevalence import read_prevalence
from data_prep.errors import UserError

PREDICTIONS = "image,prob_Effusion,prob_Mass\na.png,0.9,0.1\nb.png,0.2,0.4\nc.png,0.3,0.8\n"
LABELS = "image,Effusion,Mass\nc.png,0,1\na.png,1,0\nb.png,0,0\n"


@pytest.fixture
def tables(tmp_path):
    def write(predictions=PREDICTIONS, labels=LABELS, suffix=".csv"):
        paths = []
        for name, text in (("predictions", predictions), ("labels", labels)):
            path = tmp_path / (name + suffix)
            content = text.encode("utf-8")
            path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
            paths.append(path)
        return paths

    return write


def joined(tables, predictions=PREDICTIONS, labels=LABELS, suffix=".csv", **options):
    result = join(*tables(predictions, labels, suffix), **options)
    return result.predictions, " ".join(result.notes)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_rows_are_matched_by_key_in_the_predictions_order(tables, suffix):
    p, notes = joined(tables, suffix=suffix)
    assert p.images == ("a.png", "b.png", "c.png")
    assert p.labels == ("Effusion", "Mass")
    assert p.truth.tolist() == [[1, 0], [0, 0], [0, 1]]
    assert p.prob.tolist() == [[0.9, 0.1], [0.2, 0.4], [0.3, 0.8]]
    assert notes == "Joined on image: 3 rows."


def test_columns_without_prefix_and_label_columns_before_the_key(tables):
    predictions = "Effusion,Mass,image\n0.9,0.1,a.png\n0.2,0.4,b.png\n"
    p, _ = joined(tables, predictions)
    assert p.labels == ("Effusion", "Mass")
    assert p.truth.tolist() == [[1, 0], [0, 0]]


def test_column_of_both_tables_that_is_no_label_stays_out(tables):
    predictions = "image,Age,Effusion,Mass\na.png,55,0.9,0.1\nb.png,61,0.2,0.4\n"
    labels = "image,Age,Effusion,Mass\na.png,55,1,0\nb.png,61,0,0\n"
    p, notes = joined(tables, predictions, labels)
    assert p.labels == ("Effusion", "Mass")
    assert "Not used, of the predictions: Age." in notes
    with pytest.raises(UserError, match="'Effusion' holds 'yes'"):
        joined(tables, predictions, LABELS.replace("a.png,1", "a.png,yes"))


def test_findings_column(tables):
    labels = (
        "image,Age,Finding Labels\na.png,50,Effusion|Mass\nb.png,40,No Finding\nc.png,1,Hernia\n"
    )
    predictions = PREDICTIONS.replace("prob_Mass", "prob_Fracture")
    p, notes = joined(tables, predictions, labels)
    assert p.labels == ("Effusion",)
    assert p.truth.ravel().tolist() == [1, 0, 0]
    # a finding that the column never names isn't one that it denies
    assert "Not used, of the predictions: prob_Fracture." in notes
    assert "Not used, of the labels: Age, finding Mass, finding Hernia." in notes


def test_code_columns_go_before_a_findings_column(tables):
    labels = "image,Finding Labels,Effusion\na.png,No Finding,1\nb.png,Effusion,0\nc.png,Mass,0\n"
    p, notes = joined(tables, labels=labels)
    assert p.labels == ("Effusion",)
    assert p.truth.ravel().tolist() == [1, 0, 0]
    assert "prob_Mass" in notes


def test_extra_rows_and_columns_are_named_and_left_out(tables):
    predictions = PREDICTIONS.replace("\n", ",x\n").replace("Mass,x", "Mass,model", 1)
    labels = "image,Effusion,Mass,site\nz.png,1,1,s\na.png,1,0,s\n"
    p, notes = joined(tables, predictions, labels)
    assert p.images == ("a.png",)
    assert "2 predicted rows have no labels" in notes
    assert "1 labelled rows have no prediction" in notes
    assert "of the predictions: model." in notes
    assert "of the labels: site." in notes


def test_true_columns_of_a_run_are_labels_but_never_predictions(tables):
    run = "image,patient,fold,prob_Mass,true_Mass\na.png,p,0,0.7,0\nb.png,p,1,0.1,1\n"
    p, _ = joined(tables, run, "image,Mass\na.png,1\nb.png,0\n")
    assert p.truth.ravel().tolist() == [1, 0]
    p, _ = joined(tables, "image,prob_Mass\na.png,0.7\nb.png,0.1\n", run)
    assert p.truth.ravel().tolist() == [0, 1]
    assert p.folds == ("0", "0")


@pytest.mark.parametrize(
    ("uncertain", "blank", "expected", "said"),
    [
        ("ignore", "ignore", [np.nan, np.nan, 0], "1 entries are blank: masked"),
        ("ones", "zeros", [1, 0, 0], "1 entries are uncertain (-1): counted as 1"),
    ],
)
def test_uncertain_and_blank(tables, uncertain, blank, expected, said):
    labels = "image,Effusion,Mass\na.png,-1.0,0\nb.png,,0\nc.png,0.0,1\n"
    p, notes = joined(tables, labels=labels, uncertain=uncertain, blank=blank)
    np.testing.assert_array_equal(p.truth[:, 0], expected)
    assert said in notes


def test_synonyms_match_only_when_unambiguous(tables):
    labels = "image,Pleural Effusion,Mass\na.png,1,0\nb.png,0,0\nc.png,0,1\n"
    p, notes = joined(tables, labels=labels)
    assert p.labels == ("Effusion", "Mass")
    assert "The labels' Pleural Effusion was taken for Effusion." in notes
    twice = "image,Pleural Effusion,pleural_effusion,Mass\na.png,1,1,0\n"
    p, notes = joined(tables, labels=twice)
    assert p.labels == ("Mass",)
    assert "prob_Effusion" in notes


def test_key_by_name_and_pair(tables):
    labels = LABELS.replace("image", "file,n", 1).replace(".png", ".png,7")
    with pytest.raises(UserError, match=r"share a column.*--key"):
        joined(tables, labels=labels)
    p, notes = joined(tables, labels=labels, key="image=file")
    assert p.truth[:, 0].tolist() == [1, 0, 0]
    assert "Joined on image = file" in notes
    with pytest.raises(UserError, match="no 'file'"):
        joined(tables, labels=labels, key="file")


def test_prepared_dataset_folder(tables, tmp_path):
    head = "image,patient,study,view,sex,age,split,source_id,sha256,Effusion,Mass\n"
    rows = "images/1.png,ph7,,PA,F,50,,a.png,00,1,0\nimages/2.png,ph8,,PA,M,40,,b.png,01,0,\n"
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "manifest.csv").write_text(head + rows)
    predictions, _ = tables()
    p = join(predictions, tmp_path / "set", key="image=source_id").predictions
    assert p.patients == ("ph7", "ph8")
    np.testing.assert_array_equal(p.truth, [[1, 0], [0, np.nan]])
    with pytest.raises(UserError, match=r"manifest\.csv"):
        join(predictions, tmp_path)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("1.5", "holds 1.5"),
        ("-0.1", "holds -0.1"),
        ("", "a blank"),
        ("nan", "NaN"),
        ("Mary", "text"),
    ],
)
def test_scores_that_are_no_probabilities(tables, bad, said):
    with pytest.raises(UserError) as error:
        joined(tables, PREDICTIONS.replace("0.4", bad))
    assert said in str(error.value)
    assert "'prob_Mass'" in str(error.value)
    assert "data row 2" in str(error.value)
    assert "Mary" not in str(error.value)


@pytest.mark.parametrize("side", [0, 1])
def test_repeated_keys_are_refused_without_showing_them(tables, side):
    texts = [PREDICTIONS, LABELS]
    texts[side] = texts[side].replace("b.png", "a.png")
    with pytest.raises(UserError, match="repeats a value in 1 rows") as error:
        joined(tables, *texts)
    assert "a.png" not in str(error.value)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("image,Hernia\na.png,1\n", "share a label"),
        ("image,Effusion\nz.png,1\n", "No value of the predictions' column 'image'"),
        ("image,Effusion\na.png,yes\n", "'yes'"),
        ("image,Effusion\na.png,2\n", "'2'"),
    ],
)
def test_labels_that_can_not_be_joined(tables, labels, said):
    with pytest.raises(UserError) as error:
        joined(tables, labels=labels)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.real
def test_published_predictions_give_the_published_aucs(real):
    result = join(
        real("metadata", "jrzech_preds.csv.gz"), real("metadata", "Data_Entry_2017_v2020.csv.gz")
    )
    p = result.predictions
    assert p.prob.shape == (22_433, 14)
    scores = evaluate(p.truth, p.prob, p.labels)["per_label"]
    published = pd.read_csv(real("metadata", "jrzech_aucs.csv")).set_index("label")["auc"]
    assert set(p.labels) == set(published.index)
    for name in p.labels:
        assert scores[name]["pooled"]["auroc"] == pytest.approx(published[name], abs=1e-9)


def test_prevalence_files(tmp_path):
    table = tmp_path / "p.csv"
    table.write_text("label,prevalence,inflation\nMass,0.1,4\nEffusion,0.3,\n")
    values = read_prevalence(table, ("Effusion", "Mass"))
    assert values["prevalence"].tolist() == [0.3, 0.1]
    assert values["inflation"].tolist() == [1, 4]
    plain, fold = tmp_path / "p.json", tmp_path / "fold.json"
    plain.write_text(json.dumps({"Mass": 0.1, "Hernia": 0.01}))
    assert read_prevalence(plain, ["Mass"])["prevalence"].tolist() == [0.1]
    fold.write_text(json.dumps({"training_prevalence": {"Mass": 0.2}, "inflation": {"Mass": 9}}))
    assert read_prevalence(fold, ["Mass"])["inflation"].tolist() == [9]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("p.csv", "label,prevalence\nMass,0.1\n", "no prevalence of Effusion"),
        ("p.csv", "label,prevalence\nMass,0.1\nEffusion,7\n", r"\[0, 1\]"),
        ("p.csv", "label,prevalence\nMass,many\nEffusion,0.1\n", "other than numbers"),
        ("p.json", '{"Mass": 1%s, "Effusion": 0.1}' % ("0" * 400), "other than numbers"),
        ("p.json", "[" * 100_000, "can't be read as JSON"),
        ("p.csv", "name,share\nMass,0.1\n", "lacks the columns"),
        ("p.json", "[1, 2]", "isn't one object"),
        ("p.json", "{", "can't be read"),
    ],
)
def test_bad_prevalence_files(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=said):
        read_prevalence(tmp_path / name, ("Effusion", "Mass"))


def test_files_that_predict_could_not_read_are_left_out_and_counted(tmp_path):
    (tmp_path / "p.csv").write_text("file,prob_A,prob_B\na,0.1,0.2\nb,,\nc,0.5,0.9\n")
    (tmp_path / "l.csv").write_text("file,A,B\na,0,1\nb,1,1\nc,1,0\n")
    joined = join(tmp_path / "p.csv", tmp_path / "l.csv")
    assert joined.predictions.images == ("a", "c")
    assert "1 predicted rows have no score and were left out." in joined.notes
    (tmp_path / "p.csv").write_text("file,prob_A,prob_B\na,0.1,\nc,0.5,0.9\n")
    with pytest.raises(UserError, match="a blank"):
        join(tmp_path / "p.csv", tmp_path / "l.csv")
