"""dicom-validator over the tables of PS3.3 that highdicom has: it would download the standard.

Checked are the modules that an IOD must have, every attribute of type 1 and 2 in them and in the
sequences that are there, what belongs into no module, and whether values are valid for their VR.
Conditions (types 1C and 2C) aren't in the tables: such attributes may be there or not.
"""

import json
from functools import cache
from pathlib import Path

import pydicom
from pydicom.datadict import tag_for_keyword

_OF_KIND = {
    "ConceptCodeSequence": ["CODE"],
    "ContinuityOfContent": ["CONTAINER"],
    "GraphicData": ["SCOORD", "SCOORD3D"],
    "GraphicType": ["SCOORD", "SCOORD3D"],
    "MeasuredValueSequence": ["NUM"],
    "ReferencedFrameOfReferenceUID": ["SCOORD3D"],
    "ReferencedSOPSequence": ["COMPOSITE", "IMAGE", "WAVEFORM"],
    "TabulatedValuesSequence": ["TABLE"],
    "TemporalRangeType": ["TCOORD"],
}
"""{attribute of a content item: the kinds of items that have it}: PS3.3, C.17.3.2 and C.18."""


@cache
def _known():
    import highdicom
    from dicom_validator.validator.dicom_info import DicomInfo

    folder = Path(highdicom.__file__).parent / "_standard"
    names = ("sop_class_iod_map", "iod_module_map", "module_attribute_map")
    classes, iods, modules = (json.loads((folder / f"{name}.json").read_text()) for name in names)
    told = {
        uid: {"title": iod, "group_macros": {}, "modules": {m["key"]: _usage(m) for m in iods[iod]}}
        for uid, iod in classes.items()
        if iod in ("comprehensive-sr", "secondary-capture-image")
    }
    keys = {key for one in told.values() for key in one["modules"]}
    return DicomInfo({}, told, {key: _nested(modules[key]) for key in keys})


def _usage(module: dict) -> dict:
    return {"ref": module["key"], "use": "M" if module["usage"] == "M" else "U"}


def _nested(attributes: list[dict]) -> dict:
    top: dict = {}
    known = [one for one in attributes if tag_for_keyword(one["keyword"])]  # no repeating groups
    for one in sorted(known, key=lambda one: len(one["path"])):
        items = top
        for keyword in one["path"]:
            items = items.setdefault(_tag(keyword), {"type": "3"}).setdefault("items", {})
        items.setdefault(_tag(one["keyword"]), {})["type"] = one["type"]
    content = _tag("ContentSequence")
    if content in top:
        below = top[content]["items"]
        below[content] = {"type": "3", "items": below}  # the tree goes on as it began
        for items in (top, below):
            for keyword, kinds in _OF_KIND.items():
                items.get(_tag(keyword), {}).update(type="1C", cond=_where_kind(kinds))
    return top


def _where_kind(kinds: list[str]) -> dict:
    """As dicom-validator's own condition parser says it: mandatory there, else not allowed."""
    return {"type": "MN", "tag": _tag("ValueType"), "index": 0, "op": "=", "values": kinds}


def _tag(keyword: str) -> str:
    tag = tag_for_keyword(keyword)
    return f"({tag >> 16:04x},{tag & 0xFFFF:04x})"


def errors(path: Path) -> list[str]:
    """What dicom-validator finds in a file, as lines."""
    from dicom_validator.validator.error_handler import NullValidationResultHandler
    from dicom_validator.validator.iod_validator import IODValidator

    dataset = pydicom.dcmread(path)
    handler = NullValidationResultHandler()
    found = IODValidator(dataset, _known(), error_handler=handler).validate()
    return [
        f"{module}: {tag} {pydicom.datadict.keyword_for_tag(tag.tag)} {error.code.name}"
        for module, tags in found.module_errors.items()
        for tag, error in tags.items()
    ] + ([] if found.errors == 0 or found.module_errors else [found.status.name])
