"""Print the fingerprint of every golden file, and of vectors coded here, as JSON; run by test_golden.py in many ways.

ONNX Runtime and torch cannot be imported in this process: the integers must come without. With the argument
``float`` the prior is computed in float32, as other learned codecs do it, to show that the test notices; with
``python`` constriction cannot be imported either.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from finola_codec.runtime.model import Model

SCALE = 2.0**12


def float_linear(x: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """What :func:`finola_codec.entropy.fixed.linear` would be without its care."""
    real = (x / SCALE).astype(np.float32) @ (weights / SCALE).astype(np.float32).T
    return (real + (bias / SCALE).astype(np.float32)) * SCALE


def coded(model: Model) -> str:
    """SHA-256 of what a model's prior makes of some vectors: payloads, and the integers that they decode to."""
    rng, spec = np.random.default_rng(0), model.prior.spec
    sizes = (24, 32, spec.channels), (6, 8, spec.hyper_channels)
    y, z = (rng.integers(-4000, 4000, size).astype(np.float32) / 1000 for size in sizes)
    payloads = model.prior.encode(y, z, 60)
    return hashlib.sha256(payloads.hyper + payloads.vectors + payloads.y.astype("<i4").tobytes()).hexdigest()


def main() -> None:
    """Decode the integers of all golden files."""
    for absent in ("onnxruntime", "torch", *(["constriction"] if "python" in sys.argv else [])):
        sys.modules[absent] = None  # type: ignore[assignment]
    from finola_codec.codec import fingerprint
    from finola_codec.entropy import fixed
    from finola_codec.errors import FormatError
    from finola_codec.runtime.model import load_model

    if "float" in sys.argv:
        fixed.linear = float_linear
    found = {"coded": coded(load_model("finola-base"))}
    for path in sorted(Path(__file__).parent.glob("*.fin")):
        try:
            found[path.name] = fingerprint(path.read_bytes())
        except FormatError as error:  # where a float prior has gone astray, what follows makes no sense
            found[path.name] = str(error)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
