"""Every error this platform raises on purpose.

PlatformError
    InputError                  the caller's data is wrong; fix the data
        MalformedFileError      a file cannot be read as its kind; names file, line, remedy
        ContigMappingError      too few of a file's rows lie on the assembly's contigs
        GeneMappingError        none of a file's gene names are known
        AssemblyMismatchError   two coordinates from different assemblies met
        ReferenceMismatchError  the genome disagrees with the stated alleles
        UnknownContigError      the assembly has no such contig
        OutOfBoundsError        a position lies outside its contig
        UnknownNodesError       an edge names a node the graph does not hold
        TooLargeError           an upload is larger, or expands to more, than is allowed
    WorkspaceError              the workspace is missing, locked, damaged or not writable
        MissingLayerError       the step needs a layer that is not registered yet
    NotIdentifiedError          data and assumptions do not determine the causal effect
    DownloadError               a public source could not be fetched whole
    MissingOptionalError        an optional package is needed and not installed
"""

from collections.abc import Collection
from functools import partial
from pathlib import Path


class PlatformError(Exception):
    """Base class, so a caller can catch all of ours and nothing else."""


class InputError(PlatformError, ValueError):
    """The caller's data is wrong."""


class MalformedFileError(InputError):
    """A file cannot be read as the kind it was given as.

    Parameters
    ----------
    path
        The file as the caller named it.
    problem
        What was found, in plain words.
    line
        1-based line number, where the format has lines.
    remedy
        What the caller can do about it.
    """

    def __init__(
        self,
        path: Path | str,
        problem: str,
        *,
        line: int | None = None,
        remedy: str,
    ) -> None:
        self.path, self.problem, self.line, self.remedy = path, problem, line, remedy
        where = f"{path}" if line is None else f"{path}, line {line}"
        super().__init__(f"{where}: {problem}. {remedy}")

    def __reduce__(self) -> tuple[object, ...]:
        # Pickle would call the class with the message alone; workers send errors home.
        build = partial(type(self), line=self.line, remedy=self.remedy)
        return build, (self.path, self.problem)


class ContigMappingError(InputError):
    """Too few of a file's rows lie on contigs of the assembly."""


class GeneMappingError(InputError):
    """None of a file's gene names are known to the annotation."""


class AssemblyMismatchError(InputError):
    """Two coordinates from different assemblies met."""


class ReferenceMismatchError(InputError):
    """The genome does not read the variants' reference alleles."""


class UnknownContigError(InputError):
    """The assembly has no contig of that name."""


class OutOfBoundsError(InputError):
    """A position lies outside its contig."""


class UnknownNodesError(InputError):
    """An edge names nodes the graph does not hold."""

    def __init__(self, names: Collection[str], *, of: int) -> None:
        self.names = tuple(sorted(names))
        self.of = of
        shown = ", ".join(self.names[:5])
        super().__init__(f"{len(self.names)} of {of} node names unknown, e.g. {shown}")

    def __reduce__(self) -> tuple[object, ...]:
        return partial(type(self), of=self.of), (self.names,)


class TooLargeError(InputError):
    """An upload is larger, or expands to more, than is allowed."""


class WorkspaceError(PlatformError):
    """The workspace is missing, in use by another writer, damaged or not writable."""


class MissingLayerError(WorkspaceError):
    """The step needs a layer that is not registered yet; the message says how to add it."""


class NotIdentifiedError(PlatformError):
    """Data and stated assumptions do not determine the effect; the message says why."""


class DownloadError(PlatformError):
    """A public source could not be fetched whole."""


class MissingOptionalError(PlatformError):
    """An optional package is needed; the message says how to install it."""
