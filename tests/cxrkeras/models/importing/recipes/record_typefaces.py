"""Records PyTorch's features of 20 real radiographs: `python record_typefaces.py SAFETENSORS DIR`.

SAFETENSORS: the DenseNet121 of ocrd_typegroups_classifier (Apache-2.0), trained on typefaces of
early prints, a real one of torchvision's topology that the package index has:

    pip download --no-deps ocrd_typegroups_classifier==0.5.0
    unzip ocrd_typegroups_classifier-0.5.0-py3-none-any.whl
    cd ocrd_typegroups_classifier/models
    python -m cxrkeras.models.importing.pickled densenet121.tgc x.safetensors

DIR: ChestX-ray14 images, 512x512 (`nih_target`). Needs torchvision.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torchvision.models import densenet121

from tests.cxrkeras.models.importing.recipes.record_torch import MEAN, SD, pooled
from tests.cxrkeras.models.importing.seeded import FIXTURES, halved

if __name__ == "__main__":
    weights = load_file(sys.argv[1])
    paths = sorted(Path(sys.argv[2]).rglob("*.png"))[:20]
    net = densenet121(num_classes=len(weights["classifier.bias"]))
    net.load_state_dict(weights)
    net.double().eval()
    grey = torch.tensor(np.float64(halved(paths))).permute(0, 3, 1, 2)
    with torch.no_grad():
        features = pooled(net, (grey / 255 - MEAN) / SD).numpy()
    np.savez_compressed(
        FIXTURES / "typefaces.npz",
        files=np.array([path.name for path in paths]),
        features=features.astype(np.float32),
    )
