"""What a benchmark ran on: processor, memory, versions, commit."""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "cisgraph", "numpy", "pandas", "pyarrow", "duckdb", "pysam", "cyvcf2", "numba",
    "scipy", "cooler", "pyBigWig", "biopython", "torch", "transformers", "scikit-learn", "mappy",
)  # fmt: skip

Value = str | int | float | bool | None | dict[str, str]


def describe_machine() -> dict[str, Value]:
    """Return processor, cores, memory (GiB), system, versions and git commit.

    ``load_average`` is over the last minute: above the number of cores, times are
    longer than they need be. What is not to be had is None.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": len(affinity(0)) if affinity else os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": sys.version.split()[0],
        "packages": _versions(),
        "git_commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "-uno")),
    }


def _cpu_model() -> str | None:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or None


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603
            ["git", *arguments],  # noqa: S607
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


class PeakMemory:
    """Peak resident memory of this process since the last ``reset``, in MiB.

    Linux forgets the old peak on request; elsewhere the peak is since the start.
    """

    def __init__(self) -> None:
        self.resets = self.reset()

    def reset(self) -> bool:
        """Start again from what is resident now; False where that cannot be done."""
        try:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        except OSError:
            return False
        return True

    def read(self) -> float:
        """Return the peak in MiB."""
        status = Path("/proc/self/status")
        if self.resets and status.is_file():
            for line in status.read_text(encoding="utf-8").splitlines():
                if line.startswith("VmHWM:"):
                    return round(int(line.split()[1]) / 2**10, 1)
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
