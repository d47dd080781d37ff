"""The JavaScript package's own tests, in Node."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "web"


def test_the_integer_path_in_node() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version[1:].split(".")[0]) < 20:
        pytest.skip(f"node {version.strip()} is older than 20")
    tests = sorted(str(path) for path in (WEB / "tests").glob("*.test.js"))
    done = subprocess.run([node, "--test", *tests], cwd=WEB, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-4000:]


def test_the_types_are_what_a_page_would_use() -> None:
    node, compiler = shutil.which("node"), WEB / "node_modules" / "typescript" / "bin" / "tsc"
    if node is None or not compiler.exists():
        pytest.skip("node or TypeScript is not installed: npm ci --prefix web")
    done = subprocess.run(
        [node, compiler, "-p", WEB / "tests" / "tsconfig.json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
