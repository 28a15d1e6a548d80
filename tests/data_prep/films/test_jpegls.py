"""JPEG-LS streams that are damaged: refused, in no time."""

import subprocess
import sys

import numpy as np
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEGLSLossless

from tests.data_prep.films.synthetic_dicom import dicom

READ = """
import sys
import time
from pathlib import Path
from data_prep.errors import RejectedFile
from data_prep.films.film import read_film
begun = time.process_time()
try:
    read_film(Path(sys.argv[1]))
except RejectedFile:
    print(time.process_time() - begun)
"""


def test_a_stream_without_an_end_and_a_flipped_bit_is_refused_soon(tmp_path):
    """CharLS, as pyjpegls 1.5 has it, takes 2 ms a pixel for it: hours for a real film."""
    film = np.add.outer(np.arange(50), np.arange(40)).astype(np.uint8)
    dataset = dicom(film, bits=8)
    dataset.compress(JPEGLSLossless, generate_instance_uid=False)
    stream = bytearray(next(generate_frames(dataset.PixelData, number_of_frames=1))[:-4])
    stream[32] ^= 4
    dataset.PixelData = encapsulate([bytes(stream)])
    dataset.save_as(tmp_path / "x.dcm")
    words = [sys.executable, "-c", READ, tmp_path / "x.dcm"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert float(done.stdout) < 1  # s of the processor; 2,000 pixels
