"""Kill `finola-codec encode` at random moments: what has the final name is always whole.

    python -m tests.fuzz.kill_encodes COUNT [MODEL]

The moments are spread over the time that an undisturbed run takes, half of them over its end, when it writes.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import skimage.data
from PIL import Image


def run(count: int, model: str, seed: int = 0) -> tuple[int, int]:
    """How many of ``count`` runs were killed before they ended, and how many left a (whole) file."""
    rng = random.Random(seed)
    killed = whole = 0
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.png"), Path(folder, "out.fin")
        Image.fromarray(skimage.data.cat()).save(source)
        command = [sys.executable, "-m", "finola_codec", "encode", str(source), str(target), "--model", model]
        began = time.monotonic()
        subprocess.run(command, check=True)
        duration = time.monotonic() - began
        expected = target.read_bytes()
        for _ in range(count):
            target.unlink(missing_ok=True)
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(duration * (rng.uniform(0.9, 1.05) if rng.random() < 0.5 else rng.random()))
            killed += process.poll() is None
            process.kill()
            process.wait()
            if target.exists():
                whole += 1
                assert target.read_bytes() == expected, "a partial file has the final name"
    return killed, whole


if __name__ == "__main__":
    number = int(sys.argv[1])
    ended_early, left = run(number, sys.argv[2] if len(sys.argv) > 2 else "finola-base")
    print(f"{number} runs, {ended_early} killed before they ended, {left} left a file, every one of them whole")
