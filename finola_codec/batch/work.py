"""What is done to one file, whoever asks for it: the command line for one, a batch for a million."""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

from finola_codec import codec, formats
from finola_codec.container import DEFAULT_MAX_PIXELS
from finola_codec.errors import naming
from finola_codec.files import read
from finola_codec.runtime.devices import choose
from finola_codec.runtime.manifest import Tune
from finola_codec.runtime.model import DEFAULT_MODEL, load_model

FIN = ".fin"


@dataclass(frozen=True)
class Result:
    """What working on one file gives: the bytes of the new file, and what there is to say about it."""

    data: bytes
    pixels: int
    missing: list[str] = field(default_factory=list)  # what damage has taken
    notes: list[str] = field(default_factory=list)  # what else one should know


class Work(Protocol):
    """Encodes or decodes one file. It pickles, so that other processes can do it."""

    @property
    def suffix(self) -> str:
        """The suffix of what files become."""

    @property
    def accepts(self) -> Collection[str]:
        """The suffixes of the files that a folder is searched for, in lower case."""

    def settings(self) -> dict[str, Any]:
        """Return what a result depends on beside the file.

        It opens the model, so that a wrong one is found before any work: raises :class:`ModelError`.
        """

    def __call__(self, source: Path | BinaryIO, name: str, threads: int) -> Result:
        """Work on a file on ``threads`` CPU threads. Raises :class:`FinolaError`, which begins with ``name``."""


@dataclass(frozen=True)
class Encoding:
    """Encoding pictures as .fin files.

    The fields are arguments of :func:`finola_codec.encode`, the ``frame`` to read, and the model's ``device``.
    """

    model: str = DEFAULT_MODEL
    quality: int = 50
    effort: int = codec.DEFAULT_EFFORT
    target_bpp: float | None = None
    target_bytes: int | None = None
    target_psnr: float | None = None
    lossless: bool = False
    layer: Literal["auto", "off", "only"] = "auto"
    tune: Tune = "psnr"
    strip: bool = False
    max_pixels: int = DEFAULT_MAX_PIXELS
    frame: int | None = None
    device: str | None = None

    suffix = FIN
    accepts = formats.SUFFIXES

    def settings(self) -> dict[str, Any]:
        """See :meth:`Work.settings`."""
        model = load_model(self.model, device=self.device)
        return {"direction": "encode", "model": model.id.hex()} | _changed(self)

    def __call__(self, source: Path | BinaryIO, name: str, threads: int) -> Result:
        """See :class:`Work`."""
        model = load_model(self.model, threads, self.device)
        image = formats.read(source, name, self.max_pixels, self.frame)
        note, pixels, held = formats.left_out(image), image.width * image.height, [image]
        del image
        with naming(name):
            # Nothing else refers to the picture, so encode can let go of it. Unpacked arguments (**) would refer to it.
            data = codec.encode(
                held.pop(),
                self.quality,
                model=model,
                effort=self.effort,
                target_bpp=self.target_bpp,
                target_bytes=self.target_bytes,
                target_psnr=self.target_psnr,
                lossless=self.lossless,
                layer=self.layer,
                tune=self.tune,
                strip=self.strip,
                max_pixels=self.max_pixels,
            )
        return Result(data, pixels, notes=[f"{name}: {note}"] if note else [])


@dataclass(frozen=True)
class Decoding:
    """Decoding .fin files as pictures of the format that has ``suffix``.

    Without a ``model``, it is the one that each file names. With ``salvage``, damaged files are decoded as far as they
    are intact. ``output_quality`` is that of a lossy format; see :func:`finola_codec.formats.save`.
    """

    model: str | None = None
    suffix: str = ".png"
    output_quality: int | None = None
    salvage: bool = False
    max_pixels: int = DEFAULT_MAX_PIXELS
    device: str | None = None

    accepts = frozenset({FIN})

    def settings(self) -> dict[str, Any]:
        """See :meth:`Work.settings`. Raises :class:`ImageError` too, for a suffix of no format."""
        formats.format_of(self.suffix)
        choose(self.device)
        model = load_model(self.model, device=self.device).id.hex() if self.model else None
        return {"direction": "decode", "model": model} | _changed(self)

    def __call__(self, source: Path | BinaryIO, name: str, threads: int) -> Result:
        """See :class:`Work`."""
        options: dict[str, Any] = {"model": self.model, "threads": threads, "device": self.device}
        options["max_pixels"] = self.max_pixels
        out, missing = io.BytesIO(), list[str]()
        with naming(name):
            data = read(source) if isinstance(source, Path) else source.read()
            if self.salvage:
                image, missing = codec.salvage(data, **options)
            else:
                image = codec.decode(data, **options)
            notes = formats.save(image, out, self.suffix, self.output_quality)
        return Result(
            out.getvalue(),
            image.width * image.height,
            [f"{name}: salvaged: {what}" for what in missing],
            [f"{name}: {note}" for note in notes],
        )


def _changed(work: Encoding | Decoding) -> dict[str, Any]:
    """Return the fields that a result depends on and that do not have their default. So a new field changes nothing.

    Files need not be made again on another device, or under another limit.
    """
    changed = {f.name: getattr(work, f.name) for f in fields(work) if getattr(work, f.name) != f.default}
    return {name: value for name, value in changed.items() if name not in ("model", "device", "max_pixels")}
