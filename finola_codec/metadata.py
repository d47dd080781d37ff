"""What accompanies a picture's pixels: ICC profile, EXIF, XMP and resolution; each has a chunk of its own in a file."""

from __future__ import annotations

import contextlib
import io
import re
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageCms, PngImagePlugin

from finola_codec.container import EXIF, ICC, RESOLUTION, XMP

ORIENTATION = 0x0112  # an EXIF tag
BLOCKS = (0x8769, 0x8825)  # EXIF tags that lead to blocks: camera settings, places
# The EXIF tags that describe a picture. A TIFF file's others describe how its pixels lie in the file, where those of
# another file do not: description, camera, resolution, software, time, artist, copyright, rating, what Windows adds,
# and the blocks of camera settings and of places.
DESCRIPTIVE = {
    *(0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x013C, 0x8298, 0x4746, 0x4749),
    *range(0x9C9B, 0x9CA0),
    *BLOCKS,
}
SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}  # of the ICC profiles that fit a mode
METADATA = ("icc_profile", "exif", "xmp", "dpi")  # the names that Pillow has for it
JPEG_ROOM = {"exif": 65_533, "xmp": 65_504}  # bytes that a segment of a JPEG file holds
PNG_XMP = "XML:com.adobe.xmp"  # the keyword of the PNG chunk that holds XMP
XMP_TAG = 700  # of TIFF
_Resolution = struct.Struct("<II")  # thousandths of a pixel per inch, across and down


@dataclass(frozen=True)
class Metadata:
    """What a .fin file keeps of a picture beside its pixels and its alpha plane."""

    icc: bytes | None = None  # an ICC profile
    exif: bytes | None = None  # "Exif", two zero bytes, a TIFF structure
    xmp: bytes | None = None  # an XML document
    dpi: tuple[float, float] | None = None  # pixels per inch, across and down

    @classmethod
    def of(cls, image: Image.Image) -> Metadata:
        """Read what Pillow has found in a picture's file. What is damaged counts as missing.

        EXIF is reduced to the tags that describe the picture. The orientation is none of them, because encoding turns
        the picture upright.
        """
        xmp = image.info.get("xmp") or image.info.get(PNG_XMP)
        xmp = xmp.encode() if isinstance(xmp, str) else xmp
        return cls(
            image.info.get("icc_profile") or None,
            _descriptive(image),
            xmp if xmp and isinstance(xmp, bytes) else None,
            _resolution(image.info.get("dpi")),
        )

    def put_into(self, image: Image.Image) -> None:
        """Add it to the picture's ``info``, under the names that Pillow has for it."""
        found = dict(zip(METADATA, (self.icc, self.exif, self.xmp, self.dpi), strict=True))
        image.info |= {name: value for name, value in found.items() if value is not None}

    def chunks(self) -> dict[int, bytes]:
        """Return the chunks of a .fin file that hold it; what is missing has none."""
        resolution = self.dpi and _Resolution.pack(*(round(1000 * number) for number in self.dpi))
        found = {ICC: self.icc, EXIF: self.exif, XMP: self.xmp, RESOLUTION: resolution}
        return {kind: payload for kind, payload in found.items() if payload}

    @classmethod
    def from_chunks(cls, chunks: Mapping[int, bytes]) -> Metadata:
        """Read it from the chunks of a .fin file. A resolution that makes no sense is none."""
        dpi = None
        if len(chunks.get(RESOLUTION, b"")) == _Resolution.size:
            across, down = _Resolution.unpack(chunks[RESOLUTION])
            dpi = _resolution((across / 1000, down / 1000))
        return cls(chunks.get(ICC), chunks.get(EXIF), chunks.get(XMP), dpi)


def too_long(image: Image.Image, format_name: str) -> list[str]:
    """Return the names of the metadata that a picture has more of than a format has room for."""
    room = JPEG_ROOM if format_name == "JPEG" else {}
    return [name for name, most in room.items() if len(image.info.get(name, b"")) > most]


def save_options(image: Image.Image, format_name: str, absent: Collection[str]) -> dict[str, Any]:
    """Return the options of Pillow's ``save`` that write what of a picture's metadata a format has a place for.

    Those whose names are in ``absent`` are left out.
    """
    options = {name: image.info[name] for name in METADATA if name in image.info and name not in absent}
    xmp = options.get("xmp")
    if xmp and format_name == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt(PNG_XMP, options.pop("xmp").decode("utf-8", "replace"))
        options["pnginfo"] = text
    if xmp and format_name == "TIFF":
        exif = Image.Exif()
        exif.load(options.get("exif", b""))
        exif[XMP_TAG] = options.pop("xmp")
        options["exif"] = exif
    return options


def fits(icc: bytes, mode: str) -> bool:
    """Return whether an ICC profile is of the colour space of a mode, or cannot be read, which is not ours to judge."""
    return space(icc) in (None, SPACES[mode.removesuffix("A")])


def space(icc: bytes) -> str | None:
    """Return the colour space of a profile (RGB, GRAY, CMYK or Lab), or None where it cannot be read."""
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile.xcolor_space.strip()
    except (ImageCms.PyCMSError, OSError):
        return None


def orientation(image: Image.Image) -> int:
    """Return how a picture lies, as EXIF has it: 1 is upright, and so is what cannot be read."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # see _descriptive
        return 1


def upright(xmp: bytes) -> bytes:
    """Return XMP in which the orientation, if it has one, is that of an upright picture."""
    return re.sub(rb"(tiff:Orientation(?:\s*=\s*[\"']|>))[2-8]", rb"\g<1>1", xmp)


def _descriptive(image: Image.Image) -> bytes | None:
    try:
        exif, kept = image.getexif(), Image.Exif()
        for tag in DESCRIPTIVE & set(exif):
            kept[tag] = exif.get_ifd(tag) if tag in BLOCKS else exif[tag]
        return kept.tobytes() if len(kept) else None
    except Exception:  # of damaged EXIF Pillow raises SyntaxError, TypeError, struct.error and others
        return None


def _resolution(dpi: Any) -> tuple[float, float] | None:
    with contextlib.suppress(TypeError, ValueError):
        across, down = map(float, dpi)
        if all(0.001 <= number < 2**32 / 1000 for number in (across, down)):
            return across, down
    return None
