"""The model card of an exported run."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from finola_codec.nn.model import Codec
from finola_codec.training.config import CONFIG
from finola_codec.training.files import COUNT, EFFORT, SIDE
from finola_codec.training.logs import VALIDATION

HELD_OUT = f"""Real files of at most {COUNT} held-out pictures, photographs and graphics alike, cut to {SIDE} x {SIDE}
pixels, at effort {EFFORT} and without a lossless layer. They compare weights; `finola-codec eval` compares codecs.
Mean of per-picture values:"""


def model_card(
    run: Path, name: str, codec: Codec, step: int, licence: str = "", files: str = "", before: str = ""
) -> str:
    """Return what a model is, how it was trained and how it does on its held-out pictures, as Markdown.

    ``files`` is a table of what its files are worth, if they have been measured. ``before`` is the card of the model of
    which only the decoder has been trained further, if so.
    """
    config = json.loads((run / CONFIG).read_text())
    parts = ((part, sum(p.numel() for p in module.parameters())) for part, module in codec.named_children())
    sizes = ", ".join(f"{part} {count / 1e6:.2f} M" for part, count in parts)
    origin = f"It continues {config['origin']}. " if config.get("origin") else ""
    origin += "Only its decoder was trained, on crops as that model really codes them. " if before else ""
    return f"""# {name}

A finola-codec model: profile `{codec.profile.name}`, {step} training steps of {config["batch"]} crops of
{config["crop"]} x {config["crop"]} pixels, averaged weights. Parameters: {sizes}.

Loss: bpp + lambda 255^2 MSE (RGB), lambda from {codec.profile.lambda_min} (quality 1) to {codec.profile.lambda_max}
(quality 100). {origin}Licence: {licence or "not given"}.

{_files(files)}{_held_out(run / VALIDATION, "real" if before else "estimated")}
{_before(before)}"""


def tuned_card(card: str, run: Path, tune: str, step: int, files: str = "") -> str:
    """Return the ``card`` of a model with what its encoder for ``tune`` is, in the place of what it said of one."""
    config = json.loads((run / CONFIG).read_text())
    start = f"## The encoder for {tune}"
    return f"""{card.split(start)[0].rstrip()}

{start}

{step} training steps of {config["batch"]} crops of {config["crop"]} x {config["crop"]} pixels in front of the same
prior and decoder; averaged weights.

{_files(files)}"""


def _before(card: str) -> str:
    text = card.partition("\n")[2].strip()  # without its title
    return f"\n## Before the decoder was trained alone\n\n{text}\n" if card else ""


def _files(table: str) -> str:
    return f"{HELD_OUT}\n\n{table}\n\n" if table else ""


def _held_out(path: Path, bits: str) -> str:
    rows = list(csv.DictReader(path.open())) if path.exists() else []
    if not rows:
        return "There is no record of its performance on held-out pictures."
    last = [r for r in rows if r["step"] == rows[-1]["step"]]
    lines = [
        f"| {r['kind']} | {1 + 99 * float(r['position']):.0f} | {float(r['bpp']):.3f} | {float(r['psnr']):.2f} |"
        for r in last
    ]
    table = "\n".join([f"| pictures | quality | bit/pixel ({bits}) | PSNR, dB |", "| --- | --- | --- | --- |", *lines])
    return f"On held-out training pictures, at step {rows[-1]['step']}:\n\n{table}"
