"""Codecs that exist as command-line programs, when those are installed: mozjpeg, BPG and VVC (vvenc)."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from finola_codec.errors import ConfigError

Command = tuple[str, ...]  # with the places {input}, {output}, {setting} and {size}


@dataclass(frozen=True)
class CommandCodec:
    """A program that encodes a file, and one that decodes it; Pillow decodes where there is no second.

    ``picture`` is the suffix of the files it takes and gives: .png, .ppm, or .yuv for 8-bit planar YCbCr 4:4:4.
    ``marker`` is what its usage text must contain, where other programs go by the same name.
    """

    name: str
    settings: Sequence[float]
    encoder: Command
    decoder: Command | None
    picture: str
    marker: str = ""

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"codec": self.name}

    def about(self) -> str:
        setting = self.settings[len(self.settings) // 2]
        return " ".join(self.encoder).format(input="IN", output="OUT", setting=setting, size="WxH")

    def check(self) -> None:
        """Raise :class:`ConfigError` where a program is missing, or is another one of that name."""
        for command in (self.encoder, self.decoder):
            if command and not shutil.which(command[0]):
                raise ConfigError(f"{self.name} needs the program {command[0]}, which is not installed")
        if self.marker:
            usage = subprocess.run([self.encoder[0], "-version"], capture_output=True, text=True, check=False)
            if self.marker not in usage.stdout + usage.stderr:
                raise ConfigError(f"{self.name} needs {self.marker}'s {self.encoder[0]}; the one installed is another")

    def encode(self, image: Image.Image, setting: float) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, f"in{self.picture}"), Path(folder, "out.bin")
            if self.picture == ".yuv":
                source.write_bytes(np.asarray(image.convert("YCbCr")).transpose(2, 0, 1).tobytes())
            else:
                image.save(source)
            size = f"{image.width}x{image.height}"
            _run(self.name, self.encoder, input=source, output=target, setting=int(setting), size=size)
            data = target.read_bytes()
        # A raw stream does not tell a reader of .yuv its size, so two bytes a side do.
        return np.array(image.size, "<u2").tobytes() + data if self.picture == ".yuv" else data

    def decode(self, data: bytes) -> Image.Image:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "in.bin"), Path(folder, f"out{self.picture}")
            source.write_bytes(data[4:] if self.picture == ".yuv" else data)
            if self.decoder is None:
                return Image.open(source).convert("RGB")
            _run(self.name, self.decoder, input=source, output=target)
            if self.picture != ".yuv":
                return Image.open(target).convert("RGB")
            width, height = np.frombuffer(data[:4], "<u2")
            planes = np.frombuffer(target.read_bytes(), np.uint8).reshape(3, height, width)
        return Image.fromarray(np.ascontiguousarray(planes.transpose(1, 2, 0)), "YCbCr").convert("RGB")


def _run(name: str, command: Command, **places: object) -> None:
    done = subprocess.run([part.format(**places) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"{name}: {command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")


MOZJPEG = CommandCodec(
    "mozjpeg",
    (5, 7, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90),
    ("cjpeg", "-quality", "{setting}", "-outfile", "{output}", "{input}"),
    None,
    ".ppm",
    marker="mozjpeg",
)
BPG = CommandCodec(  # the setting is the quantizer, so quality falls as it grows
    "bpg",
    (47, 44, 41, 38, 35, 32, 29, 26, 23, 20),
    ("bpgenc", "-q", "{setting}", "-f", "444", "-o", "{output}", "{input}"),
    ("bpgdec", "-o", "{output}", "{input}"),
    ".png",
)
VVC = CommandCodec(
    "vvc",
    (47, 43, 39, 35, 31, 27, 23, 19),
    (
        "vvencapp",
        "-i",
        "{input}",
        "-s",
        "{size}",
        "-c",
        "yuv444",
        "--preset",
        "slow",
        "-q",
        "{setting}",
        "-o",
        "{output}",
    ),
    ("vvdecapp", "-b", "{input}", "-o", "{output}", "--OutputBitDepth", "8"),
    ".yuv",
)
