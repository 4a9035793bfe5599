"""Runs the programs of infra/grafana/check, which use Grafana's own code in Node."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from infra.grafana.provisioning import ROOT

CHECK = ROOT / "check"

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not (CHECK / "node_modules").is_dir(),
    reason="Grafana's own code runs in Node: make dashboards installs it, and needs Node 20 with npm",
)


def run_node(program: str, *arguments: str | Path, given: object = None, codes: Sequence[int] = (0,)) -> Any:
    """Run a program, and return the JSON that it prints."""
    done = subprocess.run(
        ["node", str(CHECK / program), *map(str, arguments)],
        input=json.dumps(given), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode in codes, done.stderr[:3000]
    return json.loads(done.stdout)
