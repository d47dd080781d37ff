"""The element ``<fin-img>`` in a real browser: loading, failing, previews, laziness, printing."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from finola_codec.container import ICC, pack, unpack
from tests.golden.make import FOLDER
from tests.web.conftest import Expected, pixels

MEDIUM = "medium.finola-base.fin"

SHOW = """
const done = arguments[arguments.length - 1];
import("/fin-img.js").then(() => {
  const image = document.createElement("fin-img");
  for (const [name, value] of Object.entries(arguments[0])) image.setAttribute(name, value);
  const tell = (event) => done([event.type, event.message ?? "", image.naturalWidth, image.complete]);
  for (const type of arguments[1]) image.addEventListener(type, tell);
  document.body.replaceChildren(image);
});
"""
NEXT = """
const done = arguments[arguments.length - 1], image = document.querySelector("fin-img");
const tell = (event) => done([event.type, event.message ?? "", image.naturalWidth, image.complete]);
image.addEventListener("load", tell);
image.addEventListener("error", tell);
if (image.complete) done([image.picture ? "load" : "error", "", image.naturalWidth, true]);
"""
SHOWN = """
const done = arguments[0], shown = document.querySelector("fin-img").shadowRoot.querySelector("img");
fetch(shown.src).then((response) => response.arrayBuffer()).then((data) => {
  let text = "";
  for (const byte of new Uint8Array(data)) text += String.fromCharCode(byte);
  done(btoa(text));
});
"""
LAZY = """
const done = arguments[0];
import("/fin-img.js").then(() => {
  document.body.innerHTML = `<fin-img src="/golden/pixel.finola-base.fin" loading="lazy" alt=""></fin-img>
    <p style="height: 6000px"></p>
    <fin-img id="below" src="/golden/row.finola-base.fin" loading="lazy" alt=""></fin-img>`;
  scrollTo(0, 0);
  document.querySelector("fin-img").addEventListener("load", () =>
    done(document.getElementById("below").complete));
});
"""


def show(page: Any, *events: str, **attributes: str) -> list[Any]:
    """Put an element on the page; the first of ``events``, by default load or error, its message, width and state."""
    return page.execute_async_script(SHOW, {"alt": "", **attributes}, list(events or ("load", "error")))


def shown(page: Any) -> Image.Image:
    """What the element shows."""
    return Image.open(io.BytesIO(base64.b64decode(page.execute_async_script(SHOWN))))


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """Set, it lets the second half of what is held follow."""
    from tests.web.conftest import RELEASED

    RELEASED.clear()
    yield RELEASED
    RELEASED.set()


@pytest.mark.slow
def test_it_behaves_as_img(page: Any) -> None:
    assert show(page, src=f"/golden/{MEDIUM}", alt="An astronaut", width="100") == ["load", "", 301, True]
    script = "const i = document.querySelector('fin-img').shadowRoot.querySelector('img');"
    assert page.execute_script(f"{script} return [i.alt, i.naturalWidth, i.width]") == ["An astronaut", 301, 100]


@pytest.mark.slow
def test_the_colours_of_a_profile_are_shown(page: Any, site: Path, expected: Expected) -> None:
    data = (FOLDER / MEDIUM).read_bytes()
    header, chunks = unpack(data)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    (site / "profile.fin").write_bytes(pack(header, chunks | {ICC: profile}))
    assert show(page, src="/profile.fin")[0] == "load"
    png = shown(page)
    assert png.info["icc_profile"] == profile
    assert np.abs(pixels(png) - pixels(expected(data))).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("damaged.fin", lambda data: data[:-100] + bytes([data[-100] ^ 1]) + data[-99:], "its checksum does not match"),
        ("cut.fin", lambda data: data[:400], "truncated within the vectors chunk"),
        ("foreign.fin", lambda data: b"GIF89a" + data, "not a .fin file"),
        ("absent.fin", None, "404"),
    ],
)
def test_what_cannot_be_decoded_ends_in_an_error_event(
    page: Any, site: Path, name: str, change: Callable[[bytes], bytes] | None, reason: str
) -> None:
    if change:
        (site / name).write_bytes(change((FOLDER / "small.finola-base.fin").read_bytes()))
    event, message, width, complete = show(page, src=f"/{name}")
    assert (event, width, complete) == ("error", 0, True)
    assert reason in message


@pytest.mark.slow
def test_half_a_file_is_shown_until_it_is_whole(page: Any, released: threading.Event, expected: Expected) -> None:
    assert show(page, "preview", src=f"/held/golden/{MEDIUM}") == ["preview", "", 0, False]
    whole = pixels(expected((FOLDER / MEDIUM).read_bytes()))
    half = pixels(shown(page))
    assert half.shape == whole.shape
    assert 1 < np.mean((half - whole) ** 2) ** 0.5 < 50  # blurred, but the same picture
    released.set()
    assert page.execute_async_script(NEXT) == ["load", "", 301, True]
    assert np.abs(pixels(shown(page)) - whole).max() <= 1


@pytest.mark.slow
def test_a_preview_does_not_stay_where_the_rest_is_damaged(page: Any, site: Path, released: threading.Event) -> None:
    data = bytearray((FOLDER / MEDIUM).read_bytes())
    data[-100] ^= 1
    (site / "late.fin").write_bytes(data)
    assert show(page, "preview", src="/held/late.fin")[0] == "preview"
    released.set()
    assert page.execute_async_script(NEXT)[0] == "error"
    script = "return document.querySelector('fin-img').shadowRoot.querySelector('img').naturalWidth"
    assert page.execute_script(script) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "reach", ["document.getElementById('below').scrollIntoView()", "dispatchEvent(new Event('beforeprint'))"]
)
def test_a_lazy_picture_loads_when_it_is_near_or_printed(page: Any, reach: str) -> None:
    assert page.execute_async_script(LAZY) is False
    script = f"""
        const done = arguments[0], below = document.getElementById("below");
        below.addEventListener("load", () => done(below.complete));
        {reach};"""
    assert page.execute_async_script(script) is True


@pytest.mark.slow
def test_it_is_printed(page: Any) -> None:
    show(page, src=f"/golden/{MEDIUM}", alt="An astronaut")
    printed = base64.b64decode(page.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert b"/Subtype /Image" in printed
    assert b"/Width 301" in printed
