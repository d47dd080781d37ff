"""The report as a page: one folder that works from disk, without a network."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from plotly.offline import get_plotlyjs

from finola_codec.errors import ImageError
from finola_codec.evaluation import rd
from finola_codec.evaluation.compare import at_bytes
from finola_codec.evaluation.pictures import Picture
from finola_codec.evaluation.report import METRICS
from finola_codec.evaluation.sweep import Plan
from finola_codec.files import write_whole
from finola_codec.parallel import Engine

PAGE = Path(__file__).parent / "page"
GALLERY_QUALITY = 30  # quality of our first model, whose bytes the other codecs are given

Gallery = dict[str, dict[str, dict[str, Any]]]  # picture -> codec -> file, bytes, psnr


def write(
    out: Path,
    records: Sequence[Mapping[str, Any]],
    summary: Mapping[str, Any],
    published: Mapping[str, list[rd.Point]],
    gallery: Gallery,
) -> None:
    """Write ``index.html`` and what it needs into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    codecs = list(summary["curves"])
    ours = codecs[0]
    data = {
        "images": sorted({r["image"] for r in records if "error" not in r}),
        "metrics": METRICS,
        "curves": summary["curves"],
        "published": {name: points for name, points in published.items() if len(points) > 1},
        "about": summary["about"],
        "bdRate": {
            metric: {anchor: rates[ours] and rates[ours]["rate"] for anchor, rates in anchors.items() if anchor != ours}
            for metric, anchors in summary["bd_rate"].items()
        },
        "gains": _gains(records, ours, codecs[1:]),
        "gallery": gallery,
        "ours": ours,
    }
    for path in PAGE.iterdir():
        write_whole(out / path.name, path.read_bytes(), force=True)
    write_whole(out / "plotly.min.js", get_plotlyjs().encode(), force=True)
    write_whole(out / "data.js", f"const DATA = {json.dumps(data)};\n".encode(), force=True)


def make_gallery(out: Path, pictures: Sequence[Picture], plan: Plan, engine: Engine) -> Gallery:
    """Write every picture as each codec gives it at the bytes of our first model into ``out/images``."""
    (out / "images").mkdir(parents=True, exist_ok=True)
    with closing(engine.map(partial(_decode_all, out, plan, engine.threads), enumerate(pictures))) as made:
        return {name: files for name, files in made if files}


def _decode_all(out: Path, plan: Plan, threads: int, job: tuple[int, Picture]) -> tuple[str, dict[str, dict[str, Any]]]:
    from finola_codec.evaluation.metrics import measure

    index, picture = job
    try:
        original = picture.read(plan.resize, plan.crop)
    except ImageError:  # the sweep has reported it
        return picture.name, {}
    codecs = plan.open(threads)
    size = len(codecs[0].encode(original, GALLERY_QUALITY))
    files: dict[str, dict[str, Any]] = {"original": {"file": f"images/{index}-original.webp"}}
    _save(original, out / files["original"]["file"])
    for codec in codecs:
        data = at_bytes(codec, original, size)
        decoded = codec.decode(data)
        file = f"images/{index}-{codec.name}.webp"
        _save(decoded, out / file)
        files[codec.name] = {"file": file, "bytes": len(data), "psnr": measure(original, decoded)["psnr"]}
    return picture.name, files


def _save(picture: Image.Image, path: Path) -> None:
    file = io.BytesIO()
    picture.save(file, "WEBP", lossless=True)
    write_whole(path, file.getvalue(), force=True)


def _gains(
    records: Sequence[Mapping[str, Any]], ours: str, others: Sequence[str]
) -> dict[str, dict[str, float | None]]:
    points = rd.by_image(r for r in records if "error" not in r)
    found: dict[str, dict[str, float | None]] = {}
    for other in others:
        deltas = {i: rd.delta(anchor, points[ours].get(i, [])) for i, anchor in points[other].items()}
        found[other] = {i: None if d is None else round(d.rate, 2) for i, d in deltas.items()}
    return found
