"""What --shard asks of a command, before a clip is heard."""

from pathlib import Path

import pytest

from conftest import refused
from nearfar.cli.sharding import ShardWork, check_output_of, work_of
from nearfar.embedding.gathering import gather
from nearfar.errors import AudioError, FormatError, SettingError, StorageError
from nearfar.runtime.shards import OneShard, Shard
from shard_parts import CLIPS, part_of


def asked(shard="1/2", output=None, inputs=(), engine="local"):
    return work_of(shard, output, inputs, engine, replace=False)


def test_without_it_all_is_done_here():
    work = asked(None)
    assert (work, work.executor(1), work.clips(lambda: "listed")) == (ShardWork(), None, "listed")
    assert work.replaces(lambda output: True, Path("det"))
    with work.kept("fit", CLIPS, dict):
        pass
    work.refuse(csv=Path("a.csv"))


@pytest.mark.parametrize("shard", ["17/16", "a/b"])
def test_what_is_no_shard_is_told_by_its_flag(run, shard):
    code, _, err = run("fit", "gone", "-o", "part", "--shard", shard)
    assert (code, err.count("\n"), err.startswith("error: --shard is")) == (2, 1, True), err


def test_a_shard_has_a_place_for_its_part_and_no_engine(tmp_path):
    refused(asked, "needs -o PART", error=SettingError)
    out = tmp_path / "new" / "1"
    refused(lambda: asked(output=out, engine="ray"), "exclude", error=SettingError)
    refused(lambda: asked(output=tmp_path), "is a folder", error=StorageError)
    work = asked(output=out)
    assert (work.shard, work.output) == (Shard(1, 2), out)
    assert isinstance(work.executor(3), OneShard)
    assert not work.replaces(lambda output: True, out)


def test_what_a_shard_has_not_is_refused_by_its_flag(tmp_path):
    work = asked(output=tmp_path / "1")
    refused(lambda: work.refuse(csv=None, fail_on_anomaly=True), "--fail-on-anomaly",
            error=SettingError)  # fmt: skip
    refused(lambda: check_output_of(None, Path("x")), "--csv FILE.csv", error=SettingError)
    check_output_of("1/2", Path("x"))


def test_a_merge_goes_on_only_with_what_was_asked(tmp_path):
    work = ShardWork(merged=gather([part_of(tmp_path, 1, 1)]))
    assert tuple(work.clips(list)) == CLIPS
    with work.kept("fit", CLIPS, lambda: {"skip_bad": False}):
        pass
    with pytest.raises(FormatError, match="the detector is not what it was"):
        work.kept("fit", CLIPS, lambda: {"skip_bad": False, "sha256": "9f86"}).__enter__()


def test_a_merge_that_reads_a_clip_again_says_why_it_must_be_there(tmp_path):
    work = ShardWork(merged=gather([part_of(tmp_path, 1, 1)]))
    with (
        pytest.raises(AudioError, match=r"gone\.wav: no such file; residual rows"),
        work.kept("fit", CLIPS, lambda: {"skip_bad": False}),
    ):
        raise AudioError("gone.wav: no such file")


def test_no_output_is_over_a_part(tmp_path):
    one = part_of(tmp_path, 1, 1)
    work = ShardWork(merged=gather([one]))
    for place in (one, tmp_path, tmp_path.parent):
        refused(lambda p=place: work.replaces(bool, p), place, "input", error=StorageError)
    assert work.replaces(lambda output: True, tmp_path / "det")
