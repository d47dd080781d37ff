"""`paper`: what it complains of before it trains for hours."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from finola_codec.cli import main


@pytest.mark.parametrize("table", ["3", "14"])
def test_too_few_pictures_are_refused(tmp_path: Path, table: str) -> None:
    (tmp_path / "pictures").mkdir()
    for i in range(9):
        Image.new("RGB", (260, 260)).save(tmp_path / "pictures" / f"{i}.png")
    arguments = ["paper", "--table", table, "--data", str(tmp_path / "pictures"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert f"table {table} needs 10 pictures of 256 x 256 pixels or more" in done.output


def test_pictures_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"bad")
    arguments = ["paper", "--table", "4", "--kodak", str(tmp_path), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert "kodak: no picture could be read" in done.output


def test_a_folder_of_other_files_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (260, 260)).save(tmp_path / "pictures" / "a.png")
    before = sorted(tmp_path.iterdir())
    arguments = ["paper", "--table", "3", "--data", str(tmp_path / "pictures"), "--out", str(tmp_path)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert "holds other files" in done.output
    assert sorted(tmp_path.iterdir()) == before
