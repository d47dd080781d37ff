"""The JavaScript package in a real browser, against the Python package."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from finola_codec import decode, encode
from finola_codec.container import ALPHA, LAYER, pack, unpack
from finola_codec.runtime.model import Model
from tests.conftest import psnr
from tests.golden.make import FOLDER, HASHES, MODELS
from tests.web.conftest import Expected, pixels

EXPECTED = json.loads(HASHES.read_text())

DECODE = """
const done = arguments[arguments.length - 1];
(async () => {
  const { decode } = await import("/finola-codec.js");
  const picture = await decode(await fetch(arguments[0]));
  let text = "";
  for (let i = 0; i < picture.data.length; i += 8192) {
    text += String.fromCharCode(...picture.data.subarray(i, i + 8192));
  }
  return [picture.width, picture.height, picture.mode, btoa(text)];
})().then(done, (error) => done(`${error.name}: ${error.message}`));
"""
INTEGERS = """
const done = arguments[arguments.length - 1];
(async () => {
  const { fingerprint } = await import("/integers.js");
  const { Models } = await import("/models.js");
  const { unpack } = await import("/container.js");
  const models = (window.models ??= new Models(new URL("/models/", location.href)));
  const data = new Uint8Array(await (await fetch(arguments[0])).arrayBuffer());
  return fingerprint(data, await models.find(unpack(data).header.modelId));
})().then(done, (error) => done(`${error.name}: ${error.message}`));
"""


def decoded(page: Any, path: str) -> tuple[str, np.ndarray]:
    """The mode and the pixels (H, W, 4) of a file that the browser decodes."""
    found = page.execute_async_script(DECODE, path)
    assert isinstance(found, list), found
    width, height, mode, data = found
    return mode, np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4).astype(int)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_integers_are_those_of_the_hashes(page: Any, name: str) -> None:
    assert page.execute_async_script(INTEGERS, f"/golden/{name}") == EXPECTED[name]["integers"]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(name for name in EXPECTED if not name.startswith(("extreme", "large"))))
def test_pixels_are_within_one_level(page: Any, expected: Expected, name: str) -> None:
    picture = expected((FOLDER / name).read_bytes())
    mode, found = decoded(page, f"/golden/{name}")
    assert mode == picture.mode
    assert np.abs(found - pixels(picture)).max() <= 1


def layer(height: int, width: int, *, grey: bool, opaque: bool) -> np.ndarray:
    """Noise (height, width, 4), where it is not transparent."""
    rng = np.random.default_rng(3)
    rgba = rng.integers(0, 256, (height, width, 4), np.uint8)
    rgba[..., :3] = rgba[..., :1] if grey else rgba[..., :3]
    rgba[..., 3] = 255 if opaque else 255 * (rgba[..., 3] > 100)
    return rgba


def webp(rgba: np.ndarray, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(rgba).save(out, "WEBP", **options)
    return out.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["medium.finola-base.fin", "grey.finola-base.fin", "transparent.finola-256.fin"])
@pytest.mark.parametrize("alone", [False, True])
def test_a_layer_replaces_pixels_exactly(page: Any, site: Path, expected: Expected, name: str, alone: bool) -> None:
    data = (FOLDER / name).read_bytes()
    header, chunks = unpack(data)
    below = pixels(expected(data))
    rgba = layer(header.height, header.width, grey=header.mode == "L", opaque=alone)
    if alone:
        chunks = {kind: chunks[kind] for kind in chunks if kind > LAYER or kind == 3}
    (site / "layer.fin").write_bytes(pack(header, chunks | {LAYER: webp(rgba, lossless=True, exact=True)}))
    _, found = decoded(page, "/layer.fin")
    there = rgba[..., 3] == 255
    assert (found[there][:, :3] == rgba[there][:, :3]).all()
    assert (found[..., 3] == below[..., 3]).all()
    assert np.abs(found[~there] - below[~there]).max(initial=0) <= 1


@pytest.mark.slow
def test_a_layer_that_is_not_one_is_refused(page: Any, site: Path) -> None:
    header, chunks = unpack((FOLDER / "medium.finola-base.fin").read_bytes())
    good = layer(header.height, header.width, grey=False, opaque=False)
    half = good.copy()
    half[0, 0, 3] = 128
    for damaged, reason in (
        (webp(good, quality=90), "not a lossless WebP"),
        (webp(half, lossless=True, exact=True), "pixels that a layer cannot have"),
        (webp(good[1:], lossless=True), "does not fit"),
        (webp(good, lossless=True)[:-500], "damaged"),
    ):
        (site / "layer.fin").write_bytes(pack(header, chunks | {LAYER: damaged}))
        found = page.execute_async_script(DECODE, "/layer.fin")
        assert isinstance(found, str)
        assert found.startswith("FormatError: the layer")
        assert reason in found


ENCODE = """
const done = arguments[arguments.length - 1];
(async () => {
  const { encode } = await import("/finola-codec.js");
  const [base64, width, height, options] = arguments;
  const data = Uint8ClampedArray.from(atob(base64), (c) => c.charCodeAt(0));
  return Array.from(await encode({ data, width, height }, options));
})().then(done, (error) => done(`${error.name}: ${error.message}`));
"""


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_python_decodes_what_the_browser_encodes(page: Any, photo: Image.Image, model: str, mode: str) -> None:
    source = photo.crop((50, 20, 350, 220)).convert(mode)
    if mode == "RGBA":
        source.putalpha(Image.linear_gradient("L").resize(source.size))
    rgba = base64.b64encode(pixels(source).astype(np.uint8).tobytes()).decode()
    options = {"quality": 40, "model": model}
    data = bytes(page.execute_async_script(ENCODE, rgba, *source.size, options))
    python = encode(source, 40, model=model, effort=1)
    found = decode(data)
    assert found.mode == mode
    if mode == "RGBA":
        assert (pixels(found)[..., 3] == pixels(source)[..., 3]).all()
    coded = [sum(len(c) for kind, c in unpack(d)[1].items() if kind != ALPHA) for d in (data, python)]
    level = psnr(source.convert("RGB"), found.convert("RGB"))
    difference = level - psnr(source.convert("RGB"), decode(python).convert("RGB"))
    assert 0.997 < coded[0] / coded[1] < 1.003  # the vectors differ by what float32 rounds
    assert abs(difference) < 0.01


WITH_WEBGPU = """
const done = arguments[0];
(async () => {
  const { configure, decode } = await import("/finola-codec.js?webgpu"); // another instance, with a worker of its own
  configure({ webgpu: true });
  const { width } = await decode(await fetch("/golden/small.finola-base.fin"));
  return [width, Boolean(await navigator.gpu?.requestAdapter())];
})().then(done, (error) => done(`${error.name}: ${error.message}`));
"""


@pytest.mark.slow
def test_without_an_adapter_webgpu_is_not_used(page: Any) -> None:
    width, has_adapter = page.execute_async_script(WITH_WEBGPU)
    assert width == decode((FOLDER / "small.finola-base.fin").read_bytes()).width
    if has_adapter:
        pytest.skip("this browser has an adapter, so WebGPU was used")


@pytest.mark.slow
def test_a_flat_picture_takes_as_little_as_in_python(page: Any) -> None:
    source = Image.new("RGB", (640, 384), "white")
    rgba = base64.b64encode(pixels(source).astype(np.uint8).tobytes()).decode()
    data = bytes(page.execute_async_script(ENCODE, rgba, *source.size, {"quality": 1, "model": "finola-base"}))
    python = encode(source, 1, layer="off")
    assert abs(len(data) - len(python)) <= 8
    assert abs(psnr(decode(data), source) - psnr(decode(python), source)) < 0.1


@pytest.mark.slow
def test_integers_for_weights_cost_little(compact_models: dict[str, Model], photo: Image.Image) -> None:
    for model in compact_models.values():
        for quality in (30, 90):
            data = encode(photo, quality, model=model.name)
            whole, compact = (psnr(photo, decode(data, model=m)) for m in (model.name, model))
            assert compact > whole - 0.3
