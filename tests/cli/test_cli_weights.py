"""The commands weights check and cache: what large files there are, in words."""

import shutil
from pathlib import Path

import pytest

from nearfar.cli.weights import _readable

TINY = "tests/data/eat/tiny"


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (1_500_000, "1.5 MB"),
        (3.61e9, "3.61 GB"), (4.2e12, "4.2e+03 GB"),
    ],
)  # fmt: skip
def test_bytes_are_counted_as_disks_are_sold(count, said):
    assert _readable(count) == said


def test_a_file_as_published_has_the_size_of_its_architecture(run):
    code, told, _ = run("weights", "check", TINY)
    rows = dict(line.split(maxsplit=1) for line in told.splitlines())
    assert code == 0
    assert rows["bytes"].endswith("as this architecture has")
    assert rows["pooling"].startswith("mean")
    assert len(rows["sha256"]) == 64


def test_another_header_is_no_damage(run, tmp_path):
    """Spaces at its end are allowed: other programs round its length up with them."""
    content = Path(TINY, "model.safetensors").read_bytes()
    length = 8 + int.from_bytes(content[:8], "little")
    longer = (length - 8 + 64).to_bytes(8, "little") + content[8:length] + b" " * 64
    (tmp_path / "model.safetensors").write_bytes(longer + content[length:])
    shutil.copy(f"{TINY}/config.json", tmp_path)
    code, told, _ = run("weights", "check", tmp_path)
    rows = dict(line.split(maxsplit=1) for line in told.splitlines())
    assert code == 0
    assert rows["bytes"].startswith(f"{len(content) + 64:,}; ")
    assert rows["bytes"].endswith(f"{len(content):,}, its header is written otherwise")


def test_numbers_that_are_none_are_found(run, tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    tensors = load_file(f"{TINY}/model.safetensors")
    name = sorted(tensors)[0]
    tensors[name].view(-1)[-1] = torch.nan
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    shutil.copy(f"{TINY}/config.json", tmp_path)
    code, _, err = run("weights", "check", tmp_path)
    assert (code, err.count("\n"), "NaN or infinite" in err) == (2, 1, True)
