"""Optimisers: Muon for the matrices and convolutions, Adam for everything else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

# Learning rates relative to the configured one, by what the parameter's name contains.
RATES = {
    "log2": 5.0,  # logarithms of quantizer steps and scales start whole octaves away from where they end
    "shortcut": 0.1,  # shortcuts start at the KLT, near to where they end
    "lapped": 0.03,  # lapped shortcuts have four times the weights; early training diverges at a higher rate
    "head": 0.3,  # heads start at zero and add to the shortcut
    "finola": 0.3,  # at the full rate the recurrence blows up on a rare batch
}
BY_ADAM = ("rows", "shortcut", "lapped", "finola", "queries", "places")  # tables, and weights that must move little


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
            same: dict[torch.Size, list[nn.Parameter]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    same.setdefault(p.flatten(1).shape, []).append(p)
            for shape, params in same.items():  # all matrices of one shape at once, because most are small
                matrices = torch.stack([self._nesterov(p, group["momentum"]).flatten(1) for p in params])
                updates = orthogonalise(matrices).float() * (0.2 * max(shape) ** 0.5)
                for p, update in zip(params, updates, strict=True):
                    p.add_(update.reshape(p.shape), alpha=-group["lr"])

    def _nesterov(self, p: nn.Parameter, beta: float) -> Tensor:
        assert p.grad is not None
        state = self.state[p]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(p)
        state["momentum"].lerp_(p.grad, 1 - beta)
        return p.grad.lerp(state["momentum"], beta)


def orthogonalise(matrices: Tensor, iterations: int = 5) -> Tensor:
    """Approximate the nearest semi-orthogonal matrices (N, rows, columns), by Newton-Schulz steps in bfloat16."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.bfloat16()
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


def optimisers(model: nn.Module, lr: float) -> tuple[Optimizer, Optimizer]:
    """Muon and Adam, which share the parameters of ``model`` that are trained between them."""
    muon: dict[float, list[nn.Parameter]] = {}
    adam: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = next((r for key, r in RATES.items() if key in name), 1.0)
        chosen = adam if parameter.ndim < 2 or any(key in name for key in BY_ADAM) else muon
        chosen.setdefault(rate, []).append(parameter)
    return (
        Muon({"params": p, "lr": lr * r} for r, p in muon.items()),
        Adam([{"params": p, "lr": lr * r} for r, p in adam.items()], betas=(0.9, 0.98), fused=True),
    )
