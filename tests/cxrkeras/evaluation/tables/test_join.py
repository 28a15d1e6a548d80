import gzip
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from cxrkeras.evaluation.scores.metrics import evaluate
from cxrkeras.evaluation.scores.predictions import Predictions, read_predictions, write_predictions
from cxrkeras.evaluation.scores.prevalence import read_prevalence
from cxrkeras.evaluation.tables.join import join
from data_prep.dataset.identity import keyed_hash, load_key
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
    assert "The labels' Pleural Effusion was taken as Effusion." in notes
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
    p, _ = joined_with_numbers(predictions, tmp_path / "set")
    hashed = [keyed_hash(load_key(), "patient", number) for number in ("777", "8")]
    assert p.patients == tuple(hashed)  # the predictions' own numbers aren't codes yet
    np.testing.assert_array_equal(p.truth, [[1, 0], [0, np.nan]])
    with pytest.raises(UserError, match=r"manifest\.csv"):
        join(predictions, tmp_path)


def joined_with_numbers(predictions, dataset):
    table = pd.read_csv(predictions).assign(MRN=[777, 8, 9])
    table.to_csv(predictions.with_name("numbered.csv"), index=False)
    options = {"key": "image=source_id", "patient_column": "MRN"}
    result = join(predictions.with_name("numbered.csv"), dataset, **options)
    return result.predictions, result.notes


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
        ("image,Effusion\na.png,perhaps\n", "a text of 7 characters"),
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
    assert len(set(p.patients)) == 6_187  # NIH's numbers, one pseudonym for each
    assert not any(patient.isdecimal() and len(patient) < 16 for patient in p.patients)
    assert "Patients: the labels' Patient ID, 6,187 of them." in result.notes
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
    assert values["distortion"].w.tolist() == [1, 4]
    plain, fold = tmp_path / "p.json", tmp_path / "fold.json"
    plain.write_text(json.dumps({"Mass": 0.1, "Hernia": 0.01}))
    assert read_prevalence(plain, ["Mass"])["prevalence"].tolist() == [0.1]
    fold.write_text(json.dumps({"training_prevalence": {"Mass": 0.2}, "inflation": {"Mass": 9}}))
    assert read_prevalence(fold, ["Mass"])["distortion"].w.tolist() == [9]
    fold.write_text(json.dumps({"training_prevalence": {"Mass": 0.2}}))
    assert read_prevalence(fold, ["Mass"])["distortion"] is None


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


PEOPLE = "image,Patient ID,Effusion,Mass\na.png,777,1,0\nb.png,777,0,0\nc.png,8,0,1\n"


def test_patients_are_found_as_prep_finds_them_and_leave_as_keyed_hashes(tables):
    p, notes = joined(tables, labels=PEOPLE)
    hashed = [keyed_hash(load_key(), "patient", number) for number in ("777", "777", "8")]
    assert p.patients == tuple(hashed)
    assert "Patients: the labels' Patient ID, 2 of them." in notes
    assert "Not used" not in notes
    # two evaluations on the same labels have the same codes
    other = PREDICTIONS.replace("0.4", "0.6").replace("a.png,0.9", "a.png,0.1")
    assert joined(tables, other, PEOPLE)[0].patients == p.patients


def test_the_patient_column_may_be_named_and_may_stand_in_either_table(tables):
    odd = PEOPLE.replace("Patient ID", "Wer")
    p, notes = joined(tables, labels=odd)
    assert p.patients == ("", "", "")
    assert "Not used, of the labels: Wer." in notes
    named = joined(tables, labels=odd, patient_column="Wer")[0].patients
    assert named == joined(tables, labels=PEOPLE)[0].patients
    mine = PREDICTIONS.replace("image,", "image,patient,").replace(".png,", ".png,777,", 2)
    mine = mine.replace("c.png,", "c.png,,")
    p, notes = joined(tables, mine)
    assert [bool(patient) for patient in p.patients] == [True, True, False]
    assert p.patients[0] == p.patients[1] == named[0]
    assert "Patients: the predictions' patient, 1 of them, 1 rows without one." in notes
    with pytest.raises(UserError, match=r"no column 'MRN' \(--patient-column\)"):
        joined(tables, labels=odd, patient_column="MRN")


def test_a_column_of_patients_is_the_last_to_be_joined_on_and_never_names_an_image(tables):
    both = PREDICTIONS.replace("image,", "Patient ID,image,")
    for name, number in (("a", 777), ("b", 777), ("c", 8)):
        both = both.replace(f"\n{name}.png", f"\n{number},{name}.png")
    p, notes = joined(tables, both, PEOPLE)
    assert notes.startswith("Joined on image")
    assert p.images == ("a.png", "b.png", "c.png")
    alone = "mrn,prob_Mass\n777,0.3\n8,0.9\n"
    p, _ = joined(tables, alone, "mrn,Mass\n8,1\n777,0\n")
    hashed = [keyed_hash(load_key(), "patient", number) for number in ("777", "8")]
    assert p.images == p.patients == tuple(hashed)


def test_paths_of_chexpert_tell_the_patients(tables):
    names = [f"train/patient0000{n // 2}/study1/view{n % 2 + 1}_frontal.jpg" for n in range(4)]
    scores = "Path,prob_Mass\n" + "".join(f"{name},0.{n}\n" for n, name in enumerate(names))
    truth = "Path,Mass\n" + "".join(f"{name},{n % 2}\n" for n, name in enumerate(names))
    p, notes = joined(tables, scores, truth)
    hashed = [keyed_hash(load_key(), "patient", f"patient0000{n}") for n in (0, 0, 1, 1)]
    assert p.patients == tuple(hashed)
    assert "Patients: the labels' Path, 2 of them." in notes


def predicted(names, adjusted="adjusted", positive="positive"):
    derived = f"{adjusted}_Mass,threshold_Mass,{positive}_Mass"
    head = f"file,file_name,prob_Mass,{derived},warnings,error\n"
    rows = [f"{name},{name.split('/')[-1]},0.{n},0.1,0.5,0,,\n" for n, name in enumerate(names)]
    return head + "".join(rows) + "films/broken.png,broken.png,,,,,,torn\n"


@pytest.mark.parametrize(
    "cells",
    [
        ("a.png", "b.png"),
        ("p1/a.png", "p1/b.png"),
        ("a", "b"),
        ("C:\\films\\a.png", "C:\\films\\b.png"),
    ],
)
def test_what_predict_wrote_is_joined_by_its_files(tables, cells):
    labels = "age,Image Index,Mass\n" + "".join(f"50,{cell},{n}\n" for n, cell in enumerate(cells))
    p, notes = joined(tables, predicted(["/home/me/p1/b.png", "/home/me/p1/a.png"]), labels)
    assert p.truth.ravel().tolist() == [1, 0]
    assert p.prob.ravel().tolist() == [0.0, 0.1]
    assert p.images == (cells[1], cells[0])  # as the labels call them
    assert "Joined on file = Image Index: 2 rows." in notes
    assert "Not used, of the labels: age." in notes
    assert "of the predictions" not in notes


def test_what_an_earlier_predict_wrote_is_joined_alike(tables):
    table = predicted(["films/a.png", "films/b.png"], adjusted="undistorted", positive="called")
    p, notes = joined(tables, table, "Image Index,Mass\na.png,0\nb.png,1\n")
    assert p.labels == ("Mass",)
    assert "of the predictions" not in notes


def test_an_empty_table_of_predict_is_refused_in_one_line(tables):
    with pytest.raises(UserError, match="share a column"):
        joined(tables, predicted([]).splitlines()[0] + "\n", "name,Mass\n2.png,0\n")


def test_numbers_are_no_names_of_files_where_names_are(tables):
    files = predicted(["f/2.png", "f/1.png"])
    p, _ = joined(tables, files, ",name,Mass\n1,2.png,0\n2,1.png,1\n")
    assert p.truth.ravel().tolist() == [0, 1]
    with pytest.raises(UserError, match="both name the predicted files, but differently"):
        joined(tables, files, "row,name,Mass\n1,2,0\n2,1,1\n")


def test_files_of_one_name_are_told_apart_by_their_folders(tables):
    files = ["films/one/x.png", "films/two/x.png"]
    p, _ = joined(tables, predicted(files), "path,Mass\ntwo/x.png,0\none/x.png,1\n")
    assert p.truth.ravel().tolist() == [1, 0]
    with pytest.raises(UserError, match="share a column"):
        joined(tables, predicted(files), "path,Mass\nx.png,0\ny.png,1\n")


def test_what_predict_wrote_joins_a_prepared_dataset_under_its_images(tables, tmp_path):
    head = "image,patient,study,view,sex,age,split,source_id,sha256,Mass\n"
    rows = "images/1.png,ph7,,PA,F,50,,sub/a.png,00,1\nimages/2.png,ph7,,PA,M,40,,sub/b.png,01,0\n"
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "manifest.csv").write_text(head + rows)
    for files in (["raw/sub/b.png", "raw/sub/a.png"], ["set/images/2.png", "set/images/1.png"]):
        scores, _ = tables(predicted(files))
        p = join(scores, tmp_path / "set").predictions
        assert p.images == ("images/2.png", "images/1.png")
        assert p.truth.ravel().tolist() == [0, 1]
        assert p.patients == ("ph7", "ph7")


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.booleans()), min_size=4, max_size=30),
    st.floats(-50, 50),
    st.floats(0.01, 100),
)
@settings(max_examples=40)
def test_any_real_scores_are_ranked_as_scikit_learn_ranks_them(rows, shift, scale):
    truth = np.array([[float(positive)] for _, positive in rows])
    prob = np.array([[score * scale + shift] for score, _ in rows])
    n = len(rows)
    names = tuple(map(str, range(n)))
    scored = evaluate(truth, prob, ("Mass",), ranks_only=True)["per_label"]["Mass"]["pooled"]
    assert scored["binary_accuracy"] is scored["mae"] is None
    if 0 < truth.sum() < n:
        assert scored["auroc"] == roc_auc_score(truth, prob)
        assert scored["average_precision"] == average_precision_score(truth, prob)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.csv"
        given_ = Predictions(names, names, ("0",) * n, ("Mass",), prob, truth, ranks_only=True)
        write_predictions(path, given_)
        again = read_predictions(path)
    assert again.ranks_only
    assert np.array_equal(again.prob, prob)


@pytest.mark.parametrize("bad", ["", "nan", "inf", "Mary"])
def test_scores_are_finite_numbers_and_need_the_option(tables, bad):
    logits = PREDICTIONS.replace("0.4", "-17.5")
    with pytest.raises(UserError, match=r"holds -17.5 in data row 2.*or give --scores"):
        joined(tables, logits)
    assert joined(tables, logits, ranks_only=True)[0].prob[1, 1] == -17.5
    assert joined(tables, logits.replace("prob_", "score_"), ranks_only=True)[0].ranks_only
    with pytest.raises(UserError, match="Scores are finite numbers"):
        joined(tables, PREDICTIONS.replace("0.4", bad), ranks_only=True)


def test_the_highest_score_of_a_study_may_be_below_zero(tables):
    labels = "image,study,Effusion,Mass\na.png,s,1,0\nb.png,s,0,0\nc.png,t,0,1\n"
    scores = PREDICTIONS.replace("0.", "-0.")
    p, _ = joined(tables, scores, labels, per="study", ranks_only=True)
    assert p.prob.tolist() == [[-0.2, -0.1], [-0.3, -0.8]]
