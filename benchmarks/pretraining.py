"""The methods of pre-training beside each other: equal steps, the same crops, and what their features are worth.

    python benchmarks/pretraining.py CACHE PROBE OUT [RESULTS]

trains what is not in the CSV file RESULTS yet (benchmarks/pretraining.csv by default), adds a row for every figure, and
prints the tables of docs/pretraining.md. CACHE is a folder of decoded pixels, as `train --cache` leaves it, PROBE a
folder of classes, OUT the folder for the runs. Where RESULTS has everything, nothing is trained.
"""

from __future__ import annotations

import csv
import functools
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from finola_codec.pretraining import probe as probing
from finola_codec.pretraining.config import PretrainConfig
from finola_codec.pretraining.method import Method
from finola_codec.pretraining.methods import build, load, load_encoder, start
from finola_codec.training import codec
from finola_codec.training.config import TrainConfig, with_settings
from finola_codec.training.data import Pictures
from finola_codec.training.loop import Trainer

RESULTS = Path(__file__).with_suffix(".csv")
COLUMNS = ("variant", "what", "seed", "value")
STEPS, SEEDS = 300, 3
VARIANTS: dict[str, tuple[str, ...]] = {  # name to the method and what is set
    "masked-finola-b": ("masked-finola-b",),
    "finola": ("finola",),
    "masked-finola-e": ("masked-finola-e",),
    "masked-finola-b, linear decoder": ("masked-finola-b", "decoder_depth=0"),  # against QB-Heat: the norm's share
    "qb-heat": ("qb-heat",),
    "itpn": ("itpn",),
    "fast-itpn": ("fast-itpn",),
    "masked image modelling": ("itpn", "pyramid=false", "feature_weight=0"),
}
UNTRAINED = ("finola", "itpn", "fast-itpn", "masked image modelling")  # the four encoders, or ways to read features
BRIDGE = (  # finola-256 at a size that trains in minutes
    "steps=400",
    "held_out=16",
    "batch=4",
    "cooldown=0.5",
    "ema=0.97",
    "threads=1",
    "profile=finola-256",
    "profile.encoder=mobile-former",
    "profile.mobile_former_width=0.2",
    "profile.decoder_widths=[96, 64, 48]",
    "profile.decoder_depths=[1, 1, 1]",
)
BRIDGES = {"fresh": None, "from masked-finola-b": "masked-finola-b"}  # name to the variant
SILENT = ", without the encoder's network"
Figure = tuple[str, int, float]  # what, the seed of the probe, the value


def main(cache: Path, data: Path, out: Path, results: Path = RESULTS) -> None:
    """Measure what is missing, then print."""
    for name in VARIANTS:
        if name not in _figures(results):
            _add(results, name, _measured(name, cache, data, out))
    for name, variant in BRIDGES.items():
        if name not in _figures(results):
            _add(
                results, name, _bridged(cache, out / f"bridge-{name.replace(' ', '-')}", variant and _run(out, variant))
            )
    print(_tables(_figures(results)))


def _run(out: Path, name: str) -> Path:
    return out / name.replace(",", "").replace(" ", "-")


def _measured(name: str, cache: Path, data: Path, out: Path) -> Iterator[Figure]:
    method_name, *settings = VARIANTS[name]
    config = with_settings(PretrainConfig(method=method_name, steps=STEPS, threads=1), settings)
    run = _run(out, name)
    trainer = start(config, run, Pictures.open(cache, config.held_out))
    yield "loss before", 0, trainer.validate()[0]["loss"]
    _train(trainer)
    after = trainer.validate()[0]
    yield "loss", 0, after["loss"]
    yield "psnr", 0, after["psnr"]
    yield "seconds", 0, trainer.seconds
    method, _ = load(run)
    yield "gflop", 0, probing.flops(method, config.crop) / 1e9
    yield from _probed(method, config, data, "")
    if name in UNTRAINED:
        torch.manual_seed(config.seed)
        yield from _probed(build(config).eval(), config, data, ", untrained")


def _train(trainer: Trainer) -> None:
    if signal := trainer.train():  # a run that was interrupted is not measured
        sys.exit(128 + signal)


def _probed(method: Method, config: PretrainConfig, data: Path, suffix: str) -> Iterator[Figure]:
    train, test = (probing.split(method, *_read(data / part, config.crop)) for part in ("train", "test"))
    for seed in range(SEEDS):
        for found in probing.probe(train, test, seed):
            yield f"{found.probe}{suffix}", seed, 100 * found.test
            yield f"{found.probe}{suffix}, on train", seed, 100 * found.train


@functools.cache
def _read(part: Path, side: int) -> tuple[Tensor, probing.Labels]:
    return probing.read(part, probing.class_names(part.parent), side)


def _bridged(cache: Path, run: Path, pretrained: Path | None) -> Iterator[Figure]:
    config = with_settings(TrainConfig(), BRIDGE)
    trunk = load_encoder(pretrained) if pretrained else None
    pictures = replace(Pictures.open(cache, config.held_out), held_out_graphics={})
    trainer = codec.start(config, run, pictures, trunk=trunk)
    _train(trainer)
    yield from _rated(trainer, "")
    with torch.no_grad():
        for parameter in trainer.ema.get_submodule("encoder.pool.head").parameters():
            parameter.zero_()  # as it starts: the linear transform is left
    yield from _rated(trainer, SILENT)


def _rated(trainer: Trainer, suffix: str) -> Iterator[Figure]:
    for row in trainer.validate():
        for what in ("loss", "bpp", "psnr"):
            yield f"{what} at {row['position']}{suffix}", 0, float(row[what])


def _add(results: Path, name: str, figures: Iterable[Figure]) -> None:
    rows = [(name, what, seed, f"{value:.6g}") for what, seed, value in figures]
    is_new = not results.exists()
    with results.open("a", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows] if is_new else rows)


def _figures(results: Path) -> dict[str, dict[str, list[float]]]:
    """Variant to what was measured to its values, one for each seed."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in csv.DictReader(results.open()) if results.exists() else ():
        found.setdefault(row["variant"], {}).setdefault(row["what"], []).append(float(row["value"]))
    return found


def _tables(figures: dict[str, dict[str, list[float]]]) -> str:
    lines = ["| method | loss before | loss | PSNR, dB | linear, % | tran-1, % | MFLOP | s |", "| --- " * 8 + "|"]
    for name in VARIANTS:
        values = figures[name]
        (before,), (loss,), (psnr,), (seconds,), (gflop,) = (
            values[what] for what in ("loss before", "loss", "psnr", "seconds", "gflop")
        )
        probes = " | ".join(_spread(values[what]) for what in (probing.LINEAR, probing.TRAN_1))
        lines.append(
            f"| {name} | {before:.2f} | {loss:.3f} | {psnr:.2f} | {probes} | {1000 * gflop:.0f} | {seconds:.0f} |"
        )
        if name in UNTRAINED:
            probes = " | ".join(_spread(values[f"{what}, untrained"]) for what in (probing.LINEAR, probing.TRAN_1))
            lines.append(f"| {name}, untrained | | | | {probes} | | |")
    lines += ["", f"| encoder of finola-256 | mean loss | the same{SILENT} | bit/pixel and PSNR by position |"]
    lines += ["| --- " * 4 + "|"]
    for name in BRIDGES:
        values = figures[name]
        positions = codec.VALIDATION_POSITIONS
        losses, bpps, psnrs = ([values[f"{what} at {p}"][0] for p in positions] for what in ("loss", "bpp", "psnr"))
        silent = [values[f"loss at {p}{SILENT}"][0] for p in positions]
        points = "; ".join(f"{bpp:.3f}, {psnr:.2f} dB" for bpp, psnr in zip(bpps, psnrs, strict=True))
        lines.append(f"| {name} | {fmean(losses):.4f} | {fmean(silent):.4f} | {points} |")
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    """Return the mean and how far the seeds lie apart."""
    return f"{fmean(values):.1f} ({min(values):.1f} to {max(values):.1f})"


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
