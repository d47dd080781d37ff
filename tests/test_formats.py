"""Picture files of other formats."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finola_codec import ImageError, formats


@pytest.mark.parametrize(("suffix", "package"), [(".heic", "pillow_heif"), (".jxl", "pillow_jxl")])
def test_plugins_are_used_where_they_are_installed(
    photo: Image.Image, tmp_path: Path, suffix: str, package: str
) -> None:
    pytest.importorskip(package)
    path = tmp_path / f"cat{suffix}"
    with path.open("wb") as file:
        formats.save(photo, file, suffix)
    assert np.array_equal(np.asarray(formats.read(path, path.name)), np.asarray(photo))  # both can do without loss


def test_a_missing_plugin_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    path = tmp_path / "cat.heic"
    path.write_bytes(b"no HEIC file either")
    with pytest.raises(ImageError, match="HEIC needs: pip install pillow-heif"):
        formats.read(path, str(path))


def test_a_lossy_format_loses_as_little_as_it_can(photo: Image.Image) -> None:
    for suffix in (".jpg", ".webp"):
        best, lossy = io.BytesIO(), io.BytesIO()
        formats.save(photo, best, suffix)
        formats.save(photo, lossy, suffix, quality=50)
        assert len(best.getvalue()) > 2 * len(lossy.getvalue())


def test_the_limit_on_pixels_is_ours(photo: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo.save(tmp_path / "cat.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow refuses twice as many
    for limit in (None, 451 * 300):
        assert formats.read(tmp_path / "cat.png", "cat", limit).size == photo.size
        assert Image.MAX_IMAGE_PIXELS == 1000
    with pytest.raises(ImageError, match="451 x 300 pixels, more than the limit of 135299"):
        formats.read(tmp_path / "cat.png", "cat", 451 * 300 - 1)


@pytest.mark.skipif(os.name != "posix", reason="pipes are those of POSIX")
@pytest.mark.timeout(60)
@pytest.mark.parametrize("is_picture", [True, False])
def test_a_pipe_is_read_once(photo: Image.Image, tmp_path: Path, is_picture: bool) -> None:
    pipe, file = tmp_path / "pipe", io.BytesIO(b"garbage")
    os.mkfifo(pipe)
    if is_picture:
        photo.save(file, "PNG")
    writer = threading.Thread(target=lambda: pipe.write_bytes(file.getvalue()))
    writer.start()
    if is_picture:
        assert np.array_equal(np.asarray(formats.read(pipe, "pipe")), np.asarray(photo))
    else:
        with pytest.raises(ImageError, match="pipe: not a picture"):
            formats.read(pipe, "pipe")
    writer.join()


@pytest.mark.parametrize("name", ["xmp", "exif"])
def test_metadata_that_a_format_has_no_room_for_are_left_out(photo: Image.Image, name: str) -> None:
    picture, file = photo.copy(), io.BytesIO()
    picture.info[name] = b"Exif\0\0" + bytes(70_000)
    assert formats.save(picture, file, ".jpg") == [f"without {name.upper()}, which is too long for JPEG"]
    assert Image.open(file).size == photo.size
    assert formats.save(picture, io.BytesIO(), ".png") == []


def test_hidden_files_are_no_pictures_of_a_folder(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", ".hidden.png", "text.txt", ".cache/c.png", "deep/d.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert formats.pictures_in(tmp_path) == [tmp_path / name for name in ("a.JPG", "b.png", "deep/d.webp")]
