"""Speed and memory, measured in one run, as ratios where there is something to compare with.

Run on an idle machine: python benchmarks/run.py [start throughput scaling files finola ...]
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

SIZES = (0.1, 0.4, 1.6, 12, 100)  # megapixels
REPEATS = 5


def picture(megapixels: float) -> Image.Image:
    """A photograph of about so many pixels: mirrored copies of one of scikit-image's."""
    tile = skimage.data.coffee()
    tile = np.concatenate([tile, tile[:, ::-1]], axis=1)
    tile = np.concatenate([tile, tile[::-1]], axis=0)
    height, width = round((megapixels * 1e6 * 2 / 3) ** 0.5), round((megapixels * 1e6 * 3 / 2) ** 0.5)
    repeats = (-(-height // tile.shape[0]), -(-width // tile.shape[1]), 1)
    return Image.fromarray(np.tile(tile, repeats)[:height, :width])


def best(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Seconds of the fastest of several runs, after one that warms up."""
    work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def start() -> None:
    """Whole processes: decoding one picture of Kodak's size against importing what decoding needs."""
    import finola_codec

    with tempfile.TemporaryDirectory() as folder:
        fin = Path(folder, "a.fin")
        fin.write_bytes(finola_codec.encode(picture(0.393)))
        decode = [sys.executable, "-m", "finola_codec", "decode", str(fin), str(fin.with_suffix(".png")), "--force"]
        imports = [sys.executable, "-c", "import numpy, PIL, onnxruntime"]
        seconds = [best(lambda c=command: subprocess.run(c, check=True)) for command in (decode, imports)]
    print(
        f"decode, whole process: {seconds[0]:.2f} s; imports alone: {seconds[1]:.2f} s; "
        f"ratio {seconds[0] / seconds[1]:.2f}"
    )


def throughput() -> None:
    """Megapixels a second, warm, and where the time goes."""
    import finola_codec

    image, model = picture(1.6), finola_codec.load_model()
    pixels = np.asarray(image)
    size = pixels.shape[0] * pixels.shape[1] / 1e6
    y, z = model.pixels.analyse(pixels, 50)
    coded = model.prior.encode(y, z, 50, model.price(50))
    data = finola_codec.encode(image)
    parts = {
        "encode": lambda: finola_codec.encode(image),
        "  analysis": lambda: model.pixels.analyse(pixels, 50),
        "  prior and coding": lambda: model.prior.encode(y, z, 50, model.price(50)),
        "decode": lambda: finola_codec.decode(data),
        "  prior and coding ": lambda: model.prior.decode(coded.hyper, coded.vectors, y.shape[:2], 50),
        "  synthesis": lambda: model.pixels.synthesise(coded.y, 50, *pixels.shape[:2]),
    }
    for name, work in parts.items():
        seconds = best(work)
        print(f"{name:20} {seconds:6.3f} s {size / seconds:7.2f} megapixel/s")


def scaling() -> None:
    """Seconds and peak resident memory of encoding and decoding, from 0.1 to 100 megapixels."""
    for megapixels in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "a.ppm")
            picture(megapixels).save(source)
            for command in (["encode", source, f"{folder}/a.fin"], ["decode", f"{folder}/a.fin", f"{folder}/b.ppm"]):
                seconds, peak = _measured([sys.executable, "-m", "finola_codec", *map(str, command)])
                rate = megapixels / seconds
                print(f"{megapixels:6} megapixel {command[0]}: {seconds:7.2f} s {rate:6.2f} megapixel/s {peak:7.0f} MB")


def _measured(command: list[str]) -> tuple[float, float]:
    """Seconds and peak megabytes of a process."""
    program = (
        "import json, resource, subprocess, sys, time; began = time.perf_counter();"
        "subprocess.run(sys.argv[1:], check=True); seconds = time.perf_counter() - began;"
        "print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024]))"
    )
    done = subprocess.run([sys.executable, "-c", program, *command], check=True, capture_output=True, text=True)
    seconds, peak = json.loads(done.stdout)
    return seconds, peak


def files() -> None:
    """A folder of 48 pictures by one worker and by one for each core."""
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source")
        source.mkdir()
        for i in range(48):
            picture(0.393).save(source / f"{i}.png", compress_level=1)
        seconds = []
        for workers in (1, cores):
            target = str(Path(folder, f"by{workers}"))
            command = ["batch", "encode", str(source), target, "--workers", str(workers)]
            limits = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            began = time.perf_counter()
            subprocess.run([sys.executable, "-m", "finola_codec", *command], check=True, env=limits)
            seconds.append(time.perf_counter() - began)
    print(
        f"48 pictures: one worker {seconds[0]:.1f} s, {cores} workers {seconds[1]:.1f} s, "
        f"{seconds[0] / seconds[1]:.2f} times"
    )


def finola() -> None:
    """FINOLA's growth of the vectors of a megapixel against one matrix product of as many operations."""
    import torch

    from finola_codec.nn.finola import Finola
    from finola_codec.nn.profiles import FINOLA_BASE as profile

    channels, side = profile.seed_channels, profile.patch
    blocks = 1_000_000 // profile.block**2
    grower, seeds = Finola(channels), torch.randn(blocks, channels)
    products = 2 * ((side - 1) + side * (side - 1)) * blocks
    rows, matrix = torch.randn(products, channels), torch.randn(channels, channels)
    with torch.inference_mode():
        grown = best(lambda: grower(seeds, side, side))
        floor = best(lambda: rows @ matrix)
    print(
        f"FINOLA, {blocks} blocks: {1e3 * grown:.1f} ms; its products as one: {1e3 * floor:.1f} ms; "
        f"{grown / floor:.2f} times"
    )


ALL = {f.__name__: f for f in (start, throughput, scaling, files, finola)}

if __name__ == "__main__":
    for name in sys.argv[1:] or ALL:
        print(f"\n{name}: {(ALL[name].__doc__ or '').splitlines()[0]}")
        ALL[name]()
    print(f"\npeak of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
