"""Seconds that Chromium takes for one picture, and the bytes that it fetches for it.

Run on an idle machine with chromium and chromedriver:

    finola-codec web SITE && python benchmarks/web.py SITE PICTURE

A page is *cold* when it has just been opened: package, ONNX Runtime and model come from the browser's caches. A second
decoding on it is *warm*. With the two headers that isolate a page it has threads, without them one.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image
from selenium import webdriver

import finola_codec

QUALITY = 50
REPEATS = 3
PAGE = ("page.js", "others.js", "avif-worker.js")  # which are not part of the package
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu")
DECODE = """
const [isLast, done] = arguments;
(async () => {
  const { decode, encode } = await import("/finola-codec.js");
  const file = new Uint8Array(await (await fetch("/benchmark.fin")).arrayBuffer());
  await decode(file);
  const cold = performance.now() / 1000; // since the page began
  let began = performance.now();
  const picture = await decode(file);
  const warm = (performance.now() - began) / 1000;
  if (!isLast) return { cold, warm };
  await encode(picture);
  began = performance.now();
  await encode(picture);
  return { cold, warm, encode: (performance.now() - began) / 1000 };
})().then(done, (error) => done(String(error)));
"""
PRIOR = """
const done = arguments[0];
(async () => {
  const { decodeIntegers } = await import("/integers.js");
  const { Models } = await import("/models.js");
  const { unpack } = await import("/container.js");
  const { header, chunks } = unpack(new Uint8Array(await (await fetch("/benchmark.fin")).arrayBuffer()));
  const model = await new Models(new URL("/models/", location.href)).find(header.modelId);
  await model.prior();
  const seconds = [];
  for (let i = 0; i < 6; i++) {
    const began = performance.now();
    await decodeIntegers(model, header, chunks);
    seconds.push((performance.now() - began) / 1000);
  }
  return { "prior, first": seconds[0], "prior, best": Math.min(...seconds) };
})().then(done, (error) => done(String(error)));
"""


class Server(SimpleHTTPRequestHandler):
    """Serves files that a browser may keep for as long as the measurement takes."""

    isolated = False
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "max-age=600")
        if self.isolated:
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


class Isolated(Server):
    """The same, with threads."""

    isolated = True


def measure(browser: Any, site: Path, handler: type[Server]) -> dict[str, float]:
    """Medians of several cold pages, and the prior by itself."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found: dict[str, list[float]] = {}
    for repeat in range(1 + REPEATS):
        browser.get(f"http://127.0.0.1:{server.server_port}/benchmark.html")
        seconds = browser.execute_async_script(DECODE, repeat == REPEATS)
        assert isinstance(seconds, dict), seconds
        for name, value in seconds.items() if repeat else ():  # the first one fills the caches
            found.setdefault(name, []).append(value)
    browser.get(f"http://127.0.0.1:{server.server_port}/benchmark.html")
    prior = browser.execute_async_script(PRIOR)
    server.shutdown()
    return {name: median(values) for name, values in found.items()} | prior


def sizes(site: Path) -> None:
    """What a page fetches, compressed by gzip where it is not already."""
    scripts = [path for path in sorted(site.glob("*.js")) if path.name not in PAGE]
    groups = {"the package": scripts} | {
        str(path.relative_to(site)): [path]
        for pattern in ("onnxruntime/*", "models/*/*.packed")
        for path in sorted(site.glob(pattern))
    }
    for name, paths in groups.items():
        data = b"".join(path.read_bytes() for path in paths)
        packed = data if name.endswith(".packed") else gzip.compress(data, 9)
        print(f"{name}: {len(packed) / 1e6:.2f} MB")


def main() -> None:
    """Measure."""
    site, picture = map(Path, sys.argv[1:])
    (site / "benchmark.html").write_text("<!doctype html>")
    with Image.open(picture) as image:
        print(f"{picture.name}, {image.width} x {image.height} pixels, quality {QUALITY}")
        (site / "benchmark.fin").write_bytes(finola_codec.encode(image, QUALITY))
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    with tempfile.TemporaryDirectory() as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        browser = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
        browser.set_script_timeout(300)
        try:
            for threads, handler in (("one thread", Server), ("as many threads as cores, at most 4", Isolated)):
                measured = measure(browser, site, handler)
                print(threads, ", ".join(f"{name} {value:.2f} s" for name, value in measured.items()), sep=": ")
        finally:
            browser.quit()
    sizes(site)


if __name__ == "__main__":
    main()
