"""Speed and memory, measured in one run, as ratios where there is something to compare with.

Run on an idle machine: python benchmarks/run.py [start throughput codecs scaling against files finola ...]
COMPRESSAI names a Python that has CompressAI, for `against`, BASELINE a checkout of another revision, for `codecs`.
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
from typing import Any

import numpy as np
import skimage.data
from PIL import Image

SIZES = (0.1, 0.4, 1.6, 12, 100)  # megapixels
REPEATS = 5
MODELS = ("finola-base", "finola-256")


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
    for name in MODELS:
        _throughput(name)


def _throughput(name: str) -> None:
    import finola_codec

    image, model = picture(1.6), finola_codec.load_model(name)
    pixels = np.asarray(image)
    size = pixels.shape[0] * pixels.shape[1] / 1e6
    y = model.transforms.analyse(pixels, 50)
    z = model.transforms.hyper(y, 50)
    coded = model.prior.encode(y.copy(), z, 50, model.price(50))
    data = finola_codec.encode(image, model=model)
    print(name)
    parts = {
        "encode": lambda: finola_codec.encode(image, model=model),
        "  analysis": lambda: model.transforms.analyse(pixels, 50),
        "  prior and coding": lambda: model.prior.encode(y.copy(), z, 50, model.price(50)),
        "  prior, coding, no RDO": lambda: model.prior.encode(y.copy(), z, 50),
        "decode": lambda: finola_codec.decode(data),
        "  prior and coding ": lambda: model.prior.decode(coded.hyper, coded.vectors, y.shape[:2], 50),
        "  synthesis": lambda: model.transforms.synthesise(coded.y, 50, *pixels.shape[:2]),
    }
    for part, work in parts.items():
        seconds = best(work)
        print(f"{part:24} {seconds:6.3f} s {size / seconds:7.2f} megapixel/s")


def codecs() -> None:
    """Megapixels a second of finola-base on each back end beside AVIF, JPEG XL, JPEG and another revision, warm."""
    here, baseline = Path(__file__).parents[1], os.environ.get("BASELINE")
    for device in ("cpu", "auto", "openvino"):
        rates = _rates(here, "finola-base", device)
        print(f"finola-base, {device:18}" + _rate_line(rates))
        if baseline:
            before = _rates(Path(baseline), "finola-base", device)
            ratios = ", ".join(f"{key} {rates[key] / before[key]:.2f}" for key in rates)
            print(f"  {baseline:29}" + _rate_line(before) + f"  times that: {ratios}")
    for name in ("avif", "jxl", "jpeg"):
        print(f"{name:31}" + _rate_line(_rates(here, name, "cpu")))


def _rate_line(rates: dict[str, float]) -> str:
    return f" encode {rates['encode']:7.2f} megapixel/s  decode {rates['decode']:7.2f} megapixel/s"


def _rates(checkout: Path, codec: str, device: str) -> dict[str, float]:
    """Megapixels a second of a codec in a process of its own, with the package of a checkout."""
    program = (
        "import json, sys; sys.path[:0] = sys.argv[1:3]\n"
        "from run import best, picture; from finola_codec import load_model\n"
        "from finola_codec.evaluation.codecs import FinolaCodec, find\n"
        "name, device, image = sys.argv[3], sys.argv[4], picture(1.6)\n"
        "ours = name.startswith('finola')\n"
        "codec = FinolaCodec(load_model(name, device=device)) if ours else find([name])[0]\n"
        "quality = 50 if ours else 75; data = codec.encode(image, quality); size = image.width * image.height / 1e6\n"
        "rates = {'encode': size / best(lambda: codec.encode(image, quality), 3),"
        " 'decode': size / best(lambda: codec.decode(data).load(), 3)}\n"
        "print(json.dumps(rates))"
    )
    folders = [str(checkout), str(Path(__file__).parent)]
    command = [sys.executable, "-c", program, *folders, codec, device]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout)


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


def against() -> None:
    """CompressAI's models and ours: seconds and peak memory of whole pictures, models loaded."""
    other = os.environ.get("COMPRESSAI")
    if not other:
        print("COMPRESSAI names no Python that has CompressAI: left out")
        return
    for megapixels in (0.393, 12):
        width, height = picture(megapixels).size
        for name in MODELS:
            ours = _ours(name, megapixels)
            print(f"{megapixels:6} megapixel {name:22}" + _line(ours))
            for theirs in ("bmshj2018-hyperprior", "mbt2018-mean"):
                script = Path(__file__).with_name("compressai_models.py")
                command = [other, str(script), str(width), str(height), theirs]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found = json.loads(done.stdout.splitlines()[-1])
                ratios = ", ".join(f"{key.split('_')[0]} {found[key] / ours[key]:.1f}" for key in found)
                print(f"{megapixels:6} megapixel {theirs:22}{_line(found)}  times ours: {ratios}")


def _line(found: dict[str, float]) -> str:
    return f" encode {found['encode_s']:7.2f} s  decode {found['decode_s']:7.2f} s  {found['peak_mb']:6.0f} MB"


def _ours(name: str, megapixels: float) -> dict[str, float]:
    program = (
        "import json, resource, sys, time; sys.path.insert(0, sys.argv[1]);"
        "from run import picture; import finola_codec; x = picture(float(sys.argv[2])); m = sys.argv[3]\n"
        "for _ in range(2 if x.width * x.height < 2e6 else 1):\n"
        "    a = time.perf_counter(); d = finola_codec.encode(x, model=m); b = time.perf_counter()\n"
        "    finola_codec.decode(d, model=m); c = time.perf_counter()\n"
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "print(json.dumps({'encode_s': b - a, 'decode_s': c - b, 'peak_mb': peak}))"
    )
    command = [sys.executable, "-c", program, str(Path(__file__).parent), str(megapixels), name]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


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
    """A folder of 96 pictures by one thread and by all cores."""
    from finola_codec.parallel import THREADS

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source")
        source.mkdir()
        for i in range(96):
            picture(0.393).save(source / f"{i}.png", compress_level=1)
        seconds = []
        for threads in (1, 0):
            command = ["encode", str(source), "--out-dir", str(Path(folder, f"by{threads}")), "--threads", str(threads)]
            limits = os.environ | (dict.fromkeys(THREADS, "1") if threads else {})
            began = time.perf_counter()
            subprocess.run([sys.executable, "-m", "finola_codec", *command], check=True, env=limits)
            seconds.append(time.perf_counter() - began)
    cores = os.cpu_count()
    print(
        f"96 pictures: one thread {seconds[0]:.1f} s, {cores} workers {seconds[1]:.1f} s, "
        f"{seconds[0] / seconds[1]:.2f} times"
    )


def finola() -> None:
    """FINOLA's growth of the vectors of a megapixel against one matrix product of as many operations."""
    import torch

    from finola_codec.nn.finola import Finola
    from finola_codec.nn.tile import TileFinola
    from finola_codec.profiles import FINOLA_256, FINOLA_BASE

    base, tile = Finola(FINOLA_BASE.seed_channels).eval(), TileFinola(FINOLA_256).eval()
    _finola("finola-base", base, FINOLA_BASE, (FINOLA_BASE.seed_channels, FINOLA_BASE.seed_channels), torch)
    _finola("finola-256", tile, FINOLA_256, (FINOLA_256.channels, 2 * FINOLA_256.rank), torch)


def _finola(name: str, grower: Any, profile: Any, product: tuple[int, int], torch: Any) -> None:
    """``product`` is how many inputs and outputs the products of a step have, all told."""
    side, blocks = profile.patch, max(1, round(1_000_000 / profile.block**2))
    steps = 2 * ((side - 1) + side * (side - 1)) * blocks
    seeds = torch.randn(blocks, profile.channels if name == "finola-256" else product[0])
    rows, matrix = torch.randn(steps, product[0]), torch.randn(product)
    with torch.inference_mode():
        grown = best(lambda: grower(seeds[:, None, None], side, side))
        floor = best(lambda: rows @ matrix)
    print(
        f"{name}, {blocks} blocks: {1e6 * grown / blocks:.1f} us a block; its products as one: "
        f"{1e6 * floor / blocks:.1f} us; {grown / floor:.2f} times"
    )


ALL = {f.__name__: f for f in (start, throughput, codecs, scaling, against, files, finola)}

if __name__ == "__main__":
    for name in sys.argv[1:] or ALL:
        print(f"\n{name}: {(ALL[name].__doc__ or '').splitlines()[0]}")
        ALL[name]()
    print(f"\npeak of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
