"""finola-codec: a learned image codec built on first-order norm+linear autoregression.

>>> import finola_codec, skimage.data
>>> from PIL import Image
>>> data = finola_codec.encode(Image.fromarray(skimage.data.astronaut()), quality=50)
>>> finola_codec.decode(data).size
(512, 512)
"""

from importlib.metadata import PackageNotFoundError, version

from finola_codec.codec import decode, encode, info
from finola_codec.errors import ConfigError, FinolaError, FormatError, ImageError, LimitError, ModelError
from finola_codec.runtime.model import Model, load_model

try:
    __version__ = version("finola-codec")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0+unknown"

__all__ = [
    "ConfigError",
    "FinolaError",
    "FormatError",
    "ImageError",
    "LimitError",
    "Model",
    "ModelError",
    "__version__",
    "decode",
    "encode",
    "info",
    "load_model",
]
