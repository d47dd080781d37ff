"""Print the fingerprint of every golden file as JSON; run by test_golden.py in processes set up in many ways.

ONNX Runtime and torch cannot be imported in this process: the integers must come without. With the argument
``float`` the prior is computed in float32, as other learned codecs do it, to show that the test notices.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

SCALE = 2.0**12


def float_linear(x: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """What :func:`finola_codec.entropy.fixed.linear` would be without its care."""
    real = (x / SCALE).astype(np.float32) @ (weights / SCALE).astype(np.float32).T
    return (real + (bias / SCALE).astype(np.float32)) * SCALE


def main() -> None:
    """Decode the integers of all golden files."""
    for absent in ("onnxruntime", "torch"):
        sys.modules[absent] = None  # type: ignore[assignment]
    from finola_codec.codec import fingerprint
    from finola_codec.entropy import fixed
    from finola_codec.errors import FormatError

    if "float" in sys.argv:
        fixed.linear = float_linear
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.fin")):
        try:
            found[path.name] = fingerprint(path.read_bytes())
        except FormatError as error:  # where a float prior has gone astray, what follows makes no sense
            found[path.name] = str(error)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
