"""Picture files of other formats."""

from __future__ import annotations

import io
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
