"""The command `stocks` as a person has it: a shell with a separate state folder and ports."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from stock_assets_tests.services.fixtures import free_ports
from stock_assets_tests.services.waiting import until

PORTS = ("KAFKA_PORT", "KAFKA_CONTROLLER_PORT", "INFLUXDB_PORT", "POSTGRES_PORT", "DAGSTER_PORT", "DAGSTER_CODE_PORT")
_NOT_FROM_AROUND = ("INFLUXDB_URL", "INFLUX_TOKEN", "INFLUX_READ_TOKEN", "INFLUX_OPERATOR_TOKEN", "SOURCE")


def all_gone(processes: list[psutil.Process], seconds: float = 40) -> None:
    """None of these is left, or will be after `seconds`."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    assert alive == []


class Terminal:
    """A shell in the folder `here`."""

    def __init__(self, here: Path, home: str = ".stocks") -> None:
        ports = {name: str(port) for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True)}
        self.here, self.home = here, here / home
        self._started: list[subprocess.Popen[str]] = []
        self.environment = {name: value for name, value in os.environ.items() if name not in _NOT_FROM_AROUND}
        self.environment |= ports | {"STOCKS_HOME": home}

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        """Start `stocks` with arguments, and `more` in its environment."""
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.cli.main", *arguments], cwd=self.here, env=self.environment | more, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._started.append(process)
        return process

    def run(self, *arguments: str, **more: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of `stocks` with arguments."""
        process = self.start(*arguments, **more)
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    def up(self, **more: str) -> subprocess.Popen[str]:
        """`stocks up` without Dagster, whose start takes longer than all the rest; returns when it is ready."""
        process = self.start("up", "--source", "replay", "--no-dagster", "--json", **more)
        assert process.stdout is not None
        assert process.stderr is not None
        if not process.stdout.readline():  # the answer comes when all is ready
            pytest.fail(process.stderr.read())
        return process

    def refused(self, *arguments: str, **more: str) -> tuple[int, str]:
        """Exit code and message of a `stocks up` that can't start; nothing is left of it."""
        code, out, err = self.run(*(arguments or ("up", "--source", "replay", "--no-dagster")), **more)
        assert code != 0
        assert out == ""
        assert "Traceback" not in err
        assert self.processes() == []
        return code, err

    def close(self) -> None:
        """End what a test that failed has left running."""
        for process in self._started:
            process.kill()
            process.wait()
        until(lambda: self.processes() == [])

    def status(self) -> dict[str, object]:
        """The output of `stocks status`."""
        return dict(json.loads(self.run("status", "--json")[1]))

    def processes(self) -> list[psutil.Process]:
        """Whatever runs for this state folder."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            return any(str(self.home) in part for part in process.cmdline()) or process.cwd() == str(self.home)
        except psutil.Error:
            return False


def stop(process: subprocess.Popen[str]) -> str:
    """End a `stocks up` as Ctrl-C does, and return its standard error."""
    process.send_signal(2)
    _, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    return err


def below(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The servers of a `stocks up`, and what else runs for it."""
    found = psutil.Process(process.pid).children(recursive=True)
    assert {"java", "influxd", "postgres"} <= {child.name() for child in found}
    return found
