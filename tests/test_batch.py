"""Folders encoded and decoded resumably."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from finola_codec import Model
from finola_codec.cli import main


@pytest.fixture
def source(photo: Image.Image, tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "deep").mkdir(parents=True)
    for i in range(3):
        photo.crop((i, 0, 40 + i, 30)).save(folder / f"{i}.png")
    photo.crop((0, 0, 20, 20)).save(folder / "deep" / "0.png")
    return folder


def encode(model: Model, *arguments: object) -> Result:
    return CliRunner().invoke(main, ["batch", "encode", *map(str, arguments), "--model", str(model.folder)])


def manifest(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


def test_files_are_done_once(tiny_model: Model, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    done = encode(tiny_model, source, target)
    assert done.exit_code == 0, done.output
    assert "4 files" in done.output
    assert "saved" in done.output
    assert {line["file"] for line in manifest(target)} == {"0.png", "1.png", "2.png", "deep/0.png"}
    assert (target / "deep" / "0.fin").exists()
    assert encode(tiny_model, source, target).exit_code == 0
    assert len(manifest(target)) == 4


def test_failures_are_listed_and_retried_on_request(
    tiny_model: Model, source: Path, photo: Image.Image, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    (source / "bad.png").write_bytes(b"bad")
    done = encode(tiny_model, source, target)
    assert done.exit_code == 2
    assert "bad.png" in done.output
    photo.crop((0, 0, 20, 20)).save(source / "bad.png")
    assert encode(tiny_model, source, target).exit_code == 2
    assert encode(tiny_model, source, target, "--retry-failed").exit_code == 0
    assert (target / "bad.fin").exists()


def test_files_of_one_result_clash(tiny_model: Model, source: Path, photo: Image.Image, tmp_path: Path) -> None:
    photo.save(source / "0.webp")
    done = encode(tiny_model, source, tmp_path / "target")
    assert done.exit_code == 2
    assert "would overwrite the result of 0.png" in done.output


@pytest.mark.slow
def test_two_workers_give_the_same_files(tiny_model: Model, source: Path, tmp_path: Path) -> None:
    for target, workers in ((tmp_path / "one", 1), (tmp_path / "two", 2)):
        assert encode(tiny_model, source, target, "--workers", workers).exit_code == 0
    names = [p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.fin")]
    assert len(names) == 4
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_missing_source_is_refused(tiny_model: Model, tmp_path: Path) -> None:
    done = encode(tiny_model, tmp_path / "missing", tmp_path / "target")
    assert done.exit_code == 2
    assert "no such folder" in done.output
