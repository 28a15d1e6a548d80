"""The labels of ChestX-ray14, CheXpert and the study's own two-level taxonomy (E-DA).

`canonical` makes the spellings of different archives comparable; it never renames a user's columns.
"""

import difflib
from collections.abc import Iterable

from data_prep.tables.ontology import folded, ours

NIH14 = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)
NIH15 = (*NIH14, "No Finding")
CHEXPERT14 = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
CHEXPERT5 = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")

NORMAL = "normal"
PACEMAKER = "heart pacemaker placement"

# The study's table "Target dataset (E-DA Chest X-ray)": category -> {sub-finding: rows}.
# The counts are label rows, not images (1,924 rows of 1,630 images).
EDA_TAXONOMY: dict[str, dict[str, int]] = {
    "aortic sclerosis/calcification": {
        "aortic arch atherosclerotic plaque": 28,
        "aortic arch calcification": 16,
        "aortic atherosclerosis": 25,
        "aortic wall calcification": 22,
    },
    "arterial curvature": {"aortic curvature": 67, "thoracic vertebral artery curvature": 29},
    "abnormal lung fields": {
        "small pulmonary nodules": 5,
        "shadows of pulmonary nodules": 8,
        "tuberculosis": 5,
        "pulmonary fibrosis": 15,
    },
    "increased lung patterns": {
        "increased lung streak": 24,
        "lung field infiltration": 85,
        "obvious hilar": 45,
    },
    "spinal lesions": {
        "degenerative joint disease of the thoracic spine": 76,
        "scoliosis": 75,
    },
    "intercostal pleural thickening": {"intercostal pleural thickening": 36},
    "cardiac hypertrophy": {"cardiac hypertrophy": 42},
    PACEMAKER: {PACEMAKER: 7},
    NORMAL: {NORMAL: 1314},
}
EDA7 = tuple(name for name in EDA_TAXONOMY if name not in (NORMAL, PACEMAKER))

# The Chinese names that the study's slides give; they name categories.
EDA_CHINESE = {
    "心臟肥大": "cardiac hypertrophy",
    "主動脈硬化": "aortic sclerosis/calcification",
    "肺紋增加": "increased lung patterns",
    "脊椎病變": "spinal lesions",
    "正常": NORMAL,
}


def canonical(label: str) -> str:
    """The name under which a finding can be compared between archives.

    Args:
        label: a finding as some archive spells it, e.g. `Pleural Effusion`, `pleural_thickening`.

    Returns:
        The archives' own spelling (`Effusion`, `Pleural_Thickening`, `No Finding`) where the
        finding is a known one, otherwise `label` without surrounding blanks.
    """
    return ours().name_of(label) or label.strip()


ARCHIVE_FINDINGS = frozenset(canonical(name) for name in (*NIH14, *CHEXPERT14))


def parts_of(label: str) -> tuple[str, ...]:
    """The findings of which a label means any (`Nodule or mass`: Nodule, Mass), or none."""
    finding = ours().findings.get(canonical(label))
    return finding.any_of if finding else ()


def is_normal(label: str) -> bool:
    """Whether `label` says that there is nothing to find: the all-zero vector."""
    return canonical(label) == "No Finding" or label.strip() == "正常"


EDA_FINDINGS = (*(sub for subs in EDA_TAXONOMY.values() for sub in subs), *EDA_TAXONOMY)
_EDA_CATEGORY = (
    {folded(sub): category for category, subs in EDA_TAXONOMY.items() for sub in (category, *subs)}
    | EDA_CHINESE
    | {"no finding": NORMAL, "pacemaker": PACEMAKER}
)


def is_eda_finding(finding: str) -> bool:
    """Whether `finding` is a sub-finding or category of the study's taxonomy."""
    return folded(finding) in _EDA_CATEGORY


def eda_category(finding: str) -> str:
    """The category of the study to which a sub-finding (or category) belongs.

    Args:
        finding: one of the 19 sub-findings or 9 categories, in English, or a Chinese category name.

    Raises:
        KeyError: the name is unknown (see `is_eda_finding`).
    """
    return _EDA_CATEGORY[folded(finding)]


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that names the known names nearest to `name`."""
    known = list(known)
    lookup = {folded(one): one for one in known}
    close = difflib.get_close_matches(folded(name), lookup, n=3, cutoff=0.4)
    if close:
        return "Nearest known: " + ", ".join(lookup[one] for one in close) + "."
    more = ", ..." if len(known) > 8 else ""
    return "Known: " + ", ".join(known[:8]) + more + "."
