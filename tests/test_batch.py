"""Folders encoded and decoded resumably."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from finola_codec import Model, decode, formats
from finola_codec.batch import folder as batch
from finola_codec.batch.manifest import writing
from finola_codec.batch.work import Encoding
from finola_codec.cli import main
from finola_codec.runtime.transforms import Transforms


@pytest.fixture
def source(photo: Image.Image, tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "deep").mkdir(parents=True)
    for i in range(3):
        photo.crop((i, 0, 40 + i, 30)).save(folder / f"{i}.png")
    photo.crop((0, 0, 20, 20)).save(folder / "deep" / "0.png")
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["batch", *map(str, arguments)])


def encode(model: Model, *arguments: object) -> Result:
    return run("encode", *arguments, "--model", model.folder)


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


def test_failures_are_listed_and_retried_on_request(tiny_model: Model, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    (source / "bad.png").write_bytes(b"bad")
    done = encode(tiny_model, source, target)
    assert done.exit_code == 2
    assert "bad.png" in done.output
    assert "1 of 5 files failed" in done.output
    assert encode(tiny_model, source, target).exit_code == 2
    assert len(manifest(target)) == 5
    assert encode(tiny_model, source, target, "--retry-failed").exit_code == 2
    assert len(manifest(target)) == 6
    (source / "bad.png").unlink()  # what is no longer there has not failed
    assert encode(tiny_model, source, target).exit_code == 0


def test_what_has_changed_is_done_again(tiny_model: Model, source: Path, photo: Image.Image, tmp_path: Path) -> None:
    target = tmp_path / "target"
    encode(tiny_model, source, target)
    before = {p: p.read_bytes() for p in target.rglob("*.fin")}
    photo.crop((0, 0, 20, 20)).rotate(90).save(source / "0.png")
    (target / "1.fin").unlink()
    assert encode(tiny_model, source, target).exit_code == 0
    assert [line["file"] for line in manifest(target)[4:]] == ["0.png", "1.png"]
    assert (target / "0.fin").read_bytes() != before[target / "0.fin"]
    assert (target / "1.fin").read_bytes() == before[target / "1.fin"]
    for setting in (("--quality", 80), ("--effort", 0)):
        assert encode(tiny_model, source, target, *setting).exit_code == 0
    assert len(manifest(target)) == 14
    assert (target / "2.fin").read_bytes() != before[target / "2.fin"]


def test_originals_are_not_replaced_by_their_decodes(tiny_model: Model, source: Path) -> None:
    assert encode(tiny_model, source, source).exit_code == 0
    before = {p: p.read_bytes() for p in source.rglob("*.png")}
    done = run("decode", source, source, "--model", tiny_model.folder)
    assert done.exit_code == 2
    assert "0.png: exists already" in done.output
    assert {p: p.read_bytes() for p in source.rglob("*.png")} == before
    assert run("decode", source, source, "--model", tiny_model.folder, "--force").exit_code == 0
    assert all(p.read_bytes() != data for p, data in before.items())


def test_files_of_others_are_kept_without_force(tiny_model: Model, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    (target / "deep").mkdir(parents=True)
    (target / "deep" / "0.fin").write_bytes(b"precious")
    for _ in range(2):
        done = encode(tiny_model, source, target)
        assert done.exit_code == 2
        assert "deep/0.fin: exists already" in done.output
        assert (target / "deep" / "0.fin").read_bytes() == b"precious"
    assert encode(tiny_model, source, target, "--force").exit_code == 0
    assert (target / "deep" / "0.fin").read_bytes() != b"precious"
    assert encode(tiny_model, source, target, "--quality", 60).exit_code == 0  # it is our own now


def test_a_result_that_was_changed_is_kept_without_force(tiny_model: Model, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    encode(tiny_model, source, target)
    (target / "0.fin").write_bytes(b"retouched")
    assert encode(tiny_model, source, target).exit_code == 0
    assert encode(tiny_model, source, target, "--quality", 60).exit_code == 2
    assert (target / "0.fin").read_bytes() == b"retouched"


def test_results_of_another_folder_are_kept_without_force(
    tiny_model: Model, source: Path, photo: Image.Image, tmp_path: Path
) -> None:
    target, other = tmp_path / "target", tmp_path / "other"
    encode(tiny_model, source, target)
    before = (target / "0.fin").read_bytes()
    other.mkdir()
    photo.crop((0, 0, 60, 60)).save(other / "0.png")
    assert encode(tiny_model, other, target).exit_code == 2
    assert (target / "0.fin").read_bytes() == before
    assert encode(tiny_model, other, target, "--force").exit_code == 0
    assert (target / "0.fin").read_bytes() != before


def test_files_of_one_result_clash(tiny_model: Model, source: Path, photo: Image.Image, tmp_path: Path) -> None:
    photo.save(source / "0.webp")
    done = encode(tiny_model, source, tmp_path / "target")
    assert done.exit_code == 2
    assert f"0.webp: would overwrite the result of {source / '0.png'}" in done.output


@pytest.mark.parametrize("options", [(), ("--force",), ("--retry-failed",), ("--quality", 60)])
def test_files_of_one_result_clash_across_runs(
    tiny_model: Model, source: Path, photo: Image.Image, tmp_path: Path, options: tuple
) -> None:
    target = tmp_path / "target"
    assert encode(tiny_model, source, target, *options).exit_code == 0
    before = (target / "0.fin").read_bytes()
    photo.crop((0, 0, 20, 20)).save(source / "0.jpg")  # comes before 0.png
    for _ in range(2):
        done = encode(tiny_model, source, target, *options)
        assert done.exit_code == 2
        assert f"0.jpg: would overwrite the result of {source / '0.png'}" in done.output
        assert (target / "0.fin").read_bytes() == before
    (source / "0.png").unlink()
    assert encode(tiny_model, source, target, *options).exit_code == (0 if "--force" in options else 2)
    assert ((target / "0.fin").read_bytes() != before) == ("--force" in options)


@pytest.mark.skipif(os.name != "posix", reason="symbolic links are those of POSIX")
def test_an_input_is_not_overwritten_through_a_link(tiny_model: Model, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "0.fin").symlink_to(source / "1.png")
    (target / "2.fin").hardlink_to(source / "2.png")
    before = {p: p.read_bytes() for p in source.rglob("*.png")}
    done = encode(tiny_model, source, target, "--force")
    assert done.exit_code == 2
    assert done.output.count("is the input too") == 2
    assert {p: p.read_bytes() for p in source.rglob("*.png")} == before


@pytest.mark.skipif(os.name != "posix", reason="pipes and symbolic links are those of POSIX")
@pytest.mark.timeout(60)
def test_what_is_no_file_is_an_error(tiny_model: Model, source: Path, tmp_path: Path) -> None:
    os.mkfifo(source / "pipe.png")
    (source / "dangling.png").symlink_to("missing")
    done = encode(tiny_model, source, tmp_path / "target")
    assert done.exit_code == 2
    assert "2 of 6 files failed" in done.output
    assert "pipe.png: is not a file" in done.output


def test_cut_lines_of_a_manifest_are_no_harm(tiny_model: Model, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    encode(tiny_model, source, target)
    whole = (target / "manifest.jsonl").read_text().splitlines(keepends=True)
    (target / "manifest.jsonl").write_text(whole[0] + whole[1][:30] + whole[2] + "\0\0" + whole[3][:-20])
    for name in ("1.fin", "2.fin", "deep/0.fin"):
        (target / name).unlink()
    assert encode(tiny_model, source, target).exit_code == 0
    assert encode(tiny_model, source, target).exit_code == 0
    lines = (target / "manifest.jsonl").read_text().splitlines()
    assert [json.loads(line)["file"] for line in lines[-3:]] == ["1.png", "2.png", "deep/0.png"]
    assert len(lines) == 6


def test_what_a_killed_run_has_left_is_done_again(tiny_model: Model, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    encode(tiny_model, source, target)
    begun = [{key: line[key] for key in ("file", "source", "result")} for line in manifest(target)]
    (target / "manifest.started.jsonl").write_text("".join(json.dumps(line) + "\n" for line in begun))
    (target / "manifest.jsonl").unlink()
    assert encode(tiny_model, source, target, "--quality", 60).exit_code == 0
    assert sorted(p.name for p in target.iterdir()) == ["0.fin", "1.fin", "2.fin", "deep", "manifest.jsonl"]
    assert len(manifest(target)) == 4


def test_another_manifest_is_not_appended_to(tiny_model: Model, source: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text('{"audio": "a.wav"}\n')
    done = encode(tiny_model, source, tmp_path)
    assert done.exit_code == 2
    assert "is not a manifest of batch" in done.output
    assert manifest(tmp_path) == [{"audio": "a.wav"}]


@pytest.mark.parametrize("direction", ["encode", "decode"])
def test_an_unknown_model_is_refused_before_anything(source: Path, tmp_path: Path, direction: str) -> None:
    done = run(direction, source, tmp_path / "target", "--model", "no-such-model")
    assert done.exit_code == 2
    assert len(done.output.splitlines()) == 1
    assert "no-such-model" in done.output
    assert not (tmp_path / "target").exists()


def test_a_full_disk_ends_the_run_and_fails_no_file(
    tiny_model: Model, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, write = tmp_path / "target", batch.write_whole

    def full(path: Path, data: bytes, force: bool) -> None:
        if path.name == "1.fin":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, data, force)

    monkeypatch.setattr(batch, "write_whole", full)
    done = encode(tiny_model, source, target)
    assert (done.exit_code, done.output) == (2, f"finola-codec: {target / '1.fin'}: No space left on device\n")
    assert [line["file"] for line in manifest(target)] == ["0.png"]
    monkeypatch.undo()
    assert encode(tiny_model, source, target).exit_code == 0
    assert [line["file"] for line in manifest(target)] == ["0.png", "1.png", "2.png", "deep/0.png"]


def test_what_only_one_file_meets_does_not_end_the_run(
    tiny_model: Model, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "target" / "1.fin").mkdir(parents=True)
    done = encode(tiny_model, source, tmp_path / "target")
    assert done.exit_code == 2
    assert "1.fin: is a folder" in done.output
    assert len(list((tmp_path / "target").rglob("*.fin"))) == 4


def test_decoding_uses_the_model_that_is_given(tiny_model: Model, source: Path, tmp_path: Path) -> None:
    fin, png = tmp_path / "fin", tmp_path / "png"
    encode(tiny_model, source, fin)
    done = run("decode", fin, png)
    assert done.exit_code == 2
    assert tiny_model.id.hex() in done.output
    assert run("decode", fin, png, "--model", tiny_model.folder).exit_code == 0
    assert len(list(png.rglob("*.png"))) == 4


def children(process: int) -> list[int]:
    """The processes that a process has started and that have not ended."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = (line.split() for line in listed.splitlines())
    return [int(pid) for pid, parent, state in rows if int(parent) == process and not state.startswith("Z")]


def running(process: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True).stdout
    return bool(state) and not state.startswith("Z")


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.skipif(os.name != "posix" or not shutil.which("ps"), reason="signals and processes are those of POSIX")
@pytest.mark.parametrize(
    ("number", "code", "message"),
    [(signal.SIGTERM, 143, ""), (signal.SIGINT, 130, "finola-codec: interrupted\n"), (signal.SIGKILL, -9, None)],
)
def test_a_signal_ends_the_workers_and_the_run_can_go_on(
    tiny_model: Model, photo: Image.Image, tmp_path: Path, number: int, code: int, message: str | None
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    photo.save(source / "0.png")
    for i in range(1, 500):
        (source / f"{i}.png").hardlink_to(source / "0.png")
    arguments = ["batch", "encode", str(source), str(target), "--model", str(tiny_model.folder), "--workers", "2"]
    command = [sys.executable, "-m", "finola_codec", *arguments]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    while not list(target.glob("*.fin")):
        time.sleep(0.05)
    workers = children(process.pid)
    assert len(workers) >= 2
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)  # as a terminal does
    _, complaint = process.communicate()
    assert process.returncode == code
    assert message in (None, complaint)
    while any(map(running, workers)):  # which the test's time limit bounds
        time.sleep(0.05)
    names = {p.suffix for p in target.iterdir()}
    assert names == {".fin", ".jsonl"}
    for path in list(source.iterdir())[20:]:
        path.unlink()
    assert encode(tiny_model, source, target, "--quality", 60).exit_code == 0
    for path in source.iterdir():
        assert decode((target / f"{path.stem}.fin").read_bytes(), model=tiny_model).size == photo.size


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


def test_a_target_that_one_picture_misses_does_not_end_the_run(
    tiny_model: Model, source: Path, photo: Image.Image, tmp_path: Path
) -> None:
    photo.resize((900, 700)).save(source / "00.png")
    done = encode(tiny_model, source, tmp_path / "target", "--target-bytes", 1500)
    assert done.exit_code == 2
    assert "00.png: the picture does not fit 1500 bytes even at quality 1" in done.output
    assert [p.stat().st_size <= 1500 for p in (tmp_path / "target").rglob("*.fin")] == [True] * 4


def test_salvage_says_what_is_missing_and_goes_on(tiny_model: Model, source: Path, tmp_path: Path) -> None:
    fin, png = tmp_path / "fin", tmp_path / "png"
    encode(tiny_model, source, fin)
    (fin / "1.fin").write_bytes((fin / "1.fin").read_bytes()[:-5])
    options = ("--model", tiny_model.folder, "--format", "webp")
    assert run("decode", fin, png, *options).exit_code == 2
    done = run("decode", fin, png, *options, "--salvage", "--retry-failed")
    assert done.exit_code == 3
    assert "1.fin: salvaged: the vectors chunk is cut off" in done.output
    assert sorted(p.name for p in png.rglob("*.webp")) == ["0.webp", "0.webp", "1.webp", "2.webp"]


def test_files_and_folders_together_may_not_clash(
    tiny_model: Model, source: Path, photo: Image.Image, tmp_path: Path
) -> None:
    photo.crop((0, 0, 30, 30)).save(tmp_path / "0.png")
    arguments = ["encode", source, tmp_path / "0.png", "--out-dir", tmp_path / "fin", "--model", tiny_model.folder]
    done = CliRunner().invoke(main, [*map(str, arguments), "--force"])
    assert done.exit_code == 2
    assert f"{tmp_path / '0.png'}: would overwrite the result of {source / '0.png'}" in done.output
    assert len(list((tmp_path / "fin").rglob("*.fin"))) == 4


def test_the_opened_picture_is_let_go_of_before_it_is_transformed(
    tiny_model: Model, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 100 megapixels it would take 300 MB as long as encoding lasts."""
    opened: list[weakref.ref[Image.Image]] = []
    alive: list[bool] = []
    read, analyse = formats.read, Transforms.analyse

    def reading(*arguments: Any) -> Image.Image:
        picture = read(*arguments)
        opened.append(weakref.ref(picture))
        return picture

    def analysing(*arguments: Any) -> Any:
        alive.append(opened[-1]() is not None)
        return analyse(*arguments)

    monkeypatch.setattr(formats, "read", reading)
    monkeypatch.setattr(Transforms, "analyse", analysing)
    Encoding(model=str(tiny_model.folder), layer="off", effort=1)(source / "0.png", "0.png", threads=1)
    assert alive == [False]
    Encoding(model=str(tiny_model.folder), layer="off")(source / "0.png", "0.png", threads=1)
    assert set(alive) == {False}


def test_a_file_of_another_folder_is_another_file(tiny_model: Model, source: Path, tmp_path: Path) -> None:
    """Even where name, size and time are the same, as files of an archive may have them."""
    target, other = tmp_path / "target", tmp_path / "other"
    other.mkdir()
    for folder, grey in ((source, 10), (other, 200)):
        Image.new("RGB", (20, 20), (grey, grey, grey)).save(folder / "same.ppm")
        os.utime(folder / "same.ppm", ns=(10**18, 10**18))
    assert encode(tiny_model, source, target).exit_code == 0
    before = (target / "same.fin").read_bytes()
    done = encode(tiny_model, other, target)
    assert done.exit_code == 2
    assert "same.fin: exists already" in done.output
    assert encode(tiny_model, other, target, "--force").exit_code == 0
    assert (target / "same.fin").read_bytes() != before


def test_one_run_may_end_before_another(tmp_path: Path) -> None:
    with writing(tmp_path) as (started, done):
        with writing(tmp_path) as (other, _):
            other({"file": "a"})
        started({"file": "b"})
        done({"file": "b"})
    assert [line["file"] for line in manifest(tmp_path)] == ["b"]


def test_too_little_memory_for_one_file_does_not_end_a_batch(
    tiny_model: Model, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyse = Transforms.analyse

    def sparing(self: Transforms, pixels: np.ndarray, *options: Any) -> np.ndarray:
        if pixels.shape[1] == 20:
            raise MemoryError
        return analyse(self, pixels, *options)

    monkeypatch.setattr(Transforms, "analyse", sparing)
    done = encode(tiny_model, source, tmp_path / "target", "--workers", 1)
    assert done.exit_code == 2
    assert "deep/0.png: there is not enough memory for it" in done.output
    assert "1 of 4 files failed" in done.output
