"""Pictures taken apart and put together: modes, orientation, the alpha plane, the layer."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin, WebPImagePlugin

from finola_codec.errors import FormatError, ImageError
from finola_codec.metadata import SPACES, Metadata, fits, orientation, space, upright

QUICK = 4  # libwebp's method with which layers are compared
MAX_LAYER_SIDE = 16_383  # as WebP has it
OPAQUE = b""  # the alpha chunk of a picture that has alpha but is opaque everywhere
TURNS = {  # what brings a picture upright, by its orientation in EXIF
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Planes:
    """A picture taken apart: pixels (H, W, 3) as RGB whatever its mode, and what accompanies them."""

    pixels: NDArray[np.uint8]
    mode: str  # one of container.MODES
    alpha: NDArray[np.uint8] | None = None  # (H, W)
    metadata: Metadata = field(default_factory=Metadata)


def to_planes(image: Image.Image) -> Planes:
    """Take a picture of any mode apart. It is turned upright, and 16 bits a channel are reduced to 8.

    Raises :class:`ImageError` for a picture without pixels.
    """
    if not (image.width and image.height):
        raise ImageError(f"a picture of {image.width} x {image.height} pixels cannot be encoded")
    metadata = Metadata.of(image)
    turned = orientation(image)
    image.load()  # by which Pillow has turned a TIFF file's picture already
    if (still := orientation(image)) in TURNS:  # exif_transpose would write EXIF anew, and fail where that is damaged
        image = image.transpose(TURNS[still])
    if turned != 1:
        metadata = replace(metadata, xmp=metadata.xmp and upright(metadata.xmp))
    if turned >= 5 and metadata.dpi:  # rows have become columns
        metadata = replace(metadata, dpi=metadata.dpi[::-1])
    if image.mode in ("CMYK", "LAB"):
        image, metadata = _to_srgb(image, metadata.icc), replace(metadata, icc=None)
    image = _to_eight_bits(image)
    if metadata.icc and not fits(metadata.icc, image.mode):
        metadata = replace(metadata, icc=None)
    alpha = np.asarray(image.getchannel("A")) if image.mode in ("LA", "RGBA") else None
    return Planes(np.asarray(_converted(image, "RGB")), image.mode, alpha, metadata)


def from_planes(planes: Planes) -> Image.Image:
    """Put a picture together again."""
    image = _converted(Image.fromarray(planes.pixels, "RGB"), planes.mode.removesuffix("A"))
    if planes.alpha is not None:
        image.putalpha(Image.fromarray(planes.alpha, "L"))
    planes.metadata.put_into(image)
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
    with _reading("alpha plane"), PngImagePlugin.PngImageFile(io.BytesIO(data)) as image:
        if image.size != (width, height) or image.mode != "L":
            raise FormatError("the alpha plane does not fit the picture")
        return np.asarray(image)


def pack_layer(layer: NDArray[np.uint8], method: int) -> bytes:
    """Write a layer (H, W, 4) of RGBA pixels losslessly, as a WebP file.

    ``method`` is libwebp's: :data:`QUICK`, or a slower one, and then the smaller file of both. Of graphics, 5 takes a
    tenth of the time of 6 for 3 % more bytes, 4 for some 5 % more.

    Raises :class:`ImageError` for a side longer than WebP allows.
    """
    if max(layer.shape[:2]) > MAX_LAYER_SIDE:
        height, width = layer.shape[:2]
        raise ImageError(f"{width} x {height} pixels: lossless pictures have sides of {MAX_LAYER_SIDE} pixels at most")
    picture = Image.fromarray(layer, "RGBA")
    quick = _as_webp(picture, QUICK, quality=75)
    return quick if method == QUICK else min(quick, _as_webp(picture, method, quality=100), key=len)


def _as_webp(picture: Image.Image, method: int, quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "WEBP", lossless=True, exact=False, method=method, quality=quality)
    return out.getvalue()


def unpack_layer(data: bytes, height: int, width: int) -> NDArray[np.uint8]:
    """Read the layer (height, width, 4). Raises :class:`FormatError` where ``data`` is not such a layer."""
    if data[:4] != b"RIFF" or data[8:16] != b"WEBPVP8L":  # lossy ones decode differently from place to place
        raise FormatError("the layer is not a lossless WebP file")
    with _reading("layer"), WebPImagePlugin.WebPImageFile(io.BytesIO(data)) as image:
        if image.size != (width, height):
            raise FormatError("the layer does not fit the picture")
        layer = np.asarray(image.convert("RGBA"))
    if not np.isin(layer[:, :, 3], (0, 255)).all():
        raise FormatError("the layer has pixels that are neither opaque nor transparent")
    return layer


@contextlib.contextmanager
def _reading(what: str) -> Iterator[None]:
    """Make one error of all that is raised while a part of a file is read, by a class of Pillow's.

    ``Image.open`` would apply a limit of its own to the number of pixels, which has been checked already.
    """
    try:
        yield
    except (FormatError, MemoryError):
        raise
    except Exception as error:  # of data that somebody has made up Pillow raises IndexError, struct.error and others
        raise FormatError(f"the {what} is damaged: {error}") from error


def _to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Convert ink or Lab to sRGB, by its profile if it has one that fits."""
    profile: ImageCms.ImageCmsProfile | None = None
    if icc and space(icc) == SPACES[image.mode]:
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
    colours = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    return _converted(image, colours + "A" if image.has_transparency_data else colours)


def _scaled_to_eight_bits(image: Image.Image) -> Image.Image:
    """Round 16 bits to the upper 8. Floating point is taken to lie in 0..1, or in 0..255 if it does not.

    One grey may stand for transparency.
    """
    values = np.asarray(image, dtype=np.float64)
    if image.mode == "F":
        values = np.nan_to_num(values)
        values = values * 255 if values.max() <= 1 else values
    else:
        values = values / 257
    grey = Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8), "L")
    if "transparency" in image.info:
        grey.putalpha(Image.fromarray(np.asarray(image) != image.info["transparency"]))
    return grey
