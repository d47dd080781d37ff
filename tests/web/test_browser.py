"""The JavaScript package in a real browser, against the Python package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from finola_codec import decode
from tests.golden.make import FOLDER, HASHES

EXPECTED = json.loads(HASHES.read_text())
TIMEOUT = 120  # seconds; only a hang takes so long

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
ELEMENT = """
const done = arguments[arguments.length - 1];
import("/fin-img.js").then(() => {
  const image = document.createElement("fin-img");
  for (const [name, value] of Object.entries(arguments[0])) image.setAttribute(name, value);
  const tell = (event) => done([event.type, event.message ?? "", image.naturalWidth, image.complete]);
  image.addEventListener("load", tell);
  image.addEventListener("error", tell);
  document.body.replaceChildren(image);
});
"""


@pytest.fixture(scope="module")
def page(browser: Any, address: str) -> Any:
    browser.set_script_timeout(TIMEOUT)
    browser.get(f"{address}/golden/")
    return browser


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGBA")).astype(int)


def decoded(page: Any, path: str) -> tuple[str, np.ndarray]:
    """The mode and the pixels (H, W, 4) of a file that the browser decodes."""
    import base64

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
def test_pixels_are_within_one_level(page: Any, name: str) -> None:
    expected = decode((FOLDER / name).read_bytes())
    mode, found = decoded(page, f"/golden/{name}")
    assert mode == expected.mode
    assert np.abs(found - pixels(expected)).max() <= 1


@pytest.mark.slow
def test_the_element_loads_a_picture(page: Any) -> None:
    source = {"src": "/golden/medium.finola-base.fin", "alt": "An astronaut", "width": "100"}
    assert page.execute_async_script(ELEMENT, source) == ["load", "", 301, True]
    shown = "const i = document.querySelector('fin-img').shadowRoot.querySelector('img');"
    assert page.execute_script(f"{shown} return [i.alt, i.naturalWidth, i.width]") == ["An astronaut", 301, 100]


@pytest.mark.slow
def test_what_cannot_be_decoded_ends_in_an_error_event(page: Any, site: Path) -> None:
    data = bytearray((FOLDER / "small.finola-base.fin").read_bytes())
    (site / "cut.fin").write_bytes(data[:400])
    data[-100] ^= 1
    (site / "damaged.fin").write_bytes(data)
    for path, reason in (
        ("/damaged.fin", "the vectors chunk is damaged: its checksum does not match"),
        ("/cut.fin", "truncated within the vectors chunk"),
        ("/absent.fin", "404"),
        ("/models/index.json", "not a .fin file"),
    ):
        event, message, width, complete = page.execute_async_script(ELEMENT, {"src": path, "alt": ""})
        assert (event, width, complete) == ("error", 0, True)
        assert reason in message
