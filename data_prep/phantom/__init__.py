"""The built-in data: chest radiographs from attenuation physics, written as real DICOM."""

from data_prep.phantom.findings import FINDINGS
from data_prep.phantom.write import write_phantoms

__all__ = ["FINDINGS", "write_phantoms"]
