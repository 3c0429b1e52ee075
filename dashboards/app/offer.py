"""What one dashboard process shows: workspaces by name, and the score files of each.

A page's address names a workspace and a result; it never holds a path. Names are looked
up here, so nothing outside of what the command line named can be opened.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dashboards.jobs import Job, list_jobs
from data_registry.errors import InputError
from data_registry.workspace import Workspace, require_file


@dataclass(frozen=True, slots=True)
class Result:
    """A Parquet file of scores; ``name`` is what addresses and menus call it."""

    name: str
    path: Path

    @property
    def stamp(self) -> tuple[str, int, int]:
        """Changes whenever the file does: a key for caches."""
        state = self.path.stat()
        return str(self.path), state.st_mtime_ns, state.st_size


@dataclass(frozen=True, slots=True)
class Offer:
    """The workspaces by name, and score files that lie outside of them."""

    workspaces: Mapping[str, Path]
    extra: tuple[Path, ...] = ()

    def workspace(self, name: str | None) -> tuple[str, Path]:
        """Return the workspace of that name; without a name, the first.

        Raises
        ------
        InputError
            There is none of that name here.
        """
        chosen = next(iter(self.workspaces)) if name is None else name
        if chosen not in self.workspaces:
            raise InputError(
                f"this dashboard shows no workspace {chosen!r}; it shows: "
                f"{', '.join(self.workspaces)}"
            )
        return chosen, self.workspaces[chosen]

    def results(self, workspace: Path) -> list[Result]:
        """Return the score files of a workspace, newest first, then the extra ones."""
        found = [
            Result(path.relative_to(workspace / "scores").as_posix(), path)
            for path in (workspace / "scores").glob("**/*.parquet")
        ]
        found += [
            Result(job_result_name(job), job.folder / output.name)
            for job in list_jobs(workspace)
            for output in job.outputs
            if job.state == "finished" and output.name.endswith(".parquet")
        ]
        present = [result for result in found if result.path.is_file()]
        present.sort(key=lambda result: result.path.stat().st_mtime, reverse=True)
        return present + [Result(path.name, path) for path in self.extra]

    def result(self, workspace: Path, name: str | None) -> Result | None:
        """Return the score file of that name; without a name, the first there is.

        Raises
        ------
        InputError
            There is none of that name.
        """
        results = self.results(workspace)
        if name is None:
            return results[0] if results else None
        for result in results:
            if result.name == name:
                return result
        known = ", ".join(result.name for result in results) or "none"
        raise InputError(f"there is no result {name!r} here; there are: {known}")


def job_result_name(job: Job) -> str:
    """Return what the result of a job is called: the file's name first."""
    return f"{job.request.name}, job {job.id}"


_current: Offer | None = None


def publish(workspaces: Sequence[Path], extra: Sequence[Path] = ()) -> Offer:
    """Say what this process shows, once, before the first page.

    Raises
    ------
    WorkspaceError, MalformedFileError
        A folder is no workspace, or a score file cannot be read.
    """
    global _current
    named: dict[str, Path] = {}
    for path in workspaces:
        Workspace(path).require()
        whole = path.resolve()
        name = whole.name
        # Folders of one name are told apart by the folder they lie in.
        while name in named:
            name = f"{whole.parent.name}-{name}"
        named[name] = whole
    _current = Offer(named, tuple(require_file(path) for path in extra))
    return _current


def current() -> Offer:
    """Return what this process shows.

    Raises
    ------
    InputError
        Nothing was published: the pages were started by hand.
    """
    if _current is None:
        raise InputError(
            "no workspace was named; start the pages with 'cisgraph dashboard -w DIR'"
        )
    return _current
