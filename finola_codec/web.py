"""A folder that any static web server serves: the JavaScript package, models, ONNX Runtime for browsers, and a page."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finola_codec.errors import ConfigError
from finola_codec.runtime.manifest import FILES, MANIFEST, PRIOR
from finola_codec.runtime.model import Model

RUNTIME = "onnxruntime-web"
RUNTIME_VERSION = "1.30.0"
RUNTIME_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
LEFT_OUT = ("node_modules", "tests", "tools", "package-lock.json")


def write(folder: Path, models: Sequence[Model], runtime: Path | None = None) -> None:
    """Write everything that a page needs into ``folder``, with ``models`` in a form that is small to fetch.

    ``runtime`` is the folder ``dist`` of the npm package onnxruntime-web; without it npm fetches the package. Raises
    :class:`ConfigError` where there is neither.
    """
    shutil.copytree(_package(), folder, ignore=shutil.ignore_patterns(*LEFT_OUT), dirs_exist_ok=True)
    (folder / "onnxruntime").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        source = runtime or _fetched_runtime(Path(scratch))
        for name in RUNTIME_FILES:
            if not (source / name).is_file():
                raise ConfigError(f"{source}: there is no {name} of {RUNTIME} {RUNTIME_VERSION} in it")
            shutil.copyfile(source / name, folder / "onnxruntime" / name)
    for model in models:
        _write_model(model, folder / "models" / model.name)
    index = [{"name": model.name, "id": model.id.hex()} for model in models]
    (folder / "models" / "index.json").write_text(json.dumps({"models": index}, indent=1) + "\n")


def _package() -> Path:
    """The JavaScript package in the wheel, or in the checkout that this package is imported from."""
    here = Path(__file__).parent
    for root in (here / "web_package", here.parent / "web"):
        if root.is_dir():
            return root
    raise ConfigError("the JavaScript package is not installed with this finola-codec")


def _fetched_runtime(scratch: Path) -> Path:
    installed = _package() / "node_modules" / RUNTIME / "dist"
    if installed.is_dir():
        return installed
    command = ["npm", "pack", "--silent", f"{RUNTIME}@{RUNTIME_VERSION}"]
    try:
        subprocess.run(command, cwd=scratch, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise ConfigError(f"npm is not installed: fetch {RUNTIME} {RUNTIME_VERSION} and give --runtime DIST") from error
    except subprocess.CalledProcessError as error:
        raise ConfigError(f"npm cannot fetch {RUNTIME} {RUNTIME_VERSION}: {error.stderr.strip()}") from error
    with tarfile.open(next(scratch.glob("*.tgz"))) as archive:
        for name in RUNTIME_FILES:
            archive.extract(f"package/dist/{name}", scratch, filter="data")
    return scratch / "package" / "dist"


def _write_model(model: Model, folder: Path) -> None:
    """The files of a model, compressed, and a manifest that says in ``web`` what stands for what.

    A page fetches the encoders only when it encodes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = json.loads((model.folder / MANIFEST).read_text())
    content["web"] = {}
    for name in FILES:
        if (model.folder / name).exists():
            data = (model.folder / name).read_bytes()
            content["web"][name] = _write_variant(folder, name, data, shuffled=name == PRIOR)
    (folder / MANIFEST).write_text(json.dumps(content, indent=1) + "\n")


def _write_variant(folder: Path, name: str, data: bytes, *, shuffled: bool) -> Mapping[str, Any]:
    # The bytes at even places first: the upper halves of 16-bit weights are nearly all alike, and compress apart.
    packed = gzip.compress(data[::2] + data[1::2] if shuffled else data, 9, mtime=0)
    (folder / f"{name}.packed").write_bytes(packed)
    encoding = ["gzip", "shuffle"] if shuffled else ["gzip"]
    return {"file": f"{name}.packed", "sha256": hashlib.sha256(packed).hexdigest(), "encoding": encoding}
