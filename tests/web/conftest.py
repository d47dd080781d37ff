"""A server on this machine for the folder that ``finola-codec web`` writes."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from finola_codec.cli import main
from tests.golden.make import FOLDER, MODELS

RUNTIME = Path(__file__).parents[2] / "web" / "node_modules" / "onnxruntime-web" / "dist"


class _Isolated(SimpleHTTPRequestHandler):
    """Serves a page that may use threads."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript", ".fin": "image/x-finola"}

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cache-Control", "no-store")  # tests write different files under one name
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with both models, and the golden files in ``golden``."""
    if not RUNTIME.is_dir():
        pytest.skip("onnxruntime-web is not installed: npm ci --prefix web")
    out = tmp_path_factory.mktemp("web") / "site"
    models = [argument for name in MODELS for argument in ("--model", name)]
    done = CliRunner().invoke(main, ["web", str(out), *models])
    assert done.exit_code == 0, done.output
    shutil.copytree(FOLDER, out / "golden", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return out


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """Where the folder is served."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Isolated, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
