"""DICOM films of one made-up patient, and an answer about films, without a model."""

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from cxrkeras.data.preparation import Preparation
from cxrkeras.evaluation.rules import parse_rule
from cxrkeras.serving.predict.predict import Answer, Row, answer
from cxrkeras.serving.predictor.card import Card
from data_prep.films.dicom import quiet

NAME, NUMBER, BORN = "Mustermann^Erika", "4711", "19640812"
SECRETS = ("Mustermann", "Erika", NUMBER, BORN)
STUDY, SERIES, FILM = "1.2.3.4", "1.2.3.4.5", "1.2.3.4.5.6"
LABELS = ("Effusion", "Ödem & Co", "Mass")
PROBABILITY = (0.123456789, 0.7, 0.4)


def write_film(path, **changes):
    """A film that can be read; None takes an attribute away."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = FILM
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    pixels = np.random.default_rng(7).integers(0, 4096, (40, 30)).astype(np.uint16)
    known = {
        "SpecificCharacterSet": "ISO_IR 100",
        "SOPClassUID": pydicom.uid.DigitalXRayImageStorageForPresentation,
        "SOPInstanceUID": FILM,
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": SERIES,
        "PatientName": NAME,
        "PatientID": NUMBER,
        "PatientBirthDate": BORN,
        "PatientSex": "F",
        "StudyDate": "20240102",
        "StudyTime": "101112",
        "AccessionNumber": "A17",
        "BodyPartExamined": "CHEST",
        "Modality": "DX",
        "PhotometricInterpretation": "MONOCHROME2",
        "SamplesPerPixel": 1,
        "PixelRepresentation": 0,
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "PixelData": pixels.tobytes(),
    }
    validated = pydicom.config.settings.writing_validation_mode
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    try:
        with quiet():
            dataset.update({k: v for k, v in (known | changes).items() if v is not None})
            dataset.save_as(path)
    finally:
        pydicom.config.settings.writing_validation_mode = validated
    return path


def answer_on(model, *films, probability=PROBABILITY, **facts) -> Answer:
    """What a model folder, which need hold no model, says of films: the same of each."""
    model.mkdir(exist_ok=True)
    (model / "model.keras").write_bytes(b"weights")
    points = (
        {"threshold": 0.1, "from": "here"},
        {"threshold": None, "from": ""},
        {"threshold": 0.5, "from": "there"},
    )
    known = {
        "labels": LABELS,
        "image_size": 24,
        "trained_on": "ours",
        "training_prevalence": dict(zip(LABELS, (0.2, None, 0.05), strict=True)),
        "inflation": dict.fromkeys(LABELS, 4.0),
        "operating_points": {"youden": dict(zip(LABELS, points, strict=True))},
    }
    card = Card(model, known | facts, Preparation(40), "keras", model / "model.keras")
    rows = [Row(film, "", ("a remark on the film",)) for film in films]
    scores = np.tile(np.float64(probability), (len(films), 1))
    return answer(card, parse_rule("youden"), None, rows, scores)
