"""Pictures in and out through Pillow: modes, alpha, orientation, ICC, EXIF, limits."""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from finola_codec.container import DEFAULT_MAX_PIXELS
from finola_codec.errors import FormatError, ImageError

ORIENTATION = 0x0112  # the EXIF tag
# The EXIF tags that describe a picture. A TIFF file's others describe how its pixels lie in the file, where those of
# another file do not: description, camera, resolution, software, time, artist, copyright, rating, what Windows adds,
# and the blocks of camera settings and of places.
DESCRIPTIVE = {
    *(0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x013C, 0x8298, 0x4746, 0x4749),
    *range(0x9C9B, 0x9CA0),
    *(0x8769, 0x8825),
}
SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}  # of the ICC profiles that fit a mode
MAX_LAYER_SIDE = 16_383  # as WebP has it
PNG_LEVEL = 2  # a third of the time of the default, 6, for files 4 % larger
OPAQUE = b""  # the alpha chunk of a picture that has alpha but is opaque everywhere


@dataclass(frozen=True)
class Planes:
    """A picture taken apart: pixels (H, W, 3) as RGB whatever its mode, and what accompanies them."""

    pixels: NDArray[np.uint8]
    mode: str  # one of container.MODES
    alpha: NDArray[np.uint8] | None = None  # (H, W)
    icc: bytes | None = None
    exif: bytes | None = None


def read(source: Path | BinaryIO, name: str, max_pixels: int | None = DEFAULT_MAX_PIXELS) -> Image.Image:
    """Open and decode a picture. Raises :class:`ImageError` naming it and what is wrong with it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # max_pixels decides
            image = Image.open(source)
            if max_pixels is not None and image.width * image.height > max_pixels:
                raise ImageError(f"{name}: {image.width} x {image.height} pixels, more than the limit of {max_pixels}")
            image.load()
    except UnidentifiedImageError as error:
        raise ImageError(f"{name}: not a picture in a format that Pillow reads") from error
    except FileNotFoundError as error:
        raise ImageError(f"{name}: no such file") from error
    except (OSError, SyntaxError, ValueError, MemoryError, Image.DecompressionBombError) as error:
        raise ImageError(f"{name}: cannot be read as a picture: {error}") from error
    return image


def suffixes() -> set[str]:
    """Return the suffixes of picture files that Pillow knows, without our own."""
    return set(Image.registered_extensions()) - {".fin"}


def to_planes(image: Image.Image) -> Planes:
    """Take a picture of any mode apart. It is turned upright, and 16 bits a channel are reduced to 8.

    Raises :class:`ImageError` for a picture without pixels.
    """
    if not (image.width and image.height):
        raise ImageError(f"a picture of {image.width} x {image.height} pixels cannot be encoded")
    exif = image.getexif()
    icc = image.info.get("icc_profile") or None
    if exif.get(ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode in ("CMYK", "LAB"):
        image, icc = _to_srgb(image, icc), None
    image = _to_eight_bits(image)
    if icc and _space(icc) not in (None, SPACES[image.mode.removesuffix("A")]):
        icc = None
    alpha = np.asarray(image.getchannel("A")) if image.mode in ("LA", "RGBA") else None
    return Planes(np.asarray(_converted(image, "RGB")), image.mode, alpha, icc, _descriptive(exif))


def from_planes(planes: Planes) -> Image.Image:
    """Put a picture together again."""
    image = _converted(Image.fromarray(planes.pixels, "RGB"), planes.mode.removesuffix("A"))
    if planes.alpha is not None:
        image.putalpha(Image.fromarray(planes.alpha, "L"))
    if planes.icc:
        image.info["icc_profile"] = planes.icc
    if planes.exif:
        image.info["exif"] = planes.exif
    return image


def _converted(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)  # which copies even where there is nothing to do


def pack_alpha(alpha: NDArray[np.uint8]) -> bytes:
    """Write an alpha plane (H, W) losslessly: as a grey PNG, or as nothing where it is opaque everywhere."""
    if (alpha == 255).all():
        return OPAQUE
    out = io.BytesIO()
    Image.fromarray(alpha, "L").save(out, "PNG", optimize=True)
    return out.getvalue()


def unpack_alpha(data: bytes, height: int, width: int) -> NDArray[np.uint8]:
    """Read the alpha plane (height, width). Raises :class:`FormatError` where ``data`` is not such a plane."""
    if data == OPAQUE:
        return np.full((height, width), 255, np.uint8)
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.size != (width, height) or image.mode != "L":
                raise FormatError("the alpha plane does not fit the picture")
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise FormatError(f"the alpha plane is damaged: {error}") from error


def pack_layer(layer: NDArray[np.uint8], quick: bool = False) -> bytes:
    """Write a layer (H, W, 4) of RGBA pixels losslessly, as a WebP file; a ``quick`` one is some 2 % larger.

    Raises :class:`ImageError` for a side longer than WebP allows.
    """
    if max(layer.shape[:2]) > MAX_LAYER_SIDE:
        height, width = layer.shape[:2]
        raise ImageError(f"{width} x {height} pixels: lossless pictures have sides of {MAX_LAYER_SIDE} pixels at most")
    out = io.BytesIO()
    effort = {"quality": 75, "method": 4} if quick else {"quality": 100, "method": 5}  # method 6: 10 times as long
    Image.fromarray(layer, "RGBA").save(out, "WEBP", lossless=True, exact=False, **effort)
    return out.getvalue()


def unpack_layer(data: bytes, height: int, width: int) -> NDArray[np.uint8]:
    """Read the layer (height, width, 4). Raises :class:`FormatError` where ``data`` is not such a layer."""
    if data[:4] != b"RIFF" or data[8:16] != b"WEBPVP8L":  # lossy ones decode differently from place to place
        raise FormatError("the layer is not a lossless WebP file")
    try:
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
            if image.size != (width, height):
                raise FormatError("the layer does not fit the picture")
            layer = np.asarray(image.convert("RGBA"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise FormatError(f"the layer is damaged: {error}") from error
    if not np.isin(layer[:, :, 3], (0, 255)).all():
        raise FormatError("the layer has pixels that are neither opaque nor transparent")
    return layer


def save(image: Image.Image, target: BinaryIO, suffix: str) -> None:
    """Write a picture in the format of ``suffix``, with its ICC profile and EXIF where the format has a place for them.

    Raises :class:`ImageError` for a suffix or a mode that Pillow cannot write.
    """
    Image.preinit()
    if suffix.lower() not in Image.EXTENSION:
        Image.init()  # all of Pillow's formats, which takes as long as decoding a small picture
    format_name = Image.EXTENSION.get(suffix.lower())
    if format_name not in Image.SAVE:
        raise ImageError(f"{suffix or 'no suffix'}: not a picture format that Pillow writes")
    extras: dict[str, Any] = {key: image.info[key] for key in ("icc_profile", "exif") if key in image.info}
    if format_name == "PNG":
        extras["compress_level"] = PNG_LEVEL
    try:
        image.save(target, format_name, **extras)
    except (KeyError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk, not of the picture
        raise ImageError(f"a picture of mode {image.mode} cannot be saved as {format_name}: {error}") from error


def _descriptive(exif: Image.Exif) -> bytes | None:
    """Keep the tags that describe the picture. Its orientation is none of them: it has been applied."""
    for tag in list(exif):
        if tag not in DESCRIPTIVE:
            del exif[tag]
    return exif.tobytes() if len(exif) else None


def _space(icc: bytes) -> str | None:
    """Return the colour space of a profile (RGB, GRAY, CMYK or Lab), or None where it cannot be read."""
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile.xcolor_space.strip()
    except (ImageCms.PyCMSError, OSError):
        return None


def _to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Convert ink or Lab to sRGB, by its profile if it has one that fits."""
    profile: ImageCms.ImageCmsProfile | None = None
    if icc and _space(icc) == SPACES[image.mode]:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    elif image.mode == "LAB":
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    if profile is not None:
        with contextlib.suppress(ImageCms.PyCMSError):  # a broken profile: as if there were none
            converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:
                return converted
    return image.convert("RGB")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return _scaled_to_eight_bits(image)
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("L", "RGB") and "transparency" in image.info:
        return image.convert(image.mode + "A" if image.mode == "L" else "RGBA")
    if image.mode == "P":
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode in ("PA", "La", "RGBa"):
        return image.convert("RGBA" if image.mode != "La" else "LA")
    return image if image.mode in ("L", "LA", "RGB", "RGBA") else image.convert("RGB")


def _scaled_to_eight_bits(image: Image.Image) -> Image.Image:
    """Round 16 bits to the upper 8. Floating point is taken to lie in 0..1, or in 0..255 if it does not."""
    values = np.asarray(image, dtype=np.float64)
    if image.mode == "F":
        values = np.nan_to_num(values)
        values = values * 255 if values.max() <= 1 else values
    else:
        values = values / 257
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8), "L")
