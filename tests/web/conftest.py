"""A server on this machine for the folder that ``finola-codec web`` writes."""

from __future__ import annotations

import gzip
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from finola_codec import decode, info, web
from finola_codec.cli import main
from finola_codec.runtime.devices import open_graph
from finola_codec.runtime.manifest import DECODER, DECODER_GRID, GROWTH
from finola_codec.runtime.model import Model, load_model
from finola_codec.runtime.transforms import Transforms, transforms_of
from tests.golden.make import FOLDER, MODELS

TIMEOUT = 120  # seconds; only a hang takes so long
Expected = Callable[[bytes], Image.Image]  # from the bytes of a file to what Python decodes
PACKAGES = Path(__file__).parents[2] / "web" / "node_modules"


RELEASED = threading.Event()  # until it is set, what is asked for under /held/ stops half way


class _Isolated(SimpleHTTPRequestHandler):
    """Serves a page that may use threads."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript", ".fin": "image/x-finola"}

    def do_GET(self) -> None:
        if self.path.startswith("/held/"):
            self._send_halves(Path(self.translate_path(self.path.removeprefix("/held"))).read_bytes())
        else:
            super().do_GET()

    def _send_halves(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2])
        self.wfile.flush()
        RELEASED.wait(60)
        self.wfile.write(data[len(data) // 2 :])

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
    if not all((PACKAGES / dependency.name).is_dir() for dependency in web.DEPENDENCIES):
        pytest.skip("onnxruntime-web and @jsquash/avif are not installed: npm ci --prefix web")
    out = tmp_path_factory.mktemp("web") / "site"
    models = [argument for name in MODELS for argument in ("--model", name)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(web, "SAMPLE_QUALITIES", (70,))  # one quality shows as well that weights are measured
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


@pytest.fixture(scope="session")
def compact_models(site: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    """By id, the models with the decoders that the folder has: those whose weights are small integers."""
    scratch = tmp_path_factory.mktemp("compact")
    found = {}
    for name in MODELS:
        model = replace(load_model(name))
        packed = site / "models" / name
        paths = {}
        for graph in (GROWTH, DECODER_GRID, DECODER):
            if (packed / f"{graph}.packed").exists():
                paths[graph] = scratch / f"{name}-{graph}"
                paths[graph].write_bytes(gzip.decompress((packed / f"{graph}.packed").read_bytes()))
        vars(model)["transforms"] = _transforms(model, paths)  # in the place of what the property would make
        found[model.id.hex()] = model
    return found


def _transforms(model: Model, paths: dict[str, Path]) -> Transforms:
    return transforms_of(
        model.profile, lambda name, leads_to_pixels: open_graph(paths[name], "cpu", 0, leads_to_pixels)
    )


@pytest.fixture(scope="session")
def expected(compact_models: dict[str, Model]) -> Expected:
    """What Python decodes with the decoder that the browser has."""
    return lambda data: decode(data, model=compact_models[info(data).model_id])


@pytest.fixture
def page(browser: Any, address: str) -> Any:
    """A page beside the package, without anything on it."""
    browser.set_script_timeout(TIMEOUT)
    if browser.current_url != f"{address}/golden/":
        browser.get(f"{address}/golden/")
    return browser


def pixels(picture: Image.Image) -> np.ndarray:
    """RGBA (H, W, 4)."""
    return np.asarray(picture.convert("RGBA")).astype(int)
