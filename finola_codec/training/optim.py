"""Optimisers: Muon for the matrices and convolutions, Adam for everything else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from finola_codec.nn.model import Codec

# Learning rates relative to the configured one, by what the parameter's name contains.
RATES = {
    "log2": 5.0,  # logarithms of steps and scales: whole octaves from where they should end
    "shortcut": 0.1,  # starts at the KLT, where it nearly belongs
    "head": 0.3,  # starts at zero and adds to the shortcut
    "finola": 0.3,  # at the full rate the recurrence blows up on a rare batch
}
BY_ADAM = ("rows", "shortcut", "finola")  # tables, and what must move little


class Muon(Optimizer):
    """Momentum, orthogonalised: the update of a matrix has singular values near one.

    A convolution is taken as the matrix (out, in * kernel^2). The update is scaled to the root mean square
    that Adam's would have, so Adam's learning rates serve here. (Jordan et al. 2024; the scaling is that of Liu
    et al. 2025, "Muon is scalable for LLM training".)
    """

    def __init__(self, groups: Iterable[dict[str, Any]], momentum: float = 0.95) -> None:
        super().__init__(groups, {"lr": 0.0, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                momentum.lerp_(p.grad, 1 - group["momentum"])
                matrix = p.grad.lerp(momentum, group["momentum"]).flatten(1)  # Nesterov's
                update = orthogonalise(matrix) * (0.2 * max(matrix.shape) ** 0.5)
                p.add_(update.reshape(p.shape).to(p.dtype), alpha=-group["lr"])


def orthogonalise(matrix: Tensor, iterations: int = 5) -> Tensor:
    """Roughly the nearest semi-orthogonal matrix, by a quintic Newton-Schulz iteration in bfloat16."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


def optimisers(codec: Codec, lr: float) -> tuple[Optimizer, Optimizer]:
    """Muon and Adam, which share the parameters of ``codec`` between them."""
    muon: dict[float, list[nn.Parameter]] = {}
    adam: dict[float, list[nn.Parameter]] = {}
    for name, parameter in codec.named_parameters():
        rate = next((r for key, r in RATES.items() if key in name), 1.0)
        chosen = adam if parameter.ndim < 2 or any(key in name for key in BY_ADAM) else muon
        chosen.setdefault(rate, []).append(parameter)
    return (
        Muon({"params": p, "lr": lr * r} for r, p in muon.items()),
        Adam([{"params": p, "lr": lr * r} for r, p in adam.items()], betas=(0.9, 0.98), fused=True),
    )
