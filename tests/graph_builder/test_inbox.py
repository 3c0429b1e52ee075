"""What is taken from an inbox, what waits, and where the refused goes."""

import os
import time

import pytest

from data_registry.errors import InputError
from graph_builder.inbox import Ledger, look_into, quarantine


@pytest.fixture
def inbox(tmp_path):
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def ledger(tmp_path):
    return Ledger.read(tmp_path / "ledger.json")


def look(inbox, ledger, settled_s=0.0):
    return look_into(inbox, ledger, settled_s=settled_s)


def test_what_is_taken_and_what_waits(inbox, ledger):
    for name in (
        "a.bed", "b.vcf.gz", "b.vcf.gz.tbi", "c.bed", "c.bim", "c.fam", "d.bed.part",
        ".hidden", "lonely.toml", "orphan.tbi",
    ):  # fmt: skip
        (inbox / name).write_text(name)
    (inbox / "folder").mkdir()
    (inbox / "quarantine").mkdir()
    (inbox / "link.bed").symlink_to("/etc/hostname")
    found = look(inbox, ledger)
    assert [one.path.name for one in found.news] == [
        "a.bed", "b.vcf.gz", "c.bed", "orphan.tbi"
    ]  # fmt: skip
    assert set(found.waiting) == {"d.bed.part", "folder", "link.bed", "lonely.toml"}
    assert "link" in found.waiting["link.bed"]


def test_a_file_that_may_still_be_arriving_waits(inbox, ledger):
    path = inbox / "a.bed"
    path.write_text("x")
    assert look(inbox, ledger, settled_s=60).waiting == {
        "a.bed": "changed less than 60 s ago"
    }
    old = time.time() - 61
    os.utime(path, (old, old))
    assert [one.path for one in look(inbox, ledger, settled_s=60).news] == [path]


def test_a_file_is_known_by_its_content_its_index_and_its_sidecar(inbox, ledger):
    path = inbox / "a.vcf.gz"
    path.write_text("x")
    (first,) = look(inbox, ledger).news
    ledger.note({"a.vcf.gz": first.digest}, "taken")
    again = Ledger.read(ledger.path)
    assert look(inbox, again).known == ("a.vcf.gz",)
    os.utime(path)
    assert look(inbox, again).news == ()
    (inbox / "a.vcf.gz.toml").write_text('kind = "variants"')
    (changed,) = look(inbox, again).news
    assert (changed.kind, changed.source) == ("variants", "a")
    (inbox / "a.vcf.gz.toml").unlink()
    path.write_text("y")
    assert len(look(inbox, again).news) == 1


@pytest.mark.parametrize("text", ["kind = 3", "colour = 'red'", "kind ="])
def test_a_bad_sidecar_is_the_files_fault(inbox, ledger, text):
    (inbox / "a.bed").write_text("x")
    (inbox / "a.bed.toml").write_text(text)
    (found,) = look(inbox, ledger).news
    assert "a.bed.toml" in found.fault


def test_options_of_a_sidecar_read_as_on_the_command_line(inbox, ledger):
    (inbox / "a.bed").write_text("x")
    (inbox / "a.bed.toml").write_text("[options]\nfive_prime = true\nresolution = 5\n")
    (found,) = look(inbox, ledger).news
    assert found.options == {"five_prime": "yes", "resolution": "5"}


def test_a_refused_file_goes_away_with_all_that_belongs_to_it(inbox, ledger):
    for name in ("a.vcf.gz", "a.vcf.gz.tbi", "a.vcf.gz.toml", "b.bed"):
        (inbox / name).write_text("")
    dropped = look(inbox, ledger).news[0]
    place = quarantine(dropped, "no header")
    assert sorted(path.name for path in place.parent.iterdir()) == [
        "a.vcf.gz", "a.vcf.gz.reason.txt", "a.vcf.gz.tbi", "a.vcf.gz.toml"
    ]  # fmt: skip
    assert place.with_name("a.vcf.gz.reason.txt").read_text() == "no header\n"
    assert sorted(path.name for path in inbox.iterdir()) == ["b.bed", "quarantine"]


def test_no_inbox(tmp_path, ledger):
    with pytest.raises(InputError, match="no such folder"):
        look(tmp_path / "none", ledger)
