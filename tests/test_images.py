"""Pictures taken apart: modes, orientation, transparency; the alpha plane."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from finola_codec.errors import FormatError
from finola_codec.images import OPAQUE, pack_alpha, to_planes, unpack_alpha

MUST_BE_A_NUMBER = 17  # where the EXIF below says of what type the camera's name is


def chunk(kind: bytes, payload: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def grey_png(depth: int, rows: list[bytes], width: int, transparent: int) -> Image.Image:
    """A grey picture in which one value stands for transparency."""
    header = struct.pack(">IIBBBBB", width, len(rows), depth, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = ((b"IHDR", header), (b"tRNS", struct.pack(">H", transparent)), (b"IDAT", pixels), (b"IEND", b""))
    return Image.open(io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*c) for c in chunks)))


@pytest.mark.parametrize(("transparent", "alpha"), [(0, [255, 0, 255, 0]), (1, [0, 255, 0, 255])])
def test_one_bit_may_be_transparent(transparent: int, alpha: list[int]) -> None:
    planes = to_planes(grey_png(1, [b"\xa0"], 4, transparent))
    assert planes.mode == "LA"
    assert planes.pixels[0, :, 0].tolist() == [255, 0, 255, 0]
    assert planes.alpha is not None
    assert planes.alpha[0].tolist() == alpha


def test_one_of_sixteen_bits_may_be_transparent() -> None:
    planes = to_planes(grey_png(16, [struct.pack(">4H", 1000, 1001, 3, 60000)], 4, 1000))
    assert planes.mode == "LA"
    assert planes.pixels[0, :, 0].tolist() == [4, 4, 0, 233]
    assert planes.alpha is not None
    assert planes.alpha[0].tolist() == [0, 255, 255, 255]


def test_a_palette_may_have_alpha_of_its_own(photo: Image.Image) -> None:
    picture = photo.crop((0, 0, 40, 40))
    picture.putalpha(Image.linear_gradient("L").resize((40, 40)))
    quantized = picture.quantize(16)
    planes = to_planes(quantized)
    assert planes.mode == "RGBA"
    assert np.array_equal(planes.alpha, np.asarray(quantized.convert("RGBA"))[..., 3])


def test_damaged_exif_does_not_keep_a_picture_from_being_turned(photo: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "a camera", 6
    damaged = bytearray(exif.tobytes())
    damaged[MUST_BE_A_NUMBER] = 3
    picture = photo.crop((0, 0, 30, 20))
    picture.info["exif"] = bytes(damaged)
    assert picture.getexif()[0x0112] == 6
    pixels = to_planes(picture).pixels
    assert np.array_equal(pixels, np.rot90(np.asarray(picture), -1))


@pytest.mark.parametrize(
    "place", [b' tiff:Orientation="%d"/>', b" tiff:Orientation = '%d'/>", b"><tiff:Orientation>%d<"]
)
def test_xmp_says_that_a_turned_picture_is_upright(photo: Image.Image, place: bytes) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = photo.crop((0, 0, 30, 20))
    picture.info |= {"exif": exif.tobytes(), "xmp": b"<a" + place % 6}
    assert to_planes(picture).metadata.xmp == b"<a" + place % 1


def test_an_alpha_plane_may_be_larger_than_pillow_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    alpha = np.arange(600, dtype=np.uint8).reshape(20, 30)
    assert np.array_equal(unpack_alpha(pack_alpha(alpha), 20, 30), alpha)
    assert (unpack_alpha(OPAQUE, 2, 3) == 255).all()


def test_an_alpha_plane_that_somebody_made_up_is_our_error() -> None:
    data = pack_alpha(np.arange(600, dtype=np.uint8).reshape(20, 30))
    hostile = data.replace(chunk(b"IEND", b""), chunk(b"iCCP", b"") + chunk(b"IEND", b""))
    assert hostile != data
    with pytest.raises(FormatError, match="the alpha plane is damaged"):
        unpack_alpha(hostile, 20, 30)
    with pytest.raises(FormatError, match="does not fit"):
        unpack_alpha(data, 30, 20)
