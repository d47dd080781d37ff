"""The command line as a person uses it: in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from finola_codec import Model, decode
from finola_codec.cli import main
from tests.conftest import psnr


class Shell:
    """Runs finola-codec with the tiny model."""

    def __init__(self, model: Model) -> None:
        self.model = ["--model", str(model.folder)]

    def __call__(
        self, *arguments: object, stdin: bytes | None = None, model: bool = True
    ) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "finola_codec", *map(str, arguments), *(self.model if model else [])]
        return subprocess.run(command, input=stdin, capture_output=True, timeout=120)

    def fails(self, *arguments: object, model: bool = True) -> str:
        """The single line that a command complains with."""
        done = self(*arguments, model=model)
        assert done.returncode == 2, done
        lines = done.stderr.decode().strip().splitlines()
        assert len(lines) == 1, lines
        return lines[0]


@pytest.fixture(scope="module")
def shell(tiny_model: Model) -> Shell:
    return Shell(tiny_model)


@pytest.fixture
def png(photo: Image.Image, tmp_path: Path) -> Path:
    path = tmp_path / "cat.png"
    photo.save(path)
    return path


def test_encode_decode_info(shell: Shell, png: Path, photo: Image.Image, tmp_path: Path) -> None:
    fin, out = tmp_path / "cat.fin", tmp_path / "out.png"
    assert shell("encode", png, fin, "--quality", 80).returncode == 0
    assert shell("decode", fin, out).returncode == 0
    with Image.open(out) as decoded:
        assert psnr(photo, decoded) > 22
    found = json.loads(shell("info", fin, "--json", model=False).stdout)
    assert (found["width"], found["height"], found["quality"], found["bytes"]) == (451, 300, 80, fin.stat().st_size)
    assert "451 x 300 RGB, quality 80" in shell("info", fin, model=False).stdout.decode()


def test_info_of_several_files_is_a_table(shell: Shell, png: Path, tmp_path: Path) -> None:
    for quality in (10, 20):
        shell("encode", png, tmp_path / f"{quality}.fin", "--quality", quality)
    done = shell("info", tmp_path / "10.fin", tmp_path / "20.fin", png, model=False)
    assert (done.returncode, done.stderr.decode().count("cat.png: not a .fin file")) == (2, 1)
    header, *rows = [line.split("\t") for line in done.stdout.decode().splitlines()]
    assert header[:4] == ["file", "size", "mode", "quality"]
    assert [row[1:4] for row in rows] == [["451 x 300", "RGB", "10"], ["451 x 300", "RGB", "20"]]
    assert len(shell("info", "--json", *tmp_path.glob("*.fin"), model=False).stdout.splitlines()) == 2


def test_targets(shell: Shell, png: Path, tmp_path: Path) -> None:
    assert shell("encode", png, tmp_path / "a.fin", "--target-bytes", 8000).returncode == 0
    assert 4000 < (tmp_path / "a.fin").stat().st_size <= 8000


def test_standard_streams(shell: Shell, png: Path, photo: Image.Image, tmp_path: Path) -> None:
    encoded = shell("encode", "-", "-", stdin=png.read_bytes())
    decoded = shell("decode", "-", "-", stdin=encoded.stdout)
    assert decoded.stdout.startswith(b"\x89PNG")


def test_folders(shell: Shell, photo: Image.Image, tmp_path: Path) -> None:
    source = tmp_path / "source" / "deep"
    source.mkdir(parents=True)
    photo.crop((0, 0, 50, 40)).save(source / "a.png")
    photo.crop((0, 0, 40, 50)).save(source.parent / "b.jpg")
    (source / "notes.txt").write_text("not a picture")
    assert shell("encode", source.parent, "--out-dir", tmp_path / "fin").returncode == 0
    assert sorted(p.relative_to(tmp_path / "fin").as_posix() for p in (tmp_path / "fin").rglob("*.fin")) == [
        "b.fin",
        "deep/a.fin",
    ]
    assert shell("decode", tmp_path / "fin", "--out-dir", tmp_path / "png").returncode == 0
    with Image.open(tmp_path / "png" / "deep" / "a.png") as image:
        assert image.size == (50, 40)


@pytest.mark.slow
def test_many_files_by_several_processes(shell: Shell, photo: Image.Image, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for i in range(9):
        photo.crop((0, 0, 30 + i, 40)).save(source / f"{i}.png")
    (source / "bad.png").write_bytes(b"bad")
    done = shell("encode", source, "--out-dir", tmp_path / "fin", "--threads", 2)
    assert done.returncode == 2
    assert done.stderr.decode().count("bad.png") == 1
    assert "1 of 10 files failed" in done.stderr.decode()
    assert len(list((tmp_path / "fin").iterdir())) == 9
    assert shell("encode", source / "3.png", tmp_path / "3.fin").returncode == 0
    assert (tmp_path / "3.fin").read_bytes() == (tmp_path / "fin" / "3.fin").read_bytes()


def test_folders_leave_out_what_is_hidden_or_no_picture(shell: Shell, png: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / ".git").mkdir(parents=True)
    for name in (".git/a.png", ".b.png", "c.pdf", "d.PNG"):
        (source / name).write_bytes(png.read_bytes())
    assert shell("encode", source, "--out-dir", tmp_path / "fin").returncode == 0
    assert [p.name for p in (tmp_path / "fin").rglob("*")] == ["d.fin"]


def test_existing_results_can_be_skipped(shell: Shell, png: Path, photo: Image.Image, tmp_path: Path) -> None:
    out = tmp_path / "fin"
    out.mkdir()
    (out / "cat.fin").write_bytes(b"precious")
    photo.save(tmp_path / "dog.png")
    done = shell("encode", png, tmp_path / "dog.png", "--out-dir", out, "--skip-existing", "-v")
    assert done.returncode == 0
    assert b"cat" not in done.stderr
    size = (out / "dog.fin").stat().st_size
    first, last = done.stderr.decode().splitlines()
    assert f"dog.fin: {size:,} bytes, {8 * size / 451 / 300:.3f} bpp" in first
    assert f"1 file, 0.1 megapixels, {png.stat().st_size:,} bytes to {size:,} bytes" in last
    assert shell("encode", png, out / "cat.fin", "--skip-existing").returncode == 0
    assert (out / "cat.fin").read_bytes() == b"precious"
    assert "is a folder" in shell.fails("encode", png, out, "--skip-existing")


def test_decoding_to_other_formats(shell: Shell, png: Path, photo: Image.Image, tmp_path: Path) -> None:
    fin = tmp_path / "cat.fin"
    shell("encode", png, fin, "--quality", 90)
    shell("decode", fin, tmp_path / "cat-decoded.png")
    with Image.open(tmp_path / "cat-decoded.png") as exact:
        sizes = {}
        for name, options in (("best", []), ("worse", ["--output-quality", 30])):
            out = tmp_path / name
            assert shell("decode", fin, "--out-dir", out, "--format", "jpg", *options).returncode == 0
            sizes[name] = (out / "cat.jpg").stat().st_size
            with Image.open(out / "cat.jpg") as image:
                assert (image.format, psnr(exact, image) > 45) == ("JPEG", name == "best")
        assert sizes["best"] > 3 * sizes["worse"]
        assert shell("decode", fin, tmp_path / "cat.webp").returncode == 0
        with Image.open(tmp_path / "cat.webp") as image:  # which can do without loss
            assert psnr(exact, image) == psnr(exact, exact)
    assert "not a picture format" in shell.fails("decode", fin, "--out-dir", tmp_path, "--format", "xyz")


def test_animations_need_a_frame(shell: Shell, tmp_path: Path) -> None:
    gif, tiff, fin = tmp_path / "a.gif", tmp_path / "a.tif", tmp_path / "a.fin"
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("black", "white")]
    for path in (gif, tiff):
        frames[0].save(path, save_all=True, append_images=frames[1:])
    assert "an animation of 2 frames" in shell.fails("encode", gif, fin)
    assert "no frame 2; its last one is 1" in shell.fails("encode", gif, fin, "--frame", 2)
    assert not fin.exists()
    assert shell("encode", gif, fin, "--frame", 1).returncode == 0
    assert np.asarray(decode(fin.read_bytes(), model=shell.model[1])).mean() > 200
    done = shell("encode", tiff, fin, "--force")  # pages, of which the first is what most people want
    assert (done.returncode, done.stderr.decode().count("picture 0 of 2")) == (0, 1)


@pytest.mark.skipif(os.name != "posix", reason="terminals are those of POSIX")
def test_a_terminal_is_not_filled_with_bytes(shell: Shell, png: Path) -> None:
    import pty

    master, terminal = pty.openpty()
    command = [sys.executable, "-m", "finola_codec", "encode", str(png), "-", *shell.model]
    done = subprocess.run(command, stdout=terminal, stderr=subprocess.PIPE, timeout=60)
    os.close(terminal)
    os.close(master)
    assert (done.returncode, done.stderr.count(b"standard output is a terminal")) == (2, 1)


@pytest.mark.skipif(os.name != "posix", reason="terminals are those of POSIX")
def test_a_terminal_shows_how_far_encoding_is(shell: Shell, png: Path, tmp_path: Path) -> None:
    import pty

    master, terminal = pty.openpty()
    command = [sys.executable, "-m", "finola_codec", "encode", str(png), str(tmp_path / "a.fin"), *shell.model]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=terminal, timeout=60)
    os.close(terminal)
    shown = os.read(master, 10_000).decode().split("\r")
    os.close(master)
    assert done.returncode == 0
    assert [line.split(":")[0] for line in shown[1:4]] == [f"iteration {i} of 3" for i in (1, 2, 3)]
    assert not "".join(shown[4:]).strip()  # what was shown is gone
    assert len({len(line) for line in shown[1:5]}) == 1
    assert b"iteration" not in shell("encode", png, tmp_path / "a.fin", "--force", "-v").stderr  # not a terminal


def test_one_bad_file_among_many(shell: Shell, png: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG not really")
    done = shell("encode", bad, png, "--out-dir", tmp_path / "fin")
    assert done.returncode == 2
    assert str(bad) in done.stderr.decode()
    assert [p.name for p in (tmp_path / "fin").iterdir()] == ["cat.fin"]


def test_two_inputs_of_one_name_are_refused(shell: Shell, png: Path, photo: Image.Image, tmp_path: Path) -> None:
    photo.save(tmp_path / "cat.jpg")
    done = shell("encode", png, tmp_path / "cat.jpg", "--out-dir", tmp_path / "fin")
    assert done.returncode == 2
    assert f"cat.jpg: would overwrite the result of {png}" in done.stderr.decode()


def test_existing_output_is_kept_without_force(shell: Shell, png: Path, tmp_path: Path) -> None:
    fin = tmp_path / "cat.fin"
    fin.write_bytes(b"precious")
    assert str(fin) in shell.fails("encode", png, fin)
    assert fin.read_bytes() == b"precious"
    assert shell("encode", png, fin, "--force").returncode == 0
    assert fin.read_bytes() != b"precious"


@pytest.mark.parametrize("name", ["cat.png", "deep/../cat.png", "soft.fin", "hard.fin"])
def test_the_input_is_never_overwritten(shell: Shell, png: Path, tmp_path: Path, name: str) -> None:
    before = png.read_bytes()
    (tmp_path / "deep").mkdir()
    (tmp_path / "hard.fin").hardlink_to(png)
    (tmp_path / "soft.fin").symlink_to(png)
    refusal = "is the input too" if name.endswith(".fin") else "has the suffix of another format"
    assert refusal in shell.fails("encode", png, tmp_path / name, "--force")
    assert "is the input too" in shell.fails("compare", png, tmp_path / name, "--force")
    assert png.read_bytes() == before


def test_another_input_is_not_overwritten_through_a_link(
    shell: Shell, png: Path, photo: Image.Image, tmp_path: Path
) -> None:
    photo.save(tmp_path / "dog.png")
    (tmp_path / "fin").mkdir()
    (tmp_path / "fin" / "cat.fin").symlink_to(tmp_path / "dog.png")
    arguments = ("encode", png, tmp_path / "dog.png", "--out-dir", tmp_path / "fin", "--force")
    before = (tmp_path / "dog.png").read_bytes()
    done = shell(*arguments)
    assert (done.returncode, done.stderr.decode().count("is the input too")) == (2, 1)
    assert (tmp_path / "dog.png").read_bytes() == before


def test_standard_streams_of_one_file_are_refused(shell: Shell, png: Path) -> None:
    before = png.read_bytes()
    with png.open("rb") as source, png.open("ab") as target:
        command = [sys.executable, "-m", "finola_codec", "encode", "-", "-", *shell.model]
        done = subprocess.run(command, stdin=source, stdout=target, stderr=subprocess.PIPE, timeout=60)
    assert (done.returncode, png.read_bytes()) == (2, before)
    assert b"standard output: is the input too" in done.stderr


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="no /dev/stdout on this system")
def test_dev_stdout_is_what_it_leads_to(shell: Shell, png: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"before")
    with log.open("ab") as target:
        command = [sys.executable, "-m", "finola_codec", "encode", str(png), "/dev/stdout", *shell.model]
        assert subprocess.run(command, stdout=target, timeout=60).returncode == 0
    assert log.read_bytes().startswith(b"before\xf1FIN")


def test_bad_input_gets_one_line_and_leaves_nothing(shell: Shell, png: Path, tmp_path: Path) -> None:
    text = tmp_path / "notes.png"
    text.write_text("not a picture")
    empty = tmp_path / "empty"
    empty.mkdir()
    fin = tmp_path / "out.fin"
    assert "notes.png" in shell.fails("encode", text, fin)
    assert "no such file" in shell.fails("encode", tmp_path / "missing.png", fin)
    assert "no such folder" in shell.fails("encode", png, tmp_path / "missing" / "a.fin")
    assert "holds no file" in shell.fails("encode", empty, "--out-dir", tmp_path / "o")
    assert "not a .fin file" in shell.fails("decode", png, tmp_path / "a.png")
    assert "not a .fin file" in shell.fails("info", png, model=False)
    assert "no-such-model" in shell.fails("encode", png, fin, "--model", "no-such-model", model=False)
    assert "limit" in shell.fails("encode", png, fin, "--max-pixels", 1000)
    assert "does not fit" in shell.fails("encode", png, fin, "--target-bytes", 10)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cat.png", "empty", "notes.png"]


def test_damaged_file_leaves_no_output(shell: Shell, png: Path, tmp_path: Path) -> None:
    fin = tmp_path / "cat.fin"
    shell("encode", png, fin)
    fin.write_bytes(fin.read_bytes()[:-100])
    assert "truncated" in shell.fails("decode", fin, tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()


def test_unknown_output_format(shell: Shell, png: Path, tmp_path: Path) -> None:
    fin = tmp_path / "cat.fin"
    shell("encode", png, fin)
    assert "not a picture format" in shell.fails("decode", fin, tmp_path / "out.xyz")


def test_wrong_usage(shell: Shell, png: Path, tmp_path: Path) -> None:
    for arguments in (["encode", png], ["encode", png, "o.fin", "--quality", 10, "--target-bpp", 1]):
        done = shell(*arguments)
        assert done.returncode == 2
        assert b"Usage" in done.stderr


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "-1", "0"])
@pytest.mark.parametrize("target", ["--target-bpp", "--target-psnr"])
def test_targets_that_are_no_positive_numbers(png: Path, target: str, number: str) -> None:
    done = CliRunner().invoke(main, ["encode", str(png), "out.fin", target, number])
    assert done.exit_code == 2
    assert "Invalid value" in done.output


@pytest.mark.skipif(os.name != "posix", reason="shells close streams so on POSIX")
@pytest.mark.parametrize(
    ("closing", "arguments", "message"),
    [
        ("<&-", ["encode", "-", "out.fin"], "standard input: Bad file descriptor"),
        (">&-", ["encode", "cat.png", "-"], "standard output: Bad file descriptor"),
        (">&-", ["info", "cat.fin"], "Bad file descriptor"),
        (">&-", ["--help"], "Bad file descriptor"),
        ("2>&-", ["encode", "missing.png", "out.fin"], None),
        ("<&- >&- 2>&-", ["info", "cat.fin"], None),
    ],
)
def test_closed_streams_are_one_line(
    shell: Shell, png: Path, tmp_path: Path, closing: str, arguments: list[str], message: str | None
) -> None:
    shell("encode", png, tmp_path / "cat.fin")
    command = [sys.executable, "-m", "finola_codec", *arguments, *(shell.model if "encode" in arguments else [])]
    done = subprocess.run(["sh", "-c", f'exec "$@" {closing}', "-", *command], cwd=tmp_path, capture_output=True)
    assert done.returncode == 2
    assert done.stderr.decode() == (f"finola-codec: {message}\n" if message else "")


@pytest.mark.skipif(os.name != "posix", reason="shells close streams so on POSIX")
def test_closed_streams_that_are_not_needed_do_not_matter(shell: Shell, png: Path, tmp_path: Path) -> None:
    shell("encode", png, tmp_path / "cat.fin")
    command = [sys.executable, "-m", "finola_codec", "encode", str(png), str(tmp_path / "out.fin"), *shell.model]
    assert subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "-", *command]).returncode == 0
    assert (tmp_path / "out.fin").read_bytes() == (tmp_path / "cat.fin").read_bytes()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_help_on_a_full_disk_is_one_line() -> None:
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "finola_codec", "--help"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert (done.returncode, done.stderr) == (2, b"finola-codec: No space left on device\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_full_disk_is_one_line(shell: Shell, png: Path) -> None:
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "finola_codec", "encode", str(png), "-", *shell.model]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 2
    assert "No space left" in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_closed_pipe_is_one_line(shell: Shell, png: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "finola_codec", "encode", str(png), "-", *shell.model]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, timeout=60)
    os.close(writer)
    assert done.returncode == 2
    assert len(done.stderr.decode().strip().splitlines()) == 1
