"""What stands in the repository, and what must not."""

import ast
import hashlib
import re
import subprocess
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "data_registry",
    "graph_builder",
    "encoders",
    "models",
    "variant_effect",
    "dashboards",
)
MAX_BYTES = 20 * 1000**2


@cache
def tracked_files() -> tuple[Path, ...]:
    """All files git knows here and that stand in the working tree."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    # A checkout owned by another user is still this checkout.
    names = subprocess.run(  # noqa: S603
        [  # noqa: S607
            "git",
            "-c",
            f"safe.directory={ROOT}",
            "ls-files",
            "-z",
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return tuple(
        path for name in names.split("\0") if name and (path := ROOT / name).is_file()
    )


def test_no_module_is_named_utils():
    named = [path for path in tracked_files() if {"utils", "utils.py"} & {*path.parts}]
    assert named == []


def test_no_tracked_file_is_large():
    large = [path for path in tracked_files() if path.stat().st_size > MAX_BYTES]
    assert large == []


@pytest.mark.realdata
def test_no_file_of_the_shared_data_is_tracked(shared_data):
    # Many of those files state no licence: a copy must not be passed on with the code.
    manifest = pd.read_csv(shared_data / "MANIFEST.tsv", sep="\t", dtype=str)
    foreign = set(manifest["sha256"])
    assert len(foreign) > 10
    copies = [
        path
        for path in tracked_files()
        if hashlib.sha256(path.read_bytes()).hexdigest() in foreign
    ]
    assert copies == []


def public_definitions(tree: ast.Module) -> list[ast.FunctionDef | ast.ClassDef]:
    """Public functions, classes and their public methods; not nested functions."""
    found = []
    holders: list[ast.Module | ast.ClassDef] = [tree]
    while holders:
        for node in holders.pop().body:
            if (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
                and not node.name.startswith("_")
                and not is_overload(node)
            ):
                found.append(node)
                if isinstance(node, ast.ClassDef):
                    holders.append(node)
    return found


def is_overload(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    return any(ast.unparse(name).endswith("overload") for name in node.decorator_list)


def test_public_definitions_are_found():
    tree = ast.parse("class A:\n def b(self): ...\n def _c(self): ...\ndef _d(): ...")
    assert [node.name for node in public_definitions(tree)] == ["A", "b"]


def test_every_public_function_and_class_has_a_docstring():
    bare = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            bare += [
                f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
                for node in public_definitions(ast.parse(path.read_bytes()))
                if not ast.get_docstring(node)
            ]
    assert bare == []


def shell_commands(text: str) -> list[str]:
    """The command lines of a page's indented or fenced ``sh`` blocks."""
    blocks = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", text, re.M | re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line.strip().removeprefix("$ ") for line in lines if line.strip()]


def make_targets() -> set[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):", text, re.M))


def test_the_readme_opens_with_demo_and_test():
    commands = shell_commands((ROOT / "README.md").read_text(encoding="utf-8"))
    assert [line.split("#")[0].strip() for line in commands[:2]] == [
        "make demo",
        "make test",
    ]


@pytest.mark.parametrize("page", ["README.md", "docs/install.md"])
def test_every_make_command_of_a_page_is_in_the_makefile(page):
    commands = shell_commands((ROOT / page).read_text(encoding="utf-8"))
    called = {
        word
        for line in commands
        if line.startswith("make ")
        for word in line.split("#")[0].split()[1:]
        if "=" not in word
    }
    assert called
    assert called <= make_targets()


def test_every_cisgraph_command_of_the_readme_exists():
    from dashboards.cli import app

    known = {
        command.name or command.callback.__name__.replace("_", "-")
        for command in app.registered_commands
    }
    known |= {group.name for group in app.registered_groups}
    commands = shell_commands((ROOT / "README.md").read_text(encoding="utf-8"))
    called = {
        match[1]
        for line in commands
        if (match := re.match(r"(?:\S*/)?cisgraph ([a-z][a-z-]*)", line))
    }
    assert called <= known
