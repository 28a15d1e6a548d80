"""Predictions per study and labels that are unions, against plain loops and scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from cxrkeras.evaluation.scores.metrics import evaluate
from cxrkeras.evaluation.scores.predictions import Predictions
from cxrkeras.evaluation.tables.examinations import by_study
from cxrkeras.evaluation.tables.join import join
from data_prep.errors import UserError
from data_prep.readers.nih import adjudicated_table, nih_table
from data_prep.tables.vocabulary import CHEXPERT14, parts_of

CODES = st.sampled_from([1.0, 0.0, np.nan])


@given(st.lists(st.tuples(st.sampled_from("abc "), st.floats(0, 1), CODES), min_size=1))
def test_the_highest_view_and_any_positive_one(rows):
    studies = np.array([name.strip() for name, _, _ in rows])
    images = tuple(f"{n}.png" for n in range(len(rows)))
    prob, truth = (np.array([[row[place]] for row in rows]) for place in (1, 2))
    given_ = Predictions(images, images, ("0",) * len(rows), ("Mass",), prob, truth)
    merged, note = by_study(given_, studies)
    groups = {}
    for number, study in enumerate(studies):
        groups.setdefault(study or number, []).append(number)
    assert merged.images == tuple(images[numbers[0]] for numbers in groups.values())
    for row, numbers in enumerate(groups.values()):
        values = truth[numbers, 0]
        assert merged.prob[row, 0] == prob[numbers, 0].max()
        expected = 1 if 1 in values else np.nan if np.isnan(values).any() else 0
        np.testing.assert_equal(merged.truth[row, 0], expected)
    assert ("by itself" in note) == ("" in studies)


def write(path, text):
    path.write_text(text)
    return path


SCORES = "file,prob_Nodule,prob_Mass\na.png,0.9,0.1\nb.png,0.2,0.4\nc.png,0.3,0.3\n"


def test_a_union_is_scored_against_the_highest_of_its_parts(tmp_path):
    scores = write(tmp_path / "p.csv", SCORES)
    labels = write(tmp_path / "l.csv", "file,Nodule_or_mass,Fracture\na.png,1,0\nb.png,0,1\n")
    result = join(scores, labels)
    assert result.predictions.labels == ("Nodule_or_mass",)
    assert result.predictions.prob.tolist() == [[0.9], [0.4]]
    assert result.predictions.truth.tolist() == [[1], [0]]
    notes = " ".join(result.notes)
    assert "Nodule_or_mass is scored against the highest of Nodule, Mass." in notes
    assert "Not used, of the labels: Fracture." in notes
    assert "of the predictions" not in notes


def test_a_union_needs_all_parts_and_gives_way_to_a_score_of_its_own(tmp_path):
    labels = write(tmp_path / "l.csv", "file,Nodule or mass,Mass\na.png,1,0\nb.png,0,1\n")
    own = SCORES.replace("prob_Nodule", "prob_Nodule or mass")
    result = join(write(tmp_path / "own.csv", own), labels).predictions
    assert result.labels == ("Nodule or mass", "Mass")
    assert result.prob[:, 0].tolist() == [0.9, 0.2]
    other = SCORES.replace("prob_Nodule", "prob_Edema")
    assert join(write(tmp_path / "o.csv", other), labels).predictions.labels == ("Mass",)
    both = join(write(tmp_path / "p.csv", SCORES), labels).predictions
    assert both.labels == ("Mass", "Nodule or mass")


def test_unions_by_any_spelling():
    assert parts_of("Nodule/Mass") == parts_of("nodule_OR_mass") == ("Nodule", "Mass")
    assert parts_of("Mass") == ()


@pytest.mark.parametrize("header", ["study", "StudyInstanceUID"])
def test_studies_of_two_patients_are_two(tmp_path, header):
    scores = write(tmp_path / "p.csv", SCORES)
    labels = f"file,patient,{header},Mass\na.png,p,1,0\nb.png,p,1,1\nc.png,q,1,0\n"
    result = join(scores, write(tmp_path / "l.csv", labels), per="study")
    assert result.predictions.images == ("a.png", "c.png")
    assert result.predictions.prob.tolist() == [[0.4], [0.3]]
    assert result.predictions.truth.tolist() == [[1], [0]]
    assert "3 images are 2 studies" in result.notes[-1]


def test_studies_must_be_known(tmp_path):
    labels = write(tmp_path / "l.csv", "file,Mass\na.png,0\nb.png,1\n")
    with pytest.raises(UserError, match="--per study needs to know the studies"):
        join(write(tmp_path / "p.csv", SCORES), labels, per="study")


def test_a_patient_may_stand_for_a_study_and_the_mean_for_the_highest_score(tmp_path):
    scores = write(tmp_path / "p.csv", SCORES)
    labels = write(tmp_path / "l.csv", "file,patient,Mass\na.png,p,0\nb.png,p,1\nc.png,,0\n")
    for over, expected in (("max", 0.4), ("mean", np.mean([0.4, 0.1]))):
        result = join(scores, labels, per="patient", over=over)
        assert result.predictions.prob.tolist() == [[expected], [0.3]]
        assert result.predictions.truth.tolist() == [[1], [0]]
        assert "3 images are 2 patients, 1 of them of an unknown patient" in result.notes[-1]
        assert ("mean" in result.notes[-1]) == (over == "mean")
    nobody = write(tmp_path / "n.csv", "file,Mass\na.png,0\nb.png,1\n")
    with pytest.raises(UserError, match="--per patient needs to know the patients"):
        join(scores, nobody, per="patient")


CHEXPERT_SCORES = (
    "Path,prob_Edema\n"
    "CheXpert-v1.0-small/test/patient64741/study1/view1_frontal.jpg,0.2\n"
    "CheXpert-v1.0-small/test/patient64741/study1/view2_lateral.jpg,0.7\n"
    "CheXpert-v1.0-small/test/patient64742/study1/view1_frontal.jpg,0.4\n"
)


@pytest.mark.parametrize("per", ["image", "study"])
def test_labels_per_study_serve_predictions_per_film(tmp_path, per):
    scores = write(tmp_path / "p.csv", CHEXPERT_SCORES)
    rows = "CheXpert-v1.0/test/patient64741/study1,1\nCheXpert-v1.0/test/patient64742/study1,0\n"
    labels = write(tmp_path / "l.csv", f"Path,Edema\n{rows}")
    result = join(scores, labels, per=per).predictions
    assert result.prob.ravel().tolist() == ([0.7, 0.4] if per == "study" else [0.2, 0.7, 0.4])
    assert result.truth.ravel().tolist() == ([1, 0] if per == "study" else [1, 1, 0])


@pytest.mark.real
def test_chexperts_real_table_per_study(tmp_path, real):
    """Paths of another release and machine; the scores are noise, as no model is at hand."""
    table = real("metadata", "chexpert_valid_jfhealthcare_dev.csv")
    raw = pd.read_csv(table)
    scores = pd.DataFrame({"Path": raw["Path"].str.replace("/nas/public/CheXpert/", "")})
    noise = np.random.default_rng(0)
    for label in CHEXPERT14:
        scores[f"prob_{label}"] = noise.random(len(raw)).round(6)
    scores.sample(frac=1, random_state=0).to_csv(tmp_path / "p.csv", index=False)
    result = join(tmp_path / "p.csv", table, per="study").predictions
    assert len(result.images) == 200
    studies = raw["Path"].str.rsplit("/", n=1).str[0]
    for place, label in enumerate(result.labels):
        truth = raw[label.replace(" ", "_")].groupby(studies).max()
        best = scores[f"prob_{label}"].groupby(studies).max()
        if truth.nunique() == 2:
            ours = roc_auc_score(result.truth[:, place], result.prob[:, place])
            assert ours == pytest.approx(roc_auc_score(truth, best), abs=1e-12)


@pytest.mark.real
def test_published_predictions_against_the_adjudicated_labels(tmp_path, real):
    """What `prep nih --adjudicated` writes as labels, scored with a NIH-14 model's predictions."""
    adjudicated = real("metadata", "google2019_nih-chest-xray-labels.csv.gz")
    archive = nih_table(real("metadata", "Data_Entry_2017_v2020.csv.gz"))
    labels = adjudicated_table(adjudicated, archive).frame.rename(columns={"image": "source_id"})
    labels.to_csv(tmp_path / "labels.csv", index=False)
    predictions = real("metadata", "jrzech_preds.csv.gz")
    result = join(predictions, tmp_path / "labels.csv", key="Image Index=source_id")
    p = result.predictions
    assert set(p.labels) == {"Pneumothorax", "Nodule or mass"}
    raw = pd.read_csv(adjudicated).merge(pd.read_csv(predictions), on="Image Index")
    assert len(p.images) == len(raw) > 500
    scores = evaluate(p.truth, p.prob, p.labels)["per_label"]
    both = raw[["prob_Nodule", "prob_Mass"]].max(axis=1)
    for label, prob in (("Pneumothorax", raw["prob_Pneumothorax"]), ("Nodule or mass", both)):
        expected = roc_auc_score(raw[label] == "YES", prob)
        assert scores[label]["pooled"]["auroc"] == pytest.approx(expected, abs=1e-12)
        assert expected > 0.7
