"""Mutants of DICOM, PNG, JPEG and TIFF files, through what `prep` and `predict` do with a film."""

import io
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pydicom.data
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from data_prep.errors import RejectedFile, UserError
from data_prep.films.square import Settings, read_square
from tests.conftest import ROOT
from tests.fuzz.crew import MEMORY
from tests.fuzz.mutate import harmed

_REAL = Path(os.environ.get("CXRKERAS_REAL_DATA", ROOT / "shared" / "data"))
_SMALL = 300_000  # bytes; larger ones are harmed seldom, since they take long to decode
_SELDOM = 0.03
_SIDES = (0, 1, 2, 3, 255, 4096, 65_535)
_NUMBERS = ("0", "1", "-1", "1e308", "inf", "nan", "-1e308", "1e-320", "", "x", "9" * 16, "1\\2\\3")


class Mutants:
    """Film mutants of one seed."""

    memory = MEMORY

    def __init__(self, seed: int, folder: Path):
        self._seed, self._path = seed, folder / "mutant"
        self._bases = _bases()
        names = sorted(self._bases)
        weights = [1.0 if len(self._bases[name]) < _SMALL else _SELDOM for name in names]
        self._names, self._chances = names, np.array(weights) / sum(weights)

    def make(self, number: int) -> str:
        """Write a mutant; gives what it is."""
        rng = np.random.default_rng([self._seed, 1, number])
        name = str(rng.choice(self._names, p=self._chances))
        content, said = self._bases[name], ""
        if content[128:132] == b"DICM" and rng.random() < 0.6:
            content, said = _edited(content, rng)
        if not said or rng.random() < 0.2:
            content, more = harmed(content, rng)
            said = f"{said}+{more}" if said else more
        self._path.write_bytes(content)
        self._stretch = (1.0, 99.0) if rng.random() < 0.2 else None
        self._pad = bool(rng.random() < 0.2)
        return f"{name}: {said}"

    def read(self) -> tuple[str, str]:
        """Do with it what both verbs do."""
        try:
            film, square = read_square(self._path, Settings(64, self._pad, self._stretch))
        except (RejectedFile, UserError) as refusal:
            kind = "unforeseen" if "unforeseen" in str(refusal) else "refused"
            return kind, str(refusal)
        pixels = film.pixels
        if not np.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > 1:
            return "non-finite", f"grey from {pixels.min()} to {pixels.max()}"
        if square.dtype != np.uint8 or square.shape != (64, 64):
            return "unforeseen", f"a square of {square.dtype} {square.shape}"
        film.digest  # noqa: B018 - computed when asked for
        return "accepted", "; ".join(film.warnings)


def _bases() -> dict[str, bytes]:
    """The files to harm: real ones, real films in every syntax, and pydicom's own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        known = {path.name: path.read_bytes() for path in sorted(_REAL.glob("dicom/chest/*.dcm"))}
        known |= _said_to_be_chests(sorted(_REAL.glob("dicom/codecs/*.dcm")))
        folder = Path(pydicom.data.__file__).parent / "test_files"
        small = [path for path in sorted(folder.glob("*.dcm")) if path.stat().st_size < 50_000]
        film = _film()
        pictures = {f"film.{name}": content for name, content in _pictures(film).items()}
        return known | pictures | _dicoms(film) | _said_to_be_chests(small)


def _film() -> np.ndarray:
    """(200, 160) uint8: a part of a real film, or where there is none a gradient."""
    for path in sorted(_REAL.glob("nih_target/images/*.png"))[:1]:
        return np.asarray(Image.open(path).convert("L"))[100:500:2, 100:420:2].copy()
    return np.add.outer(np.arange(200), np.arange(160) // 2 * 2).astype(np.uint8)


def _pictures(film: np.ndarray) -> dict[str, bytes]:
    image = Image.fromarray(film)
    deep = Image.fromarray(film.astype(np.uint16) * 257)
    colour, faint = image.convert("RGB"), image.convert("RGBA")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    wanted: dict[str, tuple[Image.Image, str, dict]] = {
        "png": (image, "PNG", {}),
        "16.png": (deep, "PNG", {}),
        "rgba.png": (faint, "PNG", {}),
        "palette.png": (colour.quantize(64), "PNG", {}),
        "1.png": (image.convert("1"), "PNG", {}),
        "jpg": (image, "JPEG", {}),
        "rgb.jpg": (colour, "JPEG", {"exif": exif}),
        "progressive.jpg": (image, "JPEG", {"progressive": True}),
        "tif": (image, "TIFF", {}),
        "16.tif": (deep, "TIFF", {}),
        "lzw.tif": (image, "TIFF", {"compression": "tiff_lzw"}),
        "deflate.tif": (image, "TIFF", {"compression": "tiff_adobe_deflate"}),
        "jpeg.tif": (image, "TIFF", {"compression": "jpeg"}),
        "pages.tif": (image, "TIFF", {"save_all": True, "append_images": [image]}),
    }
    return {name: _saved(*how) for name, how in wanted.items()}


def _saved(image: Image.Image, kind: str, options: dict) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _dicoms(film: np.ndarray) -> dict[str, bytes]:
    plain = {
        "explicit": ExplicitVRLittleEndian,
        "implicit": ImplicitVRLittleEndian,
        "deflated": DeflatedExplicitVRLittleEndian,
        "big": ExplicitVRBigEndian,
    }
    packed = {"rle": RLELossless, "j2k": JPEG2000Lossless, "jls": JPEGLSLossless}
    made = {name: _dicom(film, uid) for name, uid in plain.items()}
    made["16"] = _dicom(film.astype(np.uint16) * 16, ExplicitVRLittleEndian)
    for name, uid in packed.items():
        for bits, pixels in (("8", film), ("16", film.astype(np.uint16) * 16)):
            dataset = pydicom.dcmread(io.BytesIO(_dicom(pixels, ExplicitVRLittleEndian)))
            dataset.compress(uid, generate_instance_uid=False)
            made[f"{name}{bits}"] = _written(dataset)
    dataset = pydicom.dcmread(io.BytesIO(made["explicit"]))
    dataset.PixelData = encapsulate([_saved(Image.fromarray(film), "JPEG", {})])
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    made["jpeg"] = _written(dataset)
    return {f"{name}.dcm": content for name, content in made.items()}


def _dicom(pixels: np.ndarray, syntax: str) -> bytes:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3.4"
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "DX", "CHEST", "PA"
    dataset.PatientID, dataset.PatientSex, dataset.PatientAge = "7", "F", "050Y"
    bits = pixels.dtype.itemsize * 8
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = *pixels.shape, 1
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.WindowCenter, dataset.WindowWidth = 2 ** (bits - 1), 2**bits
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
    dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return _written(dataset)


def _written(dataset: Dataset) -> bytes:
    file = io.BytesIO()
    dataset.preamble = b"\0" * 128
    pydicom.dcmwrite(file, dataset, enforce_file_format=False)
    return file.getvalue()


def _said_to_be_chests(paths: list[Path]) -> dict[str, bytes]:
    """Those with pixels, whose header is made to say what is let through."""
    found = {}
    for path in paths:
        try:
            dataset = pydicom.dcmread(path)
            dataset.Modality, dataset.BodyPartExamined = "DX", "CHEST"
            if "PixelData" in dataset:
                found[path.name] = _written(dataset)
        except Exception:  # what pydicom can't write again serves as it is
            found[path.name] = path.read_bytes()
    return found


def _edited(content: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """Header fields and fragments, changed by pydicom; "" where that can't be done."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(io.BytesIO(content))
            names = []
            for _ in range(int(rng.integers(1, 4))):
                edit = _EDITS[int(rng.integers(len(_EDITS)))]
                names.append(f"{edit.__name__.strip('_')} {edit(dataset, rng) or ''}".strip())
            return _written(dataset), "+".join(names)
        except Exception:  # pydicom won't write just anything
            return content, ""


def _set(dataset: Dataset, rng: np.random.Generator, values: dict[str, tuple]) -> str:
    name = str(rng.choice(list(values)))
    value = values[name][int(rng.integers(len(values[name])))]
    with pydicom.config.disable_value_validation():
        setattr(dataset, name, value)
    return f"{name}={str(value)[:20]}"


def _geometry(dataset: Dataset, rng: np.random.Generator) -> str:
    bits = (0, 1, 7, 8, 12, 15, 16, 17, 24, 32, 64)
    values = {
        "Rows": _SIDES,
        "Columns": _SIDES,
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits,
        "PixelRepresentation": (0, 1, 2),
        "SamplesPerPixel": (0, 1, 2, 3, 4, 255),
        "PlanarConfiguration": (0, 1, 2),
        "NumberOfFrames": ("0", "1", "2", "-1", "999999999"),
    }
    return _set(dataset, rng, values)


def _grey(dataset: Dataset, rng: np.random.Generator) -> str:
    names = ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth")
    name, text = str(rng.choice(names)), str(rng.choice(_NUMBERS))
    dataset[name] = pydicom.DataElement(name, "DS", "", already_converted=True)
    dataset[
        name
    ].VR = "LO"  # whose text isn't looked at; the tag says DS to a reader of implicit VR
    dataset[name].value = text
    return f"{name}={text}"


def _words(dataset: Dataset, rng: np.random.Generator) -> str:
    values = {
        "PhotometricInterpretation": ("MONOCHROME1", "RGB", "YBR_FULL", "PALETTE COLOR", "X", ""),
        "PresentationLUTShape": ("INVERSE", "IDENTITY", "X"),
        "VOILUTFunction": ("SIGMOID", "LINEAR_EXACT", "X"),
        "BodyPartExamined": ("CHEST", "HAND", "", "\0"),
        "PatientAge": ("999Y", "x", "-1Y"),
        "SpecificCharacterSet": ("ISO_IR 192", "ISO 2022 IR 87", "nonsense", ["", "x"]),
        "PixelPaddingValue": (0, 65_535),
        "PixelPaddingRangeLimit": (0, 65_535),
        "LossyImageCompression": ("01",),
    }
    return _set(dataset, rng, values)


def _lut(dataset: Dataset, rng: np.random.Generator) -> str:
    """A table of grey values, whole or wrong in one of many ways."""
    item, count = Dataset(), int(rng.choice([0, 1, 2, 256, 4096]))
    if rng.random() < 0.9:
        declared = int(rng.choice([count, 0, 1, 65_535]))
        bits = int(rng.choice([0, 8, 16, 255]))
        item.add_new("LUTDescriptor", "US", [declared, int(rng.integers(65_536)), bits])
    if rng.random() < 0.9:
        item.add_new("LUTData", "US", rng.integers(0, 65_536, count).tolist())
    name = str(rng.choice(["ModalityLUTSequence", "VOILUTSequence"]))
    setattr(dataset, name, [item] * int(rng.integers(0, 3)))
    return name


def _syntax(dataset: Dataset, rng: np.random.Generator) -> str:
    others = [RLELossless, JPEG2000Lossless, JPEGLSLossless, JPEGBaseline8Bit]
    others += ["1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.51", "1.2"]
    dataset.file_meta.TransferSyntaxUID = str(rng.choice(others))
    return str(dataset.file_meta.TransferSyntaxUID)[-12:]


def _fragments(dataset: Dataset, rng: np.random.Generator) -> str:
    """Encapsulated frames: harmed, cut up, doubled or dropped."""
    frames = list(generate_frames(dataset.PixelData, number_of_frames=1))
    frames = [harmed(frame, rng)[0] for frame in frames] * int(rng.integers(0, 3))
    dataset.PixelData = encapsulate(frames, fragments_per_frame=int(rng.integers(1, 4)))
    return str(len(frames))


def _pixels(dataset: Dataset, rng: np.random.Generator) -> str:
    """Too few, too many, or none."""
    share = float(rng.choice([0, 0.1, 0.9, 1.1, 3]))
    data = dataset.PixelData
    dataset.PixelData = (data * 3)[: int(len(data) * share) // 2 * 2]
    return str(share)


def _dropped(dataset: Dataset, rng: np.random.Generator) -> str:
    tags = list(dataset.keys())
    tag = tags[int(rng.integers(len(tags)))]
    del dataset[tag]
    return str(tag)


_EDITS: tuple[Callable[[Dataset, np.random.Generator], str], ...] = (
    _geometry,
    _geometry,
    _grey,
    _grey,
    _words,
    _lut,
    _syntax,
    _fragments,
    _pixels,
    _dropped,
)
