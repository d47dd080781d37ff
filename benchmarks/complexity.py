"""Multiplications a pixel of ours and of CompressAI's models, beside BD-rate on Kodak, as a Markdown table.

    python benchmarks/complexity.py kodak_eval/results/kodak/results.jsonl ../shared/reference_rd/kodak.json

COMPRESSAI names a Python that has CompressAI (docs/benchmarks.md); its models are left out otherwise. A multiplication
counts together with the addition that follows it (MAC). Convolutions and matrix products are counted, nothing else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

SIDE = 256  # pixels, a multiple of what every model wants
ENCODING = ("encoder", "hyper_encoder", "prior", "g_a", "h_a", "h_s", "context_prediction", "entropy_parameters")
DECODING = ("prior", "decoder", "h_s", "context_prediction", "entropy_parameters", "g_s")
Row = dict[str, Any]


def measure(name: str, model: nn.Module, *inputs: Tensor) -> Row:
    """Count thousands of MAC a pixel of encoding and of decoding, and millions of parameters."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(*inputs)
    kmac = {
        part.partition(".")[2]: sum(counts.values()) / 2e3 / SIDE**2
        for part, counts in counter.get_flop_counts().items()
    }
    encode, decode = (sum(kmac.get(part, 0.0) for part in parts) for parts in (ENCODING, DECODING))
    return {"name": name, "encode": encode, "decode": decode, "parameters": _millions(model)}


def _millions(model: nn.Module) -> float:
    return sum(parameter.numel() for parameter in model.parameters()) / 1e6


def ours() -> list[Row]:
    """Measure the shipped models."""
    from finola_codec.nn.restore import restore

    x, position = torch.rand(1, 3, SIDE, SIDE) - 0.5, torch.full((1,), 0.5)
    return [measure(name, restore(name), x, position) for name in ("finola-base", "finola-256")]


def theirs() -> list[Row]:
    """Measure CompressAI's models, at the widths of their lower and of their higher qualities."""
    import compressai_models  # stands in for what CompressAI would like to have
    from compressai.models import google, waseda

    assert compressai_models.MODELS
    makers: dict[str, list[Callable[[], nn.Module]]] = {
        "bmshj2018-hyperprior": [lambda: google.ScaleHyperprior(128, 192), lambda: google.ScaleHyperprior(192, 320)],
        "mbt2018-mean": [lambda: google.MeanScaleHyperprior(128, 192), lambda: google.MeanScaleHyperprior(192, 320)],
        "mbt2018 (autoregressive)": [
            lambda: google.JointAutoregressiveHierarchicalPriors(192, 192),
            lambda: google.JointAutoregressiveHierarchicalPriors(192, 320),
        ],
        "cheng2020-attn": [lambda: waseda.Cheng2020Attention(128), lambda: waseda.Cheng2020Attention(192)],
    }
    x = torch.rand(1, 3, SIDE, SIDE)
    return [measure(name, make(), x) for name, widths in makers.items() for make in widths]


def main(results: Path, published: Path) -> None:
    """Print the table."""
    from finola_codec import journal
    from finola_codec.evaluation import rd
    from finola_codec.evaluation.codecs import FinolaCodec
    from finola_codec.runtime.model import load_model

    identity = FinolaCodec(load_model("finola-base")).identity
    base = [line for line in journal.load(results) if line.get("model_sha256") == identity["model_sha256"]]
    curve, others = rd.mean_curve(base, "finola-base"), rd.load_published(published)
    rows = ours()
    if python := os.environ.get("COMPRESSAI"):
        done = subprocess.run([python, __file__, "--theirs"], check=True, capture_output=True, text=True)
        rows += json.loads(done.stdout.splitlines()[-1])
    print("| | encoding, kMAC/pixel | decoding, kMAC/pixel | parameters, M | bits of finola-base beside it |")
    print("| --- | --- | --- | --- | --- |")
    for row in rows:
        delta = rd.delta(others[row["name"]], curve) if row["name"] in others else None
        change = f"{delta.rate:+.1f} %" if delta else ""
        print(f"| {row['name']} | {row['encode']:.0f} | {row['decode']:.0f} | {row['parameters']:.1f} | {change} |")


if __name__ == "__main__":
    if sys.argv[1:] == ["--theirs"]:
        print(json.dumps(theirs()))
    else:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
