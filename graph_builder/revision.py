"""One rebuild of a workspace: from what came in to a new version, or the reason why not.

The work is done in a version of its own (``data_registry.versions``), so readers see the
old state until one rename shows them the new one. Every step can be repeated: files that
are registered are not registered again, graph types that did not change are taken over,
scores are resumed by chunk. A killed rebuild is therefore picked up by running it again;
what is done is found done.

What comes after the graph are commands of packages to the right, listed in
``rebuild_steps.toml`` and run as processes of their own.
"""

import ctypes
import json
import signal
import subprocess
import sys
import time
import tomllib
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib import resources
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any, Final

from data_registry.errors import (
    DownloadError,
    InputError,
    MissingLayerError,
    MissingOptionalError,
    WorkspaceError,
)
from data_registry.recipes import ORDER
from data_registry.remote_changes import Asked, ask_publishers, fetch_again
from data_registry.store import Source, Store, open_store
from data_registry.versions import Version, Versions, locked
from data_registry.workspace import sha256_of, written_beside
from graph_builder.build import build_graph, digest_code
from graph_builder.inbox import SETTLED_S, Dropped, Ledger, Look, look_into, quarantine
from graph_builder.manifest import current_graph, digest_json, read_manifest
from graph_builder.parameters import BuildParameters
from graph_builder.rebuild_facts import (
    Report,
    compare_graph_folders,
    compare_sources,
    find_falls,
    read_moved,
)
from graph_builder.rebuild_report import write_report
from graph_builder.rebuild_settings import Settings, read_settings

Tell = Callable[[str], None]

STEPS_FILE: Final = "rebuild_steps.toml"
MAX_ALONE: Final = 8
"""So many sources at most are tried alone, to say which one moved a variant."""
OTHER_CHANGES: Final = "settings, models or program"

_REFUSED = (InputError, MissingLayerError, MissingOptionalError)
_LAST_LINES: Final = 8
_DEATH_SIGNAL: Final = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>


@dataclass(frozen=True, slots=True)
class Plan:
    """What the caller asks for.

    Parameters
    ----------
    inbox
        Folder to take files from; None: from none.
    settled_s
        Seconds that a file of the inbox must have lain unchanged.
    ask_remote
        Ask publishers of fetched sources whether their files have changed.
    mirror
        As ``data_registry.download.mirror_url``.
    accept_falls
        Publish although a figure falls by more than its interval.
    rescore_all
        Go through with it although nothing came in.
    """

    inbox: Path | None = None
    settled_s: float = SETTLED_S
    ask_remote: bool = True
    mirror: str = ""
    accept_falls: bool = False
    rescore_all: bool = False


def rebuild(path: Path, plan: Plan, tell: Tell) -> Report:
    """Rebuild a workspace once.

    Parameters
    ----------
    path
        The workspace.
    tell
        Called with a short sentence as each step begins.

    Returns
    -------
    Report
        ``published``, ``held`` (the gate is closed; the version is kept beside),
        ``failed`` (the new state cannot be built; nothing has changed) or ``unchanged``.

    Raises
    ------
    WorkspaceError
        Another rebuild runs, or the workspace cannot be read or written. What was done
        is picked up by the next call.
    InputError
        Settings or inbox are not usable.
    """
    with locked(path) as lock:
        return Revision(path, plan, tell, lock).run()


@dataclass(slots=True)
class Revision:
    """One rebuild, step by step. Whoever calls a step holds the lock.

    Parameters
    ----------
    lock
        File descriptor of the lock, for the processes that steps start.
    """

    path: Path
    plan: Plan
    tell: Tell
    lock: int
    versions: Versions = field(init=False)
    settings: Settings = field(init=False)
    ledger: Ledger = field(init=False)
    report: Report = field(init=False)

    def __post_init__(self) -> None:
        self.versions = Versions(self.path)
        self.settings = read_settings(self.path)
        self.ledger = Ledger.read(self.versions.rebuild / "inbox.json")
        self.report = Report(self.path.resolve().name, started=_now())

    def run(self) -> Report:
        """Do all steps."""
        began = time.perf_counter()
        base = self.recover()
        self.report.version_before = base.name
        look, asked = self.look(base)
        if not self.has_work(base, look, asked):
            return self.report
        version: Version | None = None
        try:
            version = self.take(look, asked)
            if version is not None:
                version = self._build_without_bad_files(version, look, asked)
            if version is not None:
                for name in later_steps():
                    self.do_later(version, name)
                self.explain(version)
                self.report.seconds = round(time.perf_counter() - began, 1)
                self.conclude(version)
                return self.report
        except _REFUSED as error:
            self.report.status, self.report.reason = "failed", str(error)
            # Begun afresh by the next run: what was registered may be the cause.
            for one in self.versions.all():
                if one.state == "building":
                    self.versions.discard(one)
        self.report.seconds = round(time.perf_counter() - began, 1)
        if self.report.has_news:
            self._write_report(self.report.as_data(), self.report.started)
        return self.report

    # -- what there is to do -----------------------------------------------------------

    def recover(self) -> Version:
        """Finish what a killed run had decided; return the version in use."""
        self.versions.clear_leftovers()
        base = self.versions.adopt()
        for version in self.versions.all():
            if version.state == "complete":
                base = self._finish(version)
        return base

    def look(self, base: Version) -> tuple[Look, list[Asked]]:
        """Find what is new in the inbox and at the publishers."""
        look = Look()
        if self.plan.inbox is not None:
            look = look_into(
                self.plan.inbox, self.ledger, settled_s=self.plan.settled_s
            )
        self.report.waiting = dict(look.waiting)
        asked: list[Asked] = []
        if self.plan.ask_remote:
            with open_store(base.folder) as store:
                asked = ask_publishers(store, mirror=self.plan.mirror)
        # What was held back or rolled back is not fetched again until it changes again.
        set_aside = {
            (key, reason)
            for version in self.versions.all()
            if version.state in ("held", "withdrawn")
            for key, reason in version.details.get("remote", {}).items()
        }
        news = [a for a in asked if (a.source.key, a.reason) not in set_aside]
        self.report.remote = [
            {"source": a.source.key, "reason": a.reason,
             "answer": a.change if a in news else f"{a.change}, and set aside"}
            for a in asked
        ]  # fmt: skip
        return look, news

    def has_work(self, base: Version, look: Look, asked: list[Asked]) -> bool:
        """Whether anything differs from what the version in use was made of."""
        if look.news or any(one.is_new for one in asked) or self.plan.rescore_all:
            return True
        if any(version.state == "building" for version in self.versions.all()):
            return True
        wanted = self._wanted(base)
        if base.details.get("wanted") == wanted:
            return False
        # A version made of the same and held back is not made again.
        return not any(
            version.state in ("held", "withdrawn")
            and version.base == base.number
            and version.details.get("wanted") == wanted
            for version in self.versions.all()
        )

    def _wanted(self, version: Version) -> str:
        """Digest what decides a version's results, but for what has come in."""
        return digest_json(
            {
                "settings": self.settings.as_data(),
                "program": [package_version("cisgraph"), digest_code()],
                "state": _content_of(version),
            }
        )

    # -- taking in ---------------------------------------------------------------------

    def take(self, look: Look, asked: list[Asked]) -> Version | None:
        """Register what came in, in a version of its own; None where nothing is left."""
        began = time.perf_counter()
        version, picked_up = self.versions.begin()
        self.report.picked_up |= picked_up
        if picked_up:
            self.tell(f"picking up version {version.name}, which was left half done")
        base = self.versions.current()
        if base is None:
            raise WorkspaceError(f"{self.path / 'current'} has gone; run again")
        # What was refused by an earlier try of this run stays in its report.
        details: dict[str, Any] = {
            "files": {}, "remote": {}, "refused": list(self.report.refused),
            **version.details,
        }  # fmt: skip
        self.report.refused = details["refused"]
        with open_store(version.folder, write=True) as store:
            bad = {one.get("digest") for one in details["refused"]}
            for dropped in sorted(look.news, key=_rank):
                if dropped.digest not in bad:
                    self._take_one(store, version, dropped, details)
            for one in asked:
                if one.is_new:
                    self._fetch_one(store, base, one, details)
        self._compare_sources(base, version)
        self._note_step("register", began)
        changed = bool(self.report.came_in)
        if not changed and not self.plan.rescore_all and (
            base.details.get("wanted") == self._wanted(base)
        ):  # fmt: skip
            self._move_refused(version, details)
            self.ledger.note(details["files"], "no change")
            self.versions.discard(version)
            self.report.reason = "nothing that came in changes anything"
            return None
        version = self.versions.mark(version, "building", details)
        self._move_refused(version, details)
        return version

    def _compare_sources(self, base: Version, version: Version) -> None:
        with open_store(base.folder) as store:
            before = store.sources()
        with open_store(version.folder) as store:
            self.report.came_in = compare_sources(before, store.sources())

    def _take_one(
        self, store: Store, version: Version, dropped: Dropped, details: dict[str, Any]
    ) -> None:
        name = dropped.path.name
        self.tell(f"registering {name}")
        try:
            if dropped.fault:
                raise InputError(dropped.fault)
            known = {source.name: source for source in store.sources()}
            earlier = known.get(dropped.source)
            is_bare = not (dropped.kind or dropped.options or dropped.columns)
            # A newer file of a known name is read as the older one was.
            like = earlier if is_bare else None
            store.add(
                dropped.path,
                kind=like.kind if like else dropped.kind,
                name=dropped.name,
                options=like.options if like else dropped.options,
                columns=like.columns if like else dropped.columns,
                licence=dropped.licence or (like.licence if like else ""),
                citation=dropped.citation or (like.citation if like else ""),
            )
        except _REFUSED as error:
            self.tell(f"refused: {name}")
            details["refused"].append(
                {"file": name, "digest": dropped.digest, "reason": str(error)}
            )
            # Written down before the file is moved: a killed run must not lose it.
            self.versions.mark(version, "building", details)
            return
        details["files"][name] = dropped.digest
        self.versions.mark(version, "building", details)

    def _move_refused(self, version: Version, details: dict[str, Any]) -> None:
        """Move refused files into quarantine; those that a killed run moved are there."""
        if self.plan.inbox is None:
            return
        for one in details["refused"]:
            path = self.plan.inbox / one["file"]
            if "quarantine" not in one and path.is_file():
                place = quarantine(Dropped(path, one["digest"]), one["reason"])
                one["quarantine"] = str(place)
                self.versions.mark(version, "building", details)
        for one in details["refused"]:
            if "quarantine" not in one:
                found = sorted(self.plan.inbox.glob(f"quarantine/*/{one['file']}"))
                one["quarantine"] = str(found[-1]) if found else ""

    def _fetch_one(
        self, store: Store, base: Version, asked: Asked, details: dict[str, Any]
    ) -> None:
        source = asked.source
        self.tell(f"fetching {source.key}: {asked.reason}")
        try:
            path = fetch_again(
                asked,
                store.workspace.path / "downloads",
                base.folder / "downloads",
                mirror=self.plan.mirror,
            )
            store.add(
                path, kind=source.kind, name=source.key, options=dict(source.options),
                licence=source.provider.licence, citation=source.provider.citation,
            )  # fmt: skip
        except (*_REFUSED, DownloadError) as error:
            if not any(one["file"] == source.key for one in details["refused"]):
                details["refused"].append({"file": source.key, "reason": str(error)})
            return
        details["remote"][source.key] = asked.reason

    # -- building ----------------------------------------------------------------------

    def build(self, version: Version) -> None:
        """Build the graph of a version, with the parameters of the one before."""
        began = time.perf_counter()
        self.tell("building the graph")
        base = self._base_of(version)
        old = current_graph(base.workspace.graph)
        parameters = BuildParameters()
        if old is not None:
            parameters = BuildParameters(**read_manifest(old).parameters)
        _build(version.folder, parameters)
        new = current_graph(version.workspace.graph)
        if new is None:
            raise WorkspaceError(f"{version.folder} holds no graph after its building")
        self.report.graph = compare_graph_folders(old, new)
        self._note_step("graph", began)
        self._write_kept_list(version)

    def _build_without_bad_files(
        self, version: Version, look: Look, asked: list[Asked]
    ) -> Version | None:
        """Build the graph; files that it cannot be built with are refused after all.

        They are found by adding each alone to the version before. Returns the version
        that was built: another than was given where a file was refused.
        """
        try:
            self.build(version)
            return version
        except InputError:
            bad = self._find_bad_files(version, look)
            if not bad:
                raise
        for dropped, reason in bad:
            place = quarantine(dropped, reason)
            self.report.refused.append(
                {"file": dropped.path.name, "digest": dropped.digest, "reason": reason,
                 "quarantine": str(place)}
            )  # fmt: skip
        self.versions.discard(version)
        names = {dropped.path for dropped, _ in bad}
        rest = tuple(one for one in look.news if one.path not in names)
        again = self.take(replace(look, news=rest), asked)
        if again is not None:
            self.build(again)
        return again

    def _find_bad_files(
        self, version: Version, look: Look
    ) -> list[tuple[Dropped, str]]:
        came_in = {one["source"] for one in self.report.came_in}
        refused = {one["file"] for one in self.report.refused}
        bad = []
        for dropped in look.news:
            if dropped.source not in came_in or dropped.path.name in refused:
                continue
            self.tell(f"building with {dropped.path.name} alone")
            with self.versions.trial(self._base_of(version)) as folder:
                self._repeat(version, folder, dropped.source)
                try:
                    _build(folder, _parameters_of(self._base_of(version)))
                except InputError as error:
                    reason = f"the graph cannot be built with it: {error}"
                    bad.append((dropped, reason))
        return bad

    def _write_kept_list(self, version: Version) -> None:
        """Say in ``kept.json`` which VCFs are to be scored and what is measured."""
        with open_store(version.folder) as store:
            sources = {source.name: source for source in store.sources()}
        listed = {v.name: (v.source, v.path, v.regions) for v in self.settings.score}
        joined = set(self._base_of(version).details.get("joined", []))
        if self.settings.score_new_vcfs:
            dropped = {Path(name).name for name in version.details["files"]}
            joined |= {
                source.name
                for source in sources.values()
                if source.kind == "variants" and Path(source.path).name in dropped
            }
        for name in sorted(joined & sources.keys() - listed.keys()):
            listed[name] = (name, None, self.settings.new_vcf_regions)
        vcfs = []
        for name, (source_name, path, regions) in listed.items():
            if path is None and source_name not in sources:
                raise InputError(
                    f"settings.toml: no source {source_name!r} is registered; correct "
                    "the [[score]] entry"
                )
            vcf = str(path) if path else sources[source_name].stored
            vcfs.append({"name": name, "vcf": vcf, "regions": list(regions)})
        benchmarks = [
            {"name": b.name, "scores": b.scores, "truth": str(b.truth),
             "column": b.column, "rest_negative": b.rest_negative}
            for b in self.settings.benchmark
        ]  # fmt: skip
        _write_json(
            version.folder / "kept.json", {"vcfs": vcfs, "benchmarks": benchmarks}
        )
        self.versions.mark(
            version, "building", {**version.details, "joined": sorted(joined)}
        )

    def do_one(self, name: str, parts: tuple[str, ...] = ()) -> str:
        """Do one step by its name and say what came of it, for an orchestrator.

        Raises
        ------
        InputError
            There is no such step, or it failed.
        """
        if name == "register":
            base = self.recover()
            look, asked = self.look(base)
            has_work = self.has_work(base, look, asked)
            version = self.take(look, asked) if has_work else None
            if version is None:
                return self.report.reason or "nothing new"
            return f"version {version.name}: {len(self.report.came_in)} sources came in"
        building = [v for v in self.versions.all() if v.state == "building"]
        if not building:
            return "no version is being made"
        version = building[-1]
        base = self._base_of(version)
        self.report.version_before = base.name
        self.report.refused = list(version.details.get("refused", []))
        self._compare_sources(base, version)
        if name == "graph":
            self.build(version)
        elif name == "causes":
            self.explain(version)
        elif name == "publish":
            old = current_graph(base.workspace.graph)
            new = current_graph(version.workspace.graph)
            if new is not None:
                self.report.graph = compare_graph_folders(old, new)
            self.conclude(version)
            return f"version {version.name}: {self.report.status} {self.report.reason}"
        elif name in later_steps():
            self.do_later(version, name, parts)
        else:
            raise InputError(f"no step {name!r}; 'rebuild-step list' lists them")
        return f"version {version.name}: {name} done"

    def do_later(
        self, version: Version, name: str, parts: tuple[str, ...] = ()
    ) -> None:
        """Do one of the steps of ``rebuild_steps.toml``, or parts of it."""
        step = later_steps()[name]
        kept = json.loads((version.folder / "kept.json").read_text(encoding="utf-8"))
        aligned = any((version.folder / "relatives").glob("*"))
        lists: dict[str, list[dict[str, Any]]] = {
            # Aligned again only where they were aligned before.
            "relatives": [dict[str, Any]()] if aligned else [],
            "embeddings": self._embeddings(version),
            "kept": kept["vcfs"],
            "benchmarks": kept["benchmarks"],
        }
        if step.get("needs") and not lists[step["needs"]]:
            return
        for values in lists[step["each"]] if "each" in step else [{}]:
            texts = {k: v for k, v in values.items() if isinstance(v, str)}
            more = values.get("arguments", [])
            for part in parts or ("",):
                command = [*step["command"], *(("--part", part) if part else ()), *more]
                self._call(version, name, command, texts)

    def _embeddings(self, version: Version) -> list[dict[str, Any]]:
        """Return what to embed: what settings ask for, and what was embedded before."""
        found: dict[str, tuple[str, ...]] = {}
        for path in sorted((version.folder / "embeddings").glob("*/encoder.json")):
            with suppress(ValueError, KeyError):
                found[json.loads(path.read_text(encoding="utf-8"))["what"]] = ()
        found |= {one.what: one.arguments for one in self.settings.embed}
        return [{"what": what, "arguments": more} for what, more in found.items()]

    def _call(
        self, version: Version, name: str, command: list[str], values: Mapping[str, str]
    ) -> None:
        """Run ``python -m`` something, with its messages passed on.

        Raises
        ------
        InputError
            It failed; the message holds its last lines.
        WorkspaceError
            It was killed.
        """
        began = time.perf_counter()
        places = {
            "workspace": str(version.folder),
            "before": str(self._base_of(version).folder),
            **values,
        }
        told = [part.format(**places) for part in command]
        self.tell(" ".join([name, *values.values()]))
        last: deque[str] = deque(maxlen=_LAST_LINES)
        with subprocess.Popen(  # noqa: S603 - our own modules, no shell
            [sys.executable, "-m", *told], stderr=subprocess.PIPE, text=True,
            stdout=subprocess.DEVNULL, errors="replace",
            # Killed with this process, and holding its lock until then.
            pass_fds=(self.lock,), preexec_fn=_die_with_parent,
            # Ctrl-C is for this process: it may want to finish the run.
            start_new_session=True,
        ) as process:  # fmt: skip
            for line in process.stderr or ():
                last.append(line.rstrip())
                self.tell(line.rstrip())
        if process.returncode < 0:
            raise WorkspaceError(
                f"step {name} was killed by signal {-process.returncode}, perhaps for "
                "want of memory; run again to pick it up"
            )
        if process.returncode:
            said = "\n".join(last) or f"exit status {process.returncode}"
            raise InputError(f"step {name} ({' '.join(told)}) failed:\n{said}")
        self._note_step(name, began)

    # -- comparing ---------------------------------------------------------------------

    def explain(self, version: Version) -> None:
        """Say which source moved each moved variant.

        Where several things changed at once, each is added alone to a passing copy of the
        version before, and the moved variants are scored there.
        """
        changes = version.folder / "changes"
        if not (changes / "moved.vcf").is_file():
            return
        began = time.perf_counter()
        base = self._base_of(version)
        causes = {one["source"]: one["sha256"] for one in self.report.came_in}
        if base.details.get("wanted") != self._wanted(base):
            causes[OTHER_CHANGES] = ""
        if len(causes) == 1:
            arguments = ["--sole", *causes]
        else:
            arguments = []
            for name, sha in list(causes.items())[:MAX_ALONE]:
                arguments += ["--alone", f"{name}={self._try(version, name, sha)}"]
        self._call(
            version, "causes",
            ["variant_effect.kept", "attribute", "--workspace", "{workspace}",
             "--before", "{before}", *arguments],
            {},
        )  # fmt: skip
        for file in changes.glob("alone-*"):
            file.unlink()
        self._note_step("explain", began)

    def _try(self, version: Version, name: str, sha: str) -> Path:
        """Score the moved variants with one change alone; return the scores."""
        changes = version.folder / "changes"
        moved = changes / "moved.vcf"
        key = digest_json([name, sha, sha256_of(moved)])
        out = changes / f"alone-{key[:16]}.parquet"
        if out.is_file():
            return out
        self.tell(f"trying {name} alone")
        with self.versions.trial(self._base_of(version)) as folder:
            if sha:
                self._repeat(version, folder, name)
            _build(folder, _parameters_of(version))
            self._call(
                version, "trial",
                ["variant_effect.score", "--vcf", str(moved), "--workspace", str(folder),
                 "--out", str(out), "--no-joint", "--format", "parquet",
                 "--workers", "1", "--max-mismatch", "1"],
                {},
            )  # fmt: skip
        return out

    @staticmethod
    def _repeat(version: Version, folder: Path, name: str) -> None:
        """Register one of a version's sources in a copy of the version before."""
        with open_store(version.folder) as store:
            source = store.source(name)
        with open_store(folder, write=True) as store:
            store.add(
                # Relative names in options start from where the file came from.
                _original(source, version),
                kind=source.kind,
                name=name,
                options=source.options,
                columns=source.columns,
            )

    # -- concluding --------------------------------------------------------------------

    def conclude(self, version: Version) -> Version:
        """Publish the version, or hold it back; write its report into it."""
        base = self._base_of(version)
        self._collect(version)
        self.report.version = version.name
        closed = bool(self.report.falls) and not self.plan.accept_falls
        self.report.accepted = bool(self.report.falls) and self.plan.accept_falls
        self.report.status = "held" if closed else "published"
        if closed:
            self.report.reason = "; ".join(self.report.falls)
        if not self.versions.is_up_to_date(version):
            raise InputError(
                f"{self.path} was changed while it was being rebuilt; run again: the "
                "rebuild starts afresh from what is there now"
            )
        details = {
            **self.versions.find(version.name).details,
            "wanted": self._wanted(base if closed else version),
            "graph": self.report.graph.get("after", ""),
        }
        with open_store(version.folder, write=True) as store:
            store.log_run(
                "rebuild",
                json.dumps(
                    {
                        "version": version.name,
                        "status": self.report.status,
                        "came_in": [one["source"] for one in self.report.came_in],
                        "refused": [one["file"] for one in self.report.refused],
                    }
                ),
            )
        _write_json(version.folder / "changes" / "report.json", self.report.as_data())
        if closed:
            self.ledger.note(details["files"], f"held back with version {version.name}")
            held = self.versions.mark(version, "held", details)
            self._write_report(self.report.as_data(), version.name)
            return held
        return self._finish(self.versions.mark(version, "complete", details))

    def _finish(self, version: Version) -> Version:
        """Put a complete version in use, and do what follows; repeatable."""
        self.ledger.note(
            version.details.get("files", {}), f"in use with version {version.name}"
        )
        self.tell(f"publishing version {version.name}")
        self.versions.use(version)
        removed = self.versions.prune(self.settings.keep)
        data = _read_json(version.folder / "changes" / "report.json", {})
        self._write_report({**data, "removed_versions": removed}, version.name)
        # Last: until then the next run does all of this again.
        return self.versions.mark(version, "published")

    def _write_report(self, data: dict[str, Any], name: str) -> None:
        current = self.versions.current()
        in_use = current.name if current else ""
        kept = [
            f"{v.name} ({'in use' if v.name == in_use else v.state})"
            for v in self.versions.all()
        ]
        self.report.page = str(
            write_report({**data, "kept_versions": kept}, self.versions.rebuild, name)
        )

    def _collect(self, version: Version) -> None:
        """Read what the later steps wrote into the report."""
        changes = version.folder / "changes"
        scores = _read_json(changes / "scores.json", {})
        self.report.scores = scores.get("vcfs", [])
        self.report.prior = {
            "before": scores.get("prior_before", {}),
            "after": scores.get("prior_after", {}),
        }
        self.report.figures = _read_json(changes / "figures.json", [])
        self.report.falls = find_falls(self.report.figures)
        self.report.moved, self.report.causes = read_moved(changes / "moved.tsv")

    def _base_of(self, version: Version) -> Version:
        return self.versions.find(str(version.base))

    def _note_step(self, name: str, began: float) -> None:
        seconds = round(time.perf_counter() - began, 1)
        self.report.steps.append({"step": name, "seconds": seconds})


def later_steps() -> dict[str, dict[str, Any]]:
    """Return the steps after the graph, by name, in order."""
    text = (resources.files("graph_builder") / STEPS_FILE).read_text(encoding="utf-8")
    return {step["name"]: step for step in tomllib.loads(text)["step"]}


def _rank(dropped: Dropped) -> tuple[int, str]:
    """Genome, names, gene models first: the others are mapped through them."""
    kind = dropped.kind or ""
    name = dropped.path.name
    if not kind and name.removesuffix(".gz").endswith((".fa", ".fasta", ".fna")):
        kind = "genome"
    if not kind and name.removesuffix(".gz").endswith((".gff", ".gff3", ".gtf")):
        kind = "annotation"
    return (ORDER.index(kind) if kind in ORDER else len(ORDER), name)


def _build(folder: Path, parameters: BuildParameters) -> None:
    with open_store(folder) as store:
        build_graph(
            store.connection, store.genome(), store.workspace.graph,
            parameters=parameters,
        )  # fmt: skip


def _parameters_of(version: Version) -> BuildParameters:
    folder = current_graph(version.workspace.graph)
    if folder is None:
        return BuildParameters()
    return BuildParameters(**read_manifest(folder).parameters)


def _original(source: Source, version: Version) -> Path:
    """Return the file a source was registered from, or the copy that is kept of it."""
    if source.stored.startswith("jaspar:"):
        return Path(source.stored)
    given = Path(source.path)
    return given if given.is_file() else version.folder / source.stored


def _content_of(version: Version) -> list[object]:
    """Return sources and models of a version, by content."""
    with open_store(version.folder) as store:
        sources = sorted(
            (s.name, s.kind, s.sha256, repr(sorted(s.options.items())))
            for s in store.sources()
        )
    graph = current_graph(version.workspace.graph)
    parameters = dict(read_manifest(graph).parameters) if graph else {}
    models = sorted(
        (file.relative_to(version.folder).as_posix(), file.stat().st_size)
        for name in ("config.json", "model.safetensors", "model.json")
        for file in version.folder.glob(f"models/*/{name}")
    )
    return [sources, parameters, models]


def _die_with_parent() -> None:
    """Have Linux kill this process when the one that started it dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)


def _read_json(path: Path, default: Any) -> Any:  # noqa: ANN401
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else default


def _write_json(path: Path, content: object) -> None:
    with written_beside(path) as beside:
        beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
