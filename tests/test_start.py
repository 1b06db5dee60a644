"""How long it takes until something answers; processor time, so that busy machines do not
matter.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

resource = pytest.importorskip("resource")


def seconds(code: str) -> float:
    """Processor time of a process, the best of three."""
    cpu_s = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, env=environment
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(cpu_s)


def test_importing_takes_less_than_0_3_seconds() -> None:
    assert seconds("import dolorim") - seconds("pass") < 0.3


def test_help_takes_less_than_a_second() -> None:
    assert seconds("from dolorim.cli import main; main(['--help'])") < 1
