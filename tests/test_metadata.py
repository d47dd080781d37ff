"""What accompanies a picture's pixels."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageCms

from finola_codec import Model, decode, encode, formats
from finola_codec.container import RESOLUTION
from finola_codec.metadata import Metadata

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><about>a cat</about></x:xmpmeta>'


@pytest.fixture
def described(photo: Image.Image) -> Image.Image:
    """A picture with all that there is."""
    picture = photo.crop((0, 0, 60, 40))
    exif = Image.Exif()
    exif[0x010E] = "a cat"
    exif[0x0112] = 6  # to be turned by 90 degrees
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture.info |= {"icc_profile": icc, "exif": exif.tobytes(), "xmp": XMP, "dpi": (300.0, 300.0)}
    return picture


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_it_goes_from_format_to_format(tiny_model: Model, described: Image.Image, suffix: str) -> None:
    file, again = io.BytesIO(), io.BytesIO()
    formats.save(described, file, suffix)
    decoded = decode(encode(formats.read(file, "cat"), model=tiny_model), model=tiny_model)
    formats.save(decoded, again, suffix)
    found = Metadata.of(formats.read(again, "cat"))
    assert found.icc == described.info["icc_profile"]
    assert found.xmp is not None
    assert found.xmp.strip(b"\0\n ") == XMP
    assert decoded.getexif()[0x010E] == "a cat"
    assert decoded.size == (40, 60)
    if suffix != ".webp":  # which has no place for it
        assert found.dpi == pytest.approx((300, 300), abs=0.01)


def test_encoding_leaves_the_picture_as_it_was(tiny_model: Model, described: Image.Image) -> None:
    once = encode(described, model=tiny_model)
    assert described.getexif()[0x0112] == 6
    assert encode(described, model=tiny_model) == once


def test_stripping_keeps_what_the_colours_are(tiny_model: Model, described: Image.Image) -> None:
    decoded = decode(encode(described, model=tiny_model, strip=True), model=tiny_model)
    assert set(decoded.info) == {"icc_profile"}
    assert decoded.size == (40, 60)


@pytest.mark.parametrize("payload", [b"", b"1234567", bytes(8), b"\xff" * 9])
def test_a_resolution_that_makes_no_sense_is_none(payload: bytes) -> None:
    assert Metadata.from_chunks({RESOLUTION: payload}).dpi is None
