"""The devices that a run trains on, through Lightning Fabric."""

from __future__ import annotations

import os

from lightning.fabric import Fabric


def connect(accelerator: str = "auto", devices: str = "auto", nodes: int = 1) -> Fabric:
    """Fabric over ``devices`` of each of ``nodes`` machines, with all of its processes started.

    Under ``torchrun`` the processes are there already, and its own counts are used.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        here, everywhere = (int(os.environ[name]) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
        devices, nodes = str(here), everywhere // here
    fabric = Fabric(accelerator=accelerator, devices=int(devices) if devices.isdigit() else devices, num_nodes=nodes)
    fabric.launch()
    return fabric
