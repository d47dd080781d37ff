"""The folder that a web server serves; tests/web/ has what browsers do with it."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from finola_codec.cli import main


def test_nothing_is_written_where_something_is_missing(tmp_path: Path) -> None:
    packages, out = tmp_path / "node_modules", tmp_path / "site"
    (packages / "onnxruntime-web" / "dist").mkdir(parents=True)
    done = CliRunner().invoke(main, ["web", str(out), "--packages", str(packages)])
    assert done.exit_code == 2
    assert "there is no dist/ort" in done.output
    assert not out.exists()
