"""The codecs that are compared. A new one is a few lines: a name, settings, encode and decode."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from PIL import Image, features
from PIL import __version__ as pillow_version

from finola_codec import __version__, codec, container
from finola_codec.errors import ConfigError, ImageError
from finola_codec.evaluation.commands import BPG, MOZJPEG, VVC
from finola_codec.formats import format_of
from finola_codec.runtime.manifest import DEFAULT_TUNE, Tune, encoding_hash
from finola_codec.runtime.model import Model, load_model


class ImageCodec(Protocol):
    """What the evaluation needs of a codec."""

    @property
    def name(self) -> str:
        """As it appears in results."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What its results carry, the name as ``codec`` first, that tells them from those of any other."""

    @property
    def settings(self) -> Sequence[float]:
        """Points of its own quality scale, from low to high quality."""

    def about(self) -> str:
        """Its version and its options at the middle of its scale, for a reader."""

    def encode(self, image: Image.Image, setting: float) -> bytes:
        """Return the bytes of an RGB picture."""

    def decode(self, data: bytes) -> Image.Image:
        """Return the picture back, as RGB."""


@dataclass(frozen=True)
class PillowCodec:
    """A format that Pillow writes, by itself or by a plugin."""

    name: str
    format: str
    settings: Sequence[float]
    options: Callable[[float], dict[str, Any]]
    library: Callable[[], str]

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"codec": self.name}

    def about(self) -> str:
        options = ", ".join(f"{k} {v}" for k, v in self.options(self.settings[len(self.settings) // 2]).items())
        return f"{self.library()}; {options}"

    def encode(self, image: Image.Image, setting: float) -> bytes:
        out = io.BytesIO()
        image.save(out, self.format, **self.options(setting))
        return out.getvalue()

    def decode(self, data: bytes) -> Image.Image:
        return Image.open(io.BytesIO(data)).convert("RGB")


@dataclass(frozen=True)
class FinolaCodec:
    """One of our models over its quality range."""

    model: Model
    effort: int = codec.DEFAULT_EFFORT
    settings: tuple[int, ...] = (1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
    tune: Tune = "psnr"

    @property
    def name(self) -> str:
        effort = "" if self.effort == codec.DEFAULT_EFFORT else f", effort {self.effort}"
        tune = "" if self.tune == DEFAULT_TUNE else f", tune {self.tune}"
        return f"{self.model.name}{effort}{tune}"

    @property
    def identity(self) -> Mapping[str, Any]:
        # The id is that of decoding; another encoder would have the same.
        model = {
            "model_id": self.model.id.hex(),
            "model_sha256": encoding_hash(self.model.folder, self.tune)[:16],
        }
        return {
            "codec": self.name,
            **model,
            "format": container.VERSION,
            "effort": self.effort,
            "device": self.model.device,
        }

    def about(self) -> str:
        return (
            f"finola-codec {__version__}, model {self.model.id.hex()}; "
            f"effort {self.effort}, tune {self.tune}, device {self.model.device}"
        )

    def encode(self, image: Image.Image, setting: float) -> bytes:
        return codec.encode(image, int(setting), model=self.model, effort=self.effort, tune=self.tune)

    def decode(self, data: bytes) -> Image.Image:
        return codec.decode(data, model=self.model)


def _pillow(feature: str) -> Callable[[], str]:
    return lambda: f"Pillow {pillow_version} with {feature} {features.version(feature) or 'of unknown version'}"


def _wheel(name: str) -> Callable[[], str]:
    return lambda: f"{name} {version(name)}"


JPEG = PillowCodec(
    "jpeg",
    "JPEG",
    (5, 7, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90),
    lambda q: {"quality": int(q), "optimize": True},
    _pillow("jpg"),
)
WEBP = PillowCodec(
    "webp",
    "WEBP",
    (0, 5, 12, 20, 30, 40, 55, 70, 80, 90),
    lambda q: {"quality": int(q), "method": 6},
    _pillow("webp"),
)
JPEG2000 = PillowCodec(  # the setting is the compression ratio, so quality falls as it grows
    "jpeg2000",
    "JPEG2000",
    (250, 160, 110, 80, 60, 45, 34, 26, 20, 15, 11),
    lambda ratio: {"irreversible": True, "mct": 1, "quality_mode": "rates", "quality_layers": [ratio]},
    _pillow("jpg_2000"),
)
AVIF = PillowCodec(
    "avif",
    "AVIF",
    (5, 15, 25, 35, 45, 55, 65, 75, 85),
    lambda q: {"quality": int(q), "speed": 6, "subsampling": "4:4:4"},
    _pillow("avif"),
)
JXL = PillowCodec(
    "jxl",
    "JXL",
    (5, 15, 25, 35, 45, 55, 65, 75, 85, 92, 96),
    lambda q: {"quality": int(q), "lossless": False, "effort": 7},
    _wheel("pillow-jxl-plugin"),
)
HEIC = PillowCodec(
    "heic",
    "HEIF",
    (5, 12, 20, 28, 36, 44, 52, 60, 68, 76, 84, 92),
    lambda q: {"quality": int(q)},
    _wheel("pillow-heif"),
)

# What each codec needs: a feature of Pillow, or the plugin for a suffix.
_FEATURES = {"webp": "webp", "jpeg2000": "jpg_2000", "avif": "avif"}
_PLUGINS = {"jxl": ".jxl", "heic": ".heic"}
_PILLOW = {c.name: c for c in (JPEG, WEBP, JPEG2000, AVIF, JXL, HEIC)}
_COMMANDS = {c.name: c for c in (MOZJPEG, BPG, VVC)}
KNOWN = (*_PILLOW, *_COMMANDS)


def find(names: Sequence[str], models: Sequence[str | Path] = ()) -> list[ImageCodec]:
    """Return the codecs called ``names`` and our ``models``.

    Raises :class:`ConfigError` for one that cannot run here.
    """
    return [*(FinolaCodec(load_model(m)) for m in models), *map(_other, names)]


def _other(name: str) -> ImageCodec:
    if name in _COMMANDS:
        _COMMANDS[name].check()
        return _COMMANDS[name]
    if name not in _PILLOW:
        raise ConfigError(f"no codec {name!r}; known are {', '.join(KNOWN)}")
    if name in _FEATURES and not features.check(_FEATURES[name]):
        raise ConfigError(f"this Pillow was built without {name}")
    if name in _PLUGINS:
        try:
            format_of(_PLUGINS[name])
        except ImageError as error:
            raise ConfigError(f"{name}: {error}") from error
    return _PILLOW[name]
