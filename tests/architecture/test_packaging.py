"""What a wheel holds, and that the core runs without the optional parts."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from .test_repository import PACKAGES, ROOT, tracked_files

OPTIONAL = (
    "accelerate",
    "altair",
    "anndata",
    "bed_reader",
    "dagster",
    "fastapi",
    "dowhy",
    "mamba_ssm",
    "mappy",
    "matplotlib",
    "msprime",
    "optuna",
    "peft",
    "pgenlib",
    "playwright",
    "safetensors",
    "semopy",
    "sklearn",
    "st_link_analysis",
    "starlette",
    "streamlit",
    "tokenizers",
    "torch",
    "torch_geometric",
    "transformers",
    "uvicorn",
    "wordcloud",
)
# A part of ours that exists for one optional library may ask for it when imported.
NEEDS_ITS_EXTRA = ("dashboards.app", "graph_builder.orchestration", "dashboards.api")

IMPORT_ALL = """
import importlib, pkgutil, sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {optional!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        return None

sys.meta_path.insert(0, Absent())
done = []
for package in {packages!r}:
    found = importlib.import_module(package)
    names = [m.name for m in pkgutil.walk_packages(found.__path__, package + ".")]
    for name in [package, *names]:
        if not name.startswith({skipped!r}) and not name.endswith("__main__"):
            importlib.import_module(name)
            done.append(name)
print(len(done))
"""


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory) -> set[str]:
    """The names inside a wheel built from this tree."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(  # noqa: S603
        [
            sys.executable,
            "-c",
            "import sys, hatchling.build as h; h.build_wheel(sys.argv[1])",
            str(folder),
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_holds_every_tracked_file_of_our_packages(wheel_names):
    ours = {
        path.relative_to(ROOT).as_posix()
        for path in tracked_files()
        if path.relative_to(ROOT).parts[0] in PACKAGES
    }
    assert "data_registry/catalogue.toml" in ours
    assert ours - wheel_names == set()


def test_the_wheel_holds_nothing_but_our_packages(wheel_names):
    tops = {Path(name).parts[0] for name in wheel_names}
    (metadata,) = (name for name in tops if name.endswith(".dist-info"))
    assert tops - {metadata} <= set(PACKAGES)
    assert f"{metadata}/licenses/LICENSE" in wheel_names


def test_everything_but_models_and_encoders_imports_without_the_optional_parts():
    # Scoring must not need torch, and no extra may be needed before it is used.
    packages = ("data_registry", "graph_builder", "variant_effect", "dashboards")
    code = IMPORT_ALL.format(
        optional=OPTIONAL, packages=packages, skipped=NEEDS_ITS_EXTRA
    )
    result = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert int(result.stdout) > 50


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_has_an_init_file_that_says_what_it_owns(package):
    # An importable folder without one would be a namespace package, and left untyped.
    first = (ROOT / package / "__init__.py").read_text(encoding="utf-8")
    assert first.startswith('"""')
