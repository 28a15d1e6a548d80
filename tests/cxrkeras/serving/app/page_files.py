"""Films as a browser would send them, and a model to ask about them."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation as DX
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from cxrkeras.data.preparation import Preparation
from cxrkeras.serving.app.judge import Finding

NAME, PATIENT = "Featherstonehaugh^Zebedee", "QX-7391-ZZ"
LABELS = ("Effusion", "Mass & <b>more</b>", "Ödem")
SIDE, PREPARED = 32, 48
LIMIT_MB = 2
LIMIT = round(LIMIT_MB * 2**20)


def grey(seed: int, rows: int = 96, columns: int = 80) -> np.ndarray:
    """(rows, columns) uint8: a bright blob on noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:rows, :columns]
    centre = rng.uniform(0.3, 0.7, 2) * (rows, columns)
    blob = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / 300)
    return np.rint(170 * blob + rng.uniform(10, 60, (rows, columns))).astype(np.uint8)


def picture(pixels: np.ndarray, kind: str = "PNG", **options) -> bytes:
    """An image file."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind, **options)
    return content.getvalue()


def dicom(pixels: np.ndarray, part: str = "CHEST") -> bytes:
    """A DICOM file of one 8-bit radiograph, with a patient's name and number in it."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = DX, generate_uid()
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    header = {
        "SOPClassUID": DX,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "Modality": "DX",
        "PatientName": NAME,
        "PatientID": PATIENT,
        "BodyPartExamined": part,
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
        "PixelData": pixels.tobytes(),
    }
    for keyword, value in header.items():
        setattr(dataset, keyword, value)
    dataset["PixelData"].VR = "OB"
    content = io.BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    return content.getvalue()


class Saying:
    """A judge that says the mean grey, and less from label to label."""

    labels = ("Bright", "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion",
              "Emphysema", "Fibrosis", "Hernia", "Infiltration", "Mass", "Nodule",
              "Pleural thickening", "Pneumothorax")  # fmt: skip
    name, about, rule = "saying", ("It says the mean grey.",), "youden"
    reached = "on the held-out test set (200 images)."
    preparation, no_maps, unit, distorted = Preparation(64), "", "grey", False
    figure, extras = "Probability", ()

    def findings(self, seen):
        grey = float(seen.square.mean() / 255)
        return tuple(
            Finding(label, grey / (k + 1), None, 0.1, 0.1, "out of fold",
                    "no better than chance, or too few positives to tell: sensitivity 0.500, "
                    "specificity 0.500" * (k == 8),
                    0.81, 0.72)
            for k, label in enumerate(self.labels)
        )  # fmt: skip

    def notes(self, seen):
        return ("dark",) if seen.square.mean() < 20 else ()

    def unlike(self, seen):
        return ""

    def heat(self, seen, label):
        shade = seen.square.reshape(8, len(seen.square) // 8, 8, -1).mean(axis=(1, 3))
        return np.roll(shade, self.labels.index(label), axis=1).astype(np.float32)


def write_model(folder: Path, **preparation) -> Path:
    """A model folder as `cxrkeras train` makes it, small, with weights of chance."""
    import keras

    from cxrkeras.models.backbones.shared.scaling import SCALINGS, grey_to_colour

    keras.utils.set_random_seed(1)
    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = grey_to_colour(image, SCALINGS["torch"])
    x = keras.layers.Conv2D(8, 5, strides=4, activation="relu", padding="same")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(len(LABELS), kernel_initializer="he_normal", name="target")(x)
    output = keras.layers.Activation("sigmoid", name="probability")(x)
    folder.mkdir(parents=True)
    keras.Model(image, output).save(folder / "model.keras")
    facts = {
        "labels": LABELS,
        "image_size": SIDE,
        "trained_on": "noise",
        "training_prevalence": dict(zip(LABELS, (0.2, 0.1, None), strict=True)),
        "inflation": dict.fromkeys(LABELS, 4.5),
        "preparation": {"image_size": PREPARED, "pad": False, "stretch": None, **preparation},
    }
    (folder / "model.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder
