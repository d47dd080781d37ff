"""Image.open and Image.save."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

import finola_codec
import finola_codec.pillow_plugin
from tests.conftest import psnr


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_saving_and_opening(photo: Image.Image, tmp_path: Path, mode: str) -> None:
    picture = photo.crop((0, 0, 99, 70)).convert(mode)
    picture.save(tmp_path / "a.fin", quality=80)
    with Image.open(tmp_path / "a.fin") as opened:
        assert (opened.format, opened.size, opened.mode, opened.info["quality"]) == ("FIN", (99, 70), mode, 80)
        assert psnr(opened, picture) > 27
        expected = finola_codec.decode((tmp_path / "a.fin").read_bytes())
        assert (np.asarray(opened) == np.asarray(expected)).all()


def test_metadata_is_kept(photo: Image.Image) -> None:
    photo = photo.crop((0, 0, 40, 40))
    photo.info["icc_profile"] = b"a profile"
    file = io.BytesIO()
    photo.save(file, "FIN")
    assert Image.open(file).info["icc_profile"] == b"a profile"


def test_metadata_given_to_save_is_kept(photo: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a cat"
    file = io.BytesIO()
    photo.crop((0, 0, 40, 40)).save(file, "FIN", exif=exif, icc_profile=b"another")
    opened = Image.open(file)
    assert opened.getexif()[0x010E] == "a cat"
    assert opened.info["icc_profile"] == b"another"


def test_damage_is_an_error_of_pillows(photo: Image.Image) -> None:
    data = finola_codec.encode(photo.crop((0, 0, 40, 40)))
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(data[:-1]))


def test_options_of_other_formats_are_ignored(photo: Image.Image) -> None:
    photo = photo.crop((0, 0, 40, 40))
    plain, other = io.BytesIO(), io.BytesIO()
    photo.save(plain, "FIN", quality=30)
    photo.save(other, "FIN", quality=np.int64(30), optimize=True, progressive=True, subsampling=0)
    assert plain.getvalue() == other.getvalue()


@pytest.mark.parametrize("options", [{"quality": 50.5}, {"quality": "keep"}, {"quality": 0}, {"target_bytes": 3}])
def test_options_that_cannot_be_are_pillows_error(photo: Image.Image, options: dict) -> None:
    with pytest.raises(ValueError, match=r"quality|fit"):
        photo.crop((0, 0, 40, 40)).save(io.BytesIO(), "FIN", **options)


def test_metadata_are_kept(photo: Image.Image) -> None:
    file = io.BytesIO()
    photo.crop((0, 0, 40, 40)).save(file, "FIN", dpi=(72, 72), xmp=b"<x/>")
    assert Image.open(file).info == {"quality": 50, "dpi": (72.0, 72.0), "xmp": b"<x/>"}
