"""The reports of Open-i: MeSH terms, and the films of each."""

import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from data_prep.errors import UserError

TERMS = {
    "Opacity": "Lung Opacity",
    "Density": "Lung Opacity",
    "Airspace Disease": "Lung Opacity",
    "Pulmonary Atelectasis": "Atelectasis",
    "Consolidation": "Consolidation",
    "Infiltrate": "Infiltration",
    "Pulmonary Edema": "Edema",
    "Pulmonary Congestion": "Pulmonary Congestion",
    "Pneumonia": "Pneumonia",
    "Nodule": "Nodule",
    "Mass": "Mass",
    "Granuloma": "Granuloma",
    "Granulomatous Disease": "Granuloma",
    "Calcified Granuloma": "Calcified Granuloma",
    "Calcinosis": "Calcification",
    "Cavitation": "Lung Cavity",
    "Emphysema": "Emphysema",
    "Pulmonary Emphysema": "Emphysema",
    "Bullous Emphysema": "Bullous Emphysema",
    "Blister": "Bullae",
    "Pulmonary Disease, Chronic Obstructive": "COPD",
    "Lung/hyperdistention": "Hyperinflation",
    "Lung, Hyperlucent": "Hyperinflation",
    "Lung/hypoinflation": "Hypoexpansion",
    "Volume Loss": "Volume Loss",
    "Pulmonary Fibrosis": "Fibrosis",
    "Fibrosis": "Fibrosis",
    "Cicatrix": "Fibrotic Band",
    "Lung Diseases, Interstitial": "Interstitial Lung Disease",
    "Markings": "Bronchovascular Markings",
    "Bronchiectasis": "Bronchiectasis",
    "Tuberculosis": "Tuberculosis",
    "Pleural Effusion": "Effusion",
    "Hydropneumothorax": "Hydropneumothorax",
    "Costophrenic Angle/blunted": "Costophrenic Angle Blunting",
    "Sulcus/blunted": "Costophrenic Angle Blunting",
    "Pneumothorax": "Pneumothorax",
    "Thickening/pleura": "Pleural_Thickening",
    "Cardiomegaly": "Cardiomegaly",
    "Cardiac Shadow/enlarged": "Cardiomegaly",
    "Heart Failure": "Heart Failure",
    "Pericardial Effusion": "Pericardial Effusion",
    "Mediastinum/enlarged": "Enlarged Cardiomediastinum",
    "Aorta/tortuous": "Aortic Elongation",
    "Aorta, Thoracic/tortuous": "Aortic Elongation",
    "Atherosclerosis": "Aortic Atheromatosis",
    "Aortic Aneurysm": "Aortic Aneurysm",
    "Hypertension, Pulmonary": "Pulmonary Hypertension",
    "Hernia, Hiatal": "Hiatal Hernia",
    "Hernia, Diaphragmatic": "Hernia",
    "Diaphragm/elevated": "Hemidiaphragm Elevation",
    "Diaphragmatic Eventration": "Diaphragmatic Eventration",
    "Diaphragm/flattened": "Flattened Diaphragm",
    "Pneumoperitoneum": "Pneumoperitoneum",
    "Fractures, Bone": "Fracture",
    "Scoliosis": "Scoliosis",
    "Kyphosis": "Kyphosis",
    "Spondylosis": "Vertebral Degenerative Changes",
    "Spine/degenerative": "Vertebral Degenerative Changes",
    "Cervical Vertebrae/degenerative": "Vertebral Degenerative Changes",
    "Thoracic Vertebrae/degenerative": "Vertebral Degenerative Changes",
    "Lumbar Vertebrae/degenerative": "Vertebral Degenerative Changes",
    "Osteophyte/degenerative": "Vertebral Degenerative Changes",
    "Bone Diseases, Metabolic": "Osteopenia",
    "Osteoporosis": "Osteoporosis",
    "Subcutaneous Emphysema": "Subcutaneous Emphysema",
    "Implanted Medical Device": "Support Devices",
    "Medical Device": "Support Devices",
    "Tube, Inserted": "Tube",
    "Catheters, Indwelling": "Catheter",
}
"""{MeSH term of an indexer: label}; what follows a `/` must stand anywhere after the term."""

AUTOMATIC = {
    "atelectases": "Atelectasis",
    "atelectasis": "Atelectasis",
    "calcified granuloma": "Calcified Granuloma",
    "catheter": "Catheter",
    "catheters": "Catheter",
    "congestion": "Pulmonary Congestion",
    "copd": "COPD",
    "edema": "Edema",
    "edemas": "Edema",
    "effusion": "Effusion",
    "effusions": "Effusion",
    "emphysemas": "Emphysema",
    "fibroses": "Fibrosis",
    "fracture": "Fracture",
    "fractures": "Fracture",
    "granulomas": "Granuloma",
    "granulomatous": "Granuloma",
    "hiatal hernia": "Hiatal Hernia",
    "bochdalek hernia": "Hernia",
    "hiatal hernias": "Hiatal Hernia",
    "hiatus hernia": "Hiatal Hernia",
    "morgagni hernia": "Hernia",
    "hyperexpansion": "Hyperinflation",
    "hyperinflation": "Hyperinflation",
    "infiltrates": "Infiltration",
    "kyphoses": "Kyphosis",
    "masses": "Mass",
    "nodules": "Nodule",
    "opacities": "Lung Opacity",
    "osteopenia": "Osteopenia",
    "pacemaker": "Support Devices",
    "pleural fluid": "Effusion",
    "pleural thickening": "Pleural_Thickening",
    "pneumonias": "Pneumonia",
    "scar": "Fibrotic Band",
    "scarring": "Fibrotic Band",
    "scolioses": "Scoliosis",
    "tortuous aorta": "Aortic Elongation",
}
"""{a program's words, in lower case: label}, besides those of `TERMS`; they may stand in a longer
term, the longest first: `right-sided pleural effusion`, but not `pericardial effusion`."""

NO_FINDINGS = ("normal", "No Indexing", "Technical Quality of Image Unsatisfactory")
_UNKNOWN = frozenset(name.casefold() for name in NO_FINDINGS[1:])


@dataclass(frozen=True)
class Report:
    """A report.

    Attributes:
        study: its name, e.g. `CXR1`.
        films: the names of its films, without suffix.
        codes: per label of `LABELS`, of the terms' kind; None where the report has no terms.
    """

    study: str
    films: tuple[str, ...]
    codes: tuple[str, ...] | None


def read_reports(files: Sequence[Path], kind: str) -> list[Report]:
    """Read reports, in the order of their files' names.

    Args:
        files: XML files, or a tar of them first.
        kind: `major` or `automatic`: whose terms.

    Raises:
        UserError: a file isn't XML, or a report lacks its name.
    """
    return [_report(text, name, kind) for name, text in _texts(files)]


def _texts(files: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    packed = next((path for path in files if path.suffix == ".tgz"), None)
    if packed is None:
        yield from ((path.name, path.read_bytes()) for path in files)
        return
    try:
        with tarfile.open(packed) as tar:
            held = {m.name: tar.extractfile(m).read() for m in tar if m.name.endswith(".xml")}
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UserError(f"{packed.name} can't be read: {error}. Download it again.") from None
    yield from sorted(held.items())


def _report(text: bytes, name: str, kind: str) -> Report:
    if b"<!ENTITY" in text:  # what expands without end is no report
        raise UserError(f"{name} isn't a report of Open-i. Download it again.")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise UserError(f"{name} isn't XML: {error}. Download it again.") from None
    study = root.find("uId")
    if study is None or not study.get("id"):
        raise UserError(f"{name} isn't a report of Open-i: it has no uId. Download it again.")
    terms = [(node.text or "").strip() for node in root.iterfind(f".//MeSH/{kind}")]
    films = tuple(node.get("id", "") for node in root.iterfind(".//parentImage"))
    return Report(study.get("id"), films, _codes(terms, _normal(root), kind))


def _normal(root: ElementTree.Element) -> bool:
    """Whether the indexers call it normal: a program finds no terms there."""
    return any((node.text or "").strip() == "normal" for node in root.iterfind(".//MeSH/major"))


def _codes(terms: Sequence[str], normal: bool, kind: str) -> tuple[str, ...] | None:
    said = [term for term in terms if term.casefold() not in _UNKNOWN]
    if not said and not (kind == "automatic" and normal):
        return None
    read = _labels if kind == "major" else _labels_within
    found = {label for term in said for label in read(term)}
    return tuple("1" if label in found else "0" for label in LABELS[kind])


def _labels(term: str) -> Iterator[str]:
    head, *rest = (part.strip() for part in term.casefold().split("/"))
    for known, label in _FOLDED:
        if head == known[0] and (len(known) == 1 or known[1] in rest):
            yield label


def _labels_within(term: str) -> Iterator[str]:
    for match in _WITHIN.finditer(term.casefold()):
        yield _WORDS[match[0]]


_FOLDED = [(term.casefold().split("/"), label) for term, label in TERMS.items()]
_WORDS = AUTOMATIC | {known[0]: label for known, label in _FOLDED if len(known) == 1}
_WITHIN = re.compile(
    r"\b(" + "|".join(map(re.escape, sorted(_WORDS, key=len, reverse=True))) + r")\b"
)

_EVERY = tuple(dict.fromkeys(TERMS.values()))
LABELS = {
    "major": _EVERY,
    "automatic": tuple(label for label in _EVERY if label in _WORDS.values()),
}
"""{whose terms: the labels that they can give}."""
