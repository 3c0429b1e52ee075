"""Whether this machine can do the work: versions, optional parts, places, a self-check.

``examine`` returns a report of plain values; the command line prints it. Optional parts
are imported in processes of their own: a broken one cannot take the doctor with it, and
the registry itself never loads torch.
"""

import math
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Final, Literal

import psutil

PartState = Literal["ok", "missing", "too old", "broken"]

_PYTHONS: Final = ((3, 11), (3, 14))
_IMPORT_TIMEOUT_S: Final = 120.0
_LITTLE_DISK_BYTES: Final = 2_000_000_000
_LITTLE_MEMORY_BYTES: Final = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """One package.

    Parameters
    ----------
    name
        Name on the package index.
    required
        False for optional parts.
    version
        Installed version, ``""`` where missing.
    wanted
        The version asked for, e.g. ``">=2.4"``, ``""`` for any.
    purpose
        What an optional part is for.
    state
        Whether it can be used.
    detail
        More, e.g. ``"CPU only"``, or the error of a broken import.
    remedy
        The command that gets or mends it; ``""`` where it is in order.
    """

    name: str
    required: bool
    version: str
    wanted: str
    purpose: str
    state: PartState
    detail: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Place:
    """A folder we write to, whether that works, and the bytes free there."""

    name: str
    path: Path
    writable: bool
    free_bytes: int
    detail: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Check:
    """One piece of real work with a known answer."""

    name: str
    passed: bool
    seconds: float
    detail: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine as this process sees it, limits of its container included.

    Parameters
    ----------
    system
        Operating system and processor.
    cores
        Cores this process may use; a container's quota can be a fraction.
    memory_bytes
        Memory this process may use.
    memory_free_bytes
        What of it is free.
    """

    system: str
    cores: float
    memory_bytes: int
    memory_free_bytes: int


@dataclass(frozen=True, slots=True)
class Report:
    """All findings. ``problems`` are what stops work; ``advice`` is what may."""

    python: str
    python_path: Path
    package_version: str
    package_path: Path
    machine: Machine
    parts: tuple[Part, ...]
    places: tuple[Place, ...]
    checks: tuple[Check, ...]
    problems: tuple[str, ...]
    advice: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        """True where nothing stops work; optional parts do not count."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class _Optional:
    name: str
    module: str
    purpose: str
    remedy: str


_MODELS: Final = "pip install 'cisgraph[models]'"
_CPU_TORCH: Final = (
    "pip install torch --index-url https://download.pytorch.org/whl/cpu "
    "(with CUDA: pip install torch)"
)

OPTIONAL_PARTS: Final = (
    _Optional("torch", "torch", "sequence and graph models", _CPU_TORCH),
    _Optional("torch-geometric", "torch_geometric", "graph models", _MODELS),
    _Optional("transformers", "transformers", "published DNA language models", _MODELS),
    _Optional("safetensors", "safetensors", "saved models", _MODELS),
    _Optional("accelerate", "accelerate", "pre-training", _MODELS),
    _Optional("scikit-learn", "sklearn", "baselines and the fitted prior", _MODELS),
    _Optional("peft", "peft", "fine-tuning published models", _MODELS),
    _Optional(
        "mappy",
        "mappy",
        "relatives' genomes; held-out sequence",
        "pip install 'cisgraph[relatives]' (needs a C compiler and zlib)",
    ),
    _Optional(
        "matplotlib", "matplotlib", "pictures", "pip install 'cisgraph[pictures]'"
    ),
    _Optional(
        "semopy",
        "semopy",
        "structural equations with latent variables",
        "pip install 'cisgraph[causal]'",
    ),
    _Optional(
        "mamba-ssm",
        "mamba_ssm",
        "compiled state-space kernels; the plain ones need nothing",
        "pip install --no-build-isolation 'cisgraph[mamba]' "
        "(needs an NVIDIA GPU, CUDA torch and a compiler)",
    ),
    _Optional(
        "streamlit", "streamlit", "the dashboard", "pip install 'cisgraph[dashboard]'"
    ),
    _Optional("fastapi", "fastapi", "the HTTP API", "pip install 'cisgraph[api]'"),
    _Optional(
        "msprime", "msprime", "the demo organism", "pip install 'cisgraph[demo]'"
    ),
    _Optional(
        "anndata", "anndata", ".h5ad files", "pip install 'cisgraph[single-cell]'"
    ),
    _Optional(
        "bed-reader", "bed_reader", "PLINK panels", "pip install 'cisgraph[panels]'"
    ),
    _Optional("pgenlib", "pgenlib", "PGEN panels", "pip install 'cisgraph[panels]'"),
)


def examine(workspace: Path | None = None) -> Report:
    """Examine this installation and machine; takes some seconds.

    Parameters
    ----------
    workspace
        The workspace to test for writing; it need not exist yet.

    Returns
    -------
    Report
        Never raises for what it finds: every fault is in the report with its remedy.
    """
    machine = _see_machine()
    parts = (*_see_dependencies(), *_see_optional_parts())
    places = _see_places(workspace)
    checks = tuple(_run(name, *check) for name, check in _CHECKS.items())
    problems, advice = _sum_up(machine, parts, places, checks)
    return Report(
        python=platform.python_version(),
        python_path=Path(sys.executable),
        package_version=_version("cisgraph") or "not installed",
        package_path=Path(__file__).resolve().parents[1],
        machine=machine,
        parts=parts,
        places=places,
        checks=checks,
        problems=problems,
        advice=advice,
    )


def _sum_up(
    machine: Machine,
    parts: tuple[Part, ...],
    places: tuple[Place, ...],
    checks: tuple[Check, ...],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    problems: list[str] = []
    advice: list[str] = []
    if not _PYTHONS[0] <= sys.version_info[:2] < _PYTHONS[1]:
        problems.append(
            f"Python {platform.python_version()} is not supported: use 3.11 to 3.13"
        )
    if not _version("cisgraph"):
        problems.append(
            "cisgraph is not installed: run `pip install -e .` in its folder"
        )
    for part in parts:
        if part.state == "ok":
            continue
        said = f"{part.name} is {part.state}"
        said += f" ({part.detail})" if part.detail else ""
        if part.required:
            problems.append(f"{said}: {part.remedy}")
        elif part.state != "missing":
            advice.append(f"{said}: {part.remedy}")
    for place in places:
        if not place.writable:
            problems.append(
                f"{place.name} {place.path}: {place.detail}. {place.remedy}"
            )
        elif place.free_bytes < _LITTLE_DISK_BYTES:
            advice.append(
                f"{place.name} {place.path}: only {place.free_bytes / 1e9:.1f} GB free"
            )
    problems += [
        f"self-check {check.name} failed: {check.detail}. {check.remedy}"
        for check in checks
        if not check.passed
    ]
    if machine.memory_free_bytes < _LITTLE_MEMORY_BYTES:
        advice.append(
            f"only {machine.memory_free_bytes / 1e9:.1f} GB of memory are free: whole "
            f"genomes of more than 1 Gb may not fit"
        )
    return tuple(problems), tuple(advice)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: ``2.13.0+cpu`` is ``(2, 13, 0)``."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(n) for n in found[0].split(".")) if found else ()


def satisfies(version: str, wanted: str) -> bool:
    """Return whether a version meets bounds such as ``">=2.4,<3"``.

    Only ``>=``, ``>``, ``<=``, ``<``, ``==`` and ``!=`` of plain release numbers are
    understood, which is all our own metadata uses; missing numbers count as 0.
    """
    for bound in filter(None, (part.strip() for part in wanted.split(","))):
        found = re.fullmatch(r"(>=|<=|==|!=|>|<)\s*([\d.]+)", bound)
        if not found:
            return False
        here, there = _numbers(version), _numbers(found[2])
        width = max(len(here), len(there))
        here += (0,) * (width - len(here))
        there += (0,) * (width - len(there))
        if not {
            ">=": here >= there,
            ">": here > there,
            "<=": here <= there,
            "<": here < there,
            "==": here == there,
            "!=": here != there,
        }[found[1]]:
            return False
    return True


def _wanted_versions() -> dict[str, tuple[str, bool]]:
    """Return package name to (bounds, required) from our own metadata."""
    wanted: dict[str, tuple[str, bool]] = {}
    try:
        lines = metadata.requires("cisgraph") or []
    except metadata.PackageNotFoundError:
        return wanted
    for line in lines:
        requirement, _, marker = line.partition(";")
        found = re.match(r"([A-Za-z0-9._-]+)(\[[^\]]*\])?\s*\(?([^)]*)\)?", requirement)
        if not found or found[1] == "cisgraph":
            continue
        name = re.sub(r"[-_.]+", "-", found[1]).lower()
        if "extra" not in marker or name not in wanted:
            wanted[name] = (found[3].strip(), "extra" not in marker)
    return wanted


def _see_dependencies() -> tuple[Part, ...]:
    parts = []
    for name, (wanted, required) in sorted(_wanted_versions().items()):
        if not required:
            continue
        version = _version(name)
        state: PartState = "ok"
        if not version:
            state = "missing"
        elif not satisfies(version, wanted):
            state = "too old"
        remedy = "" if state == "ok" else f"pip install '{name}{wanted}'"
        parts.append(Part(name, True, version, wanted, "", state, "", remedy))  # noqa: FBT003
    return tuple(parts)


# What an optional part tells of itself, beyond that it can be imported.
_TELL: Final = {
    "torch": (
        "n = torch.cuda.device_count() if torch.cuda.is_available() else 0\n"
        "print(f'CUDA {torch.version.cuda}, {n} GPU: {torch.cuda.get_device_name(0)}' "
        "if n else f'built for CUDA {torch.version.cuda}, no GPU in reach' "
        "if torch.version.cuda else 'CPU only')\n"
    )
}


def _see_optional_parts() -> tuple[Part, ...]:
    wanted = _wanted_versions()

    def see(part: _Optional) -> Part:
        bounds = wanted.get(part.name, ("", False))[0]
        version = _version(part.name)
        state: PartState = "ok"
        detail = ""
        if util.find_spec(part.module) is None:
            state = "missing"
        elif version and not satisfies(version, bounds):
            state = "too old"
        else:
            code = f"import {part.module}\n{_TELL.get(part.module, '')}"
            failed, detail = try_import(code)
            state = "broken" if failed else "ok"
        remedy = "" if state == "ok" else part.remedy
        return Part(
            part.name, False, version, bounds, part.purpose, state, detail, remedy  # noqa: FBT003
        )  # fmt: skip

    with ThreadPoolExecutor(max_workers=2) as pool:
        return tuple(pool.map(see, OPTIONAL_PARTS))


def try_import(code: str) -> tuple[bool, str]:
    """Run code in a fresh Python; return whether it failed, and its last line."""
    try:
        done = subprocess.run(  # noqa: S603 - our own code, from the table above
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=_IMPORT_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return True, f"did not import within {_IMPORT_TIMEOUT_S:.0f} s"
    except OSError as error:
        return True, str(error)
    said = (done.stderr if done.returncode else done.stdout).strip().splitlines()
    last = said[-1] if said else ""
    if done.returncode < 0:
        return True, f"the process died of signal {-done.returncode}"
    return done.returncode != 0, last


def _see_machine() -> Machine:
    memory = psutil.virtual_memory()
    limit, used = _group_memory()
    if hasattr(os, "sched_getaffinity"):
        cores = float(len(os.sched_getaffinity(0)))
    else:
        cores = float(os.cpu_count() or 1)
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        cores=min(cores, _group_cores()),
        memory_bytes=int(min(memory.total, limit)),
        memory_free_bytes=int(max(0, min(memory.available, limit - used))),
    )


_GROUP: Final = Path("/sys/fs/cgroup")


def _group_memory() -> tuple[float, float]:
    """Return the control group's memory limit (inf: none) and use, in bytes."""
    limit = _read_words(_GROUP / "memory.max")
    used = _read_words(_GROUP / "memory.current")
    if not limit or not limit[0].isdigit():
        return math.inf, 0.0
    return float(limit[0]), float(used[0]) if used and used[0].isdigit() else 0.0


def _group_cores() -> float:
    """Return the control group's share of cores, inf where it sets none."""
    words = _read_words(_GROUP / "cpu.max")
    if len(words) != 2 or not all(word.isdigit() for word in words) or words[1] == "0":
        return math.inf
    return int(words[0]) / int(words[1])


def _read_words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _see_places(workspace: Path | None) -> tuple[Place, ...]:
    places = []
    if workspace is not None:
        places.append(
            see_place(
                "workspace",
                workspace,
                "Name another with --workspace, or change its owner or permissions",
            )
        )
    try:
        temporary = Path(tempfile.gettempdir())
    except OSError as error:
        remedy = "Set TMPDIR to a folder you can write to"
        where = Path(os.environ.get("TMPDIR", "/tmp"))  # noqa: S108
        places.append(Place("temporary files", where, False, 0, str(error), remedy))  # noqa: FBT003
    else:
        places.append(
            see_place(
                "temporary files", temporary, "Set TMPDIR to a folder you can write to"
            )
        )
    compiled = see_place("compiled code (numba)", numba_cache(), "")
    if not compiled.writable:
        compiled = see_place(
            "compiled code (numba)",
            Path.home() / ".cache" / "numba",
            "Set NUMBA_CACHE_DIR to a folder you can write to",
        )
    places.append(compiled)
    return tuple(places)


def numba_cache() -> Path:
    """Return where numba first tries to keep code: NUMBA_CACHE_DIR or beside it."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    return Path(named) if named else Path(__file__).resolve().parent / "__pycache__"


def see_place(name: str, path: Path, remedy: str) -> Place:
    """Try to write a file at ``path``, or where it would be made, and take it away."""
    existing = Path(path).absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    detail = "" if existing == Path(path).absolute() else f"to be made in {existing}"
    try:
        free = shutil.disk_usage(existing).free
        with tempfile.TemporaryFile(dir=existing, prefix=".cisgraph-doctor-") as file:
            file.write(b"written to see whether it works")
    except OSError as error:
        reason = error.strerror or str(error)
        return Place(name, path, False, 0, f"cannot be written ({reason})", remedy)  # noqa: FBT003
    return Place(name, path, True, free, detail, "")  # noqa: FBT003


def _run(name: str, work: Callable[[], str], remedy: str) -> Check:
    """Run one self-check: it passes where its answer is the known one."""
    began = time.perf_counter()
    try:
        wrong = work()
    except Exception as error:  # noqa: BLE001 - whatever goes wrong is the finding
        wrong = f"{type(error).__name__}: {error}"
    seconds = time.perf_counter() - began
    return Check(name, not wrong, seconds, wrong, remedy if wrong else "")


def _compare(found: object, expected: object) -> str:
    return "" if found == expected else f"{found!r} instead of {expected!r}"


def _check_consequences() -> str:
    """Run bcftools csq on one gene: ATG GCT TAA, whose GCT>GTT turns A2 into V."""
    sequence = "CCCCCATGGCTTAACCCCC"
    gene = "\n".join(
        "\t".join(fields)
        for fields in (
            ("1", "t", "gene", "6", "14", ".", "+", ".",
             "ID=gene:G1;biotype=protein_coding;Name=G1"),
            ("1", "t", "mRNA", "6", "14", ".", "+", ".",
             "ID=transcript:T1;Parent=gene:G1;biotype=protein_coding"),
            ("1", "t", "exon", "6", "14", ".", "+", ".", "Parent=transcript:T1"),
            ("1", "t", "CDS", "6", "14", ".", "+", "0",
             "ID=CDS:T1;Parent=transcript:T1"),
        )
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        (at / "t.fa").write_text(f">1\n{sequence}\n")
        (at / "t.gff").write_text(f"##gff-version 3\n{gene}\n")
        (at / "t.vcf").write_text(
            "##fileformat=VCFv4.2\n"
            f"##contig=<ID=1,length={len(sequence)}>\n"
            "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
            "1\t10\t.\tC\tT\t.\t.\t.\n"
        )
        out = at / "out.vcf"
        # In a process of its own: csq remembers its last position (a static variable).
        program = (
            "import sys, pysam.bcftools; fasta, gff, out, vcf = sys.argv[1:];"
            "pysam.bcftools.csq('-f', fasta, '-g', gff, '-o', out, vcf, "
            "catch_stdout=False)"
        )
        files = [str(at / name) for name in ("t.fa", "t.gff", "out.vcf", "t.vcf")]
        subprocess.run(  # noqa: S603
            [sys.executable, "-c", program, *files], check=True, capture_output=True
        )
        row = out.read_text().splitlines()[-1].split("\t")
    expected = "BCSQ=missense|G1|T1|protein_coding|+|2A>2V|10C>T"
    return _compare(row[7], expected)


def _check_database() -> str:
    """Write a DuckDB file, close it, and read it back."""
    import duckdb

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "t.duckdb")
        with duckdb.connect(path) as connection:
            connection.execute("CREATE TABLE t AS SELECT range AS i FROM range(10)")
        with duckdb.connect(path, read_only=True) as connection:
            row = connection.execute("SELECT sum(i * i) FROM t").fetchone()
    return _compare(int(row[0]) if row else None, 285)


def _check_compiler() -> str:
    """Compile and run one line."""
    import numba

    return _compare(numba.njit(lambda n: n * n + 1)(6), 37)


def _check_tracks() -> str:
    """Write a bigWig file and read its mean."""
    import pyBigWig

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "t.bw")
        track = pyBigWig.open(path, "w")
        track.addHeader([("1", 100)])
        track.addEntries(["1", "1"], [0, 10], ends=[10, 20], values=[1.0, 3.0])
        track.close()
        track = pyBigWig.open(path)
        mean = track.stats("1", 0, 20, exact=True)[0]
        track.close()
    return _compare(mean, 2.0)


def _reinstall(name: str) -> str:
    return f"pip install --force-reinstall {name}"


_CHECKS: Final[dict[str, tuple[Callable[[], str], str]]] = {
    "consequences (pysam bcftools csq)": (_check_consequences, _reinstall("pysam")),
    "database (duckdb)": (_check_database, _reinstall("duckdb")),
    "compiler (numba)": (_check_compiler, _reinstall("numba llvmlite")),
    "tracks (pyBigWig)": (_check_tracks, _reinstall("pyBigWig")),
}
