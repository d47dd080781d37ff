"""What an evaluation leaves behind: a summary, CSV, plots."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd

from finola_codec.errors import ConfigError
from finola_codec.evaluation import rd
from finola_codec.files import write_whole

matplotlib.use("Agg")  # draws into files and never opens a window

METRICS = ("psnr", "psnr_y", "ssim", "ms_ssim", "ssimulacra2")
COLUMNS = ("bytes", "bpp", *METRICS, "encode_s", "decode_s")
SUMMARY, CURVES = "summary.json", "curves.csv"


def write(
    records: Sequence[Mapping[str, Any]],
    out: Path,
    published: Mapping[str, list[rd.Point]],
    about: Mapping[str, str],
    log_x: bool = True,
) -> dict[str, Any]:
    """Write ``summary.json``, ``curves.csv`` and the plots, rate in logarithms or not, into ``out``.

    ``about`` has versions and options of each codec. Returns the summary. Raises :class:`ConfigError` where no picture
    could be read.
    """
    good = [r for r in records if "error" not in r]
    if not good:
        raise ConfigError("no picture could be read, so there is nothing to report")
    codecs = list(dict.fromkeys(r["codec"] for r in good))
    summary: dict[str, Any] = {
        "images": len({r["image"] for r in good}),
        "unreadable": [r for r in records if "error" in r],
        "bpp_range": rd.BPP_RANGE,
        "about": dict(about),
        "curves": {c: {m: rd.mean_curve(good, c, m) for m in METRICS} for c in codecs},
        "bd_rate": {
            m: {a: {t: _as_dict(rd.mean_delta(good, a, t, m)) for t in codecs if t != a} for a in codecs}
            for m in METRICS
        },
        "bd_rate_published": {
            name: {t: _as_dict(rd.delta(points, rd.mean_curve(good, t))) for t in codecs}
            for name, points in published.items()
        },
    }
    write_whole(out / SUMMARY, (json.dumps(summary, indent=1) + "\n").encode(), force=True)
    # Results of before SSIMULACRA2 was measured lack it.
    means = pd.DataFrame(good, columns=["codec", "setting", *COLUMNS]).groupby(["codec", "setting"], sort=False).mean()
    write_whole(out / CURVES, means.round(5).to_csv(lineterminator="\n").encode(), force=True)
    for metric in METRICS:
        _plot(summary["curves"], metric, out, published if metric == "psnr" else {}, log_x)
    return summary


def _as_dict(delta: rd.Delta | None) -> dict[str, float | None] | None:
    return None if delta is None else {k: v if v is None else round(v, 3) for k, v in vars(delta).items()}


def _plot(
    curves: Mapping[str, Any], metric: str, out: Path, published: Mapping[str, list[rd.Point]], log_x: bool
) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 6.5))
    for name, points in published.items():
        if len(points) > 1:
            axes.plot(*zip(*points, strict=True), "--", linewidth=0.8, alpha=0.6, label=f"{name} (published)")
    for name, metrics in curves.items():
        if metrics[metric]:
            axes.plot(*zip(*metrics[metric], strict=True), "o-", markersize=3, label=name)
    axes.set(xlabel="bit/pixel", ylabel=metric.upper().replace("_", "-"), xlim=(0.05 if log_x else 0, 2.5))
    axes.set_xscale("log" if log_x else "linear")
    if metric == "psnr":
        axes.set_ylim(22, 44)
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))  # beside the curves, not over them
    for suffix in ("png", "svg"):
        file = io.BytesIO()
        figure.savefig(file, format=suffix, dpi=120, bbox_inches="tight")
        write_whole(out / f"{metric}.{suffix}", file.getvalue(), force=True)
    pyplot.close(figure)
