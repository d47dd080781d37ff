"""CompressAI's models with random weights: seconds and peak memory of compress and decompress, a line of JSON a model.

    PYTHON benchmarks/compressai_models.py WIDTH HEIGHT MODEL

runs under a Python that has CompressAI (and NumPy below 2, which it wants); run.py calls it, see docs/benchmarks.md.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from unittest.mock import MagicMock

for unused in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
    sys.modules.setdefault(unused, MagicMock())  # its data sets want it, its models do not

import torch  # noqa: E402  # the stand-ins come first
from compressai.models.google import MeanScaleHyperprior, ScaleHyperprior  # noqa: E402

MODELS = {
    "bmshj2018-hyperprior": lambda: ScaleHyperprior(128, 192),  # its qualities 1 to 5
    "mbt2018-mean": lambda: MeanScaleHyperprior(128, 192),  # its qualities 1 to 4
}


def main(width: int, height: int, name: str) -> None:
    """Measure one model on noise of one size, padded to multiples of 64 as CompressAI wants it."""
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    model.update()
    x = torch.rand(1, 3, height + -height % 64, width + -width % 64)
    seconds = []
    with torch.inference_mode():
        for _ in range(2 if width * height < 2e6 else 1):  # the first of two warms up
            began = time.perf_counter()
            coded = model.compress(x)
            encoded = time.perf_counter()
            model.decompress(coded["strings"], coded["shape"])
            seconds = [encoded - began, time.perf_counter() - encoded]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"encode_s": seconds[0], "decode_s": seconds[1], "peak_mb": peak}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
