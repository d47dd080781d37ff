"""Pictures to train on: caches, crops, packs."""

from __future__ import annotations

import tarfile
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from finola_codec.errors import ConfigError
from finola_codec.training.cache import build_cache, ensure_cache
from finola_codec.training.data import Pictures, generators
from finola_codec.training.pack import pack
from finola_codec.training.resident import ResidentPictures


def test_cache_holds_the_pictures(pictures: Pictures) -> None:
    assert (len(pictures.train), len(pictures.held_out)) == (11, 1)
    assert any((p == skimage.data.astronaut()[30:, 20:]).all() for p in pictures.train if p.shape == (482, 492, 3))


def test_a_cache_of_other_pictures_is_refused(data: Path, tmp_path: Path) -> None:
    ensure_cache(data, tmp_path / "cache", 64)
    ensure_cache(data, tmp_path / "cache", 48)
    with pytest.raises(ConfigError, match=r"cache: holds the pictures of .*, not of .*other; name another"):
        ensure_cache(data / "other", tmp_path / "cache", 64)
    with pytest.raises(ConfigError, match="cache: holds pictures of 64 pixels a side, less than crops of 128"):
        ensure_cache(data, tmp_path / "cache", 128)


def test_pictures_are_decoded_as_encode_has_them(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    ramp = np.linspace(0, 65535, 64 * 64, dtype=np.uint16).reshape(64, 64)
    Image.fromarray(ramp).save(tmp_path / "data" / "16-bit.png")
    build_cache(tmp_path / "data", tmp_path / "cache", 64)
    (pixels,) = Pictures.open(tmp_path / "cache", 0).train
    assert np.abs(pixels[..., 0] - ramp / 257).max() <= 1


def test_lists_of_paths_and_shards(data: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\n".join(str(data / "deep" / f"{i}.png") for i in range(3)) + "\n\n")
    with tarfile.open(tmp_path / "shard.tar", "w") as shard:
        for i in range(4):
            shard.add(data / "deep" / f"{i}.png", f"{i}.png")
    for source, count in (("list.txt", 3), ("shard.tar", 4)):
        build_cache(tmp_path / source, tmp_path / source[:4], 64)
        opened = Pictures.open(tmp_path / source[:4], 0)
        assert len(opened.train) == count
        assert any((p == skimage.data.astronaut()[30:, 20:]).all() for p in opened.train if p.shape == (482, 492, 3))


def test_a_cache_without_room_is_refused(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: Mock(free=1_000_000))
    with pytest.raises(ConfigError, match=r"take 0\.0 GB and the disk has 0\.0 GB left; name a larger disk"):
        build_cache(data, tmp_path / "cache", 64)


def test_crops_come_from_the_generator_alone(pictures: Pictures) -> None:
    first, again, other = (pictures.batch(generators(3, s), 64) for s in (1, 1, 2))
    assert first.shape == (3, 3, 64, 64)
    assert -0.5 <= first.min() < first.max() <= 0.5
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_crops_are_reduced_up_to_the_factor_and_the_picture() -> None:
    ramp = np.broadcast_to(np.arange(160, dtype=np.uint8)[None, :, None], (160, 160, 3))

    def slopes(reduce: float, size: int) -> list[float]:
        crops = Pictures([ramp], []).batch(generators(24, 1), size, reduce) * 255
        return [max(abs(c[0, 8, 16] - c[0, 8, 8]), abs(c[0, 16, 8] - c[0, 8, 8])).item() / 8 for c in crops]

    assert slopes(1.0, 64) == pytest.approx([1] * 24)
    reduced = slopes(2.0, 64)
    assert min(reduced) == pytest.approx(1)
    assert 1.5 < max(reduced) <= 2.1
    assert max(slopes(2.0, 128)) <= 160 / 128 * 1.1


def test_crops_from_the_memory_of_a_device_are_the_same(pictures: Pictures) -> None:
    resident = ResidentPictures.of(pictures, torch.device("cpu"))
    assert torch.equal(resident.batch(generators(6, 1), 64), pictures.batch(generators(6, 1), 64))
    one, other = (p.batch(generators(6, 1), 64, reduce=2.5) for p in (resident, pictures))
    assert (one - other).square().mean() < 0.01 * other.var()  # bicubic and Lanczos filters differ


def test_graphics_are_held_out_by_kind_and_never_reduced(tmp_path: Path) -> None:
    for kind, count in (("graphics/charts", 20), ("graphics/text", 10), ("photos", 10)):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (96, 80), (i, i, i)).save(tmp_path / "data" / kind / f"{i:02}.png")
    build_cache(tmp_path / "data", tmp_path / "cache", 64)
    opened = Pictures.open(tmp_path / "cache", 1)
    assert (len(opened.train), len(opened.held_out), len(opened.graphics)) == (9, 1, 27)
    assert {kind: len(images) for kind, images in opened.held_out_graphics.items()} == {"charts": 2, "text": 1}
    assert opened.held_out_graphics_crops(16)["text"][0].shape == (1, 3, 80, 96)


def test_pictures_are_packed_into_parts(data: Path, tmp_path: Path) -> None:
    sizes = {p.relative_to(data): p.stat().st_size for p in data.rglob("*") if p.is_file()}
    most = max(sizes.values()) + 1
    parts = pack(data, tmp_path / "parts", most)
    packed = [{p.relative_to(part): p.stat().st_size for p in part.rglob("*") if p.is_file()} for part in parts]
    assert all(sum(part.values()) <= most for part in packed)
    assert {name: size for part in packed for name, size in part.items()} == sizes
    assert sum(map(len, packed)) == len(sizes)
    for source, folder, size in ((data, "parts", most), (data, "other", 1000), (tmp_path / "parts" / "none", "x", 9)):
        with pytest.raises(ConfigError, match=folder if folder == "parts" else "more than a part|no pictures"):
            pack(source, tmp_path / folder, size)
