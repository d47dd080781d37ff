"""finola-codec: a learned image codec built on first-order norm+linear autoregression.

>>> import finola_codec, skimage.data
>>> from PIL import Image
>>> data = finola_codec.encode(Image.fromarray(skimage.data.astronaut()), quality=50)
>>> finola_codec.decode(data).size
(512, 512)
"""

import os

# OpenBLAS reads this when NumPy is first imported. After each product its threads would spin, for longer than a small
# picture takes, on the cores that ONNX Runtime wants next.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")

from finola_codec.codec import Info, decode, encode, fingerprint, info, salvage
from finola_codec.errors import (
    ConfigError,
    FinolaError,
    FormatError,
    ImageError,
    IncompleteError,
    LimitError,
    ModelError,
    TargetError,
)
from finola_codec.runtime.model import Model, load_model

__version__ = "0.1.0"

__all__ = [
    "ConfigError",
    "FinolaError",
    "FormatError",
    "ImageError",
    "IncompleteError",
    "Info",
    "LimitError",
    "Model",
    "ModelError",
    "TargetError",
    "__version__",
    "decode",
    "encode",
    "fingerprint",
    "info",
    "load_model",
    "salvage",
]
