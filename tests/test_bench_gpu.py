"""The one command for a lent GPU: all of it here, on a CPU with small encoders and a fake CUDA."""

import sys
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

import bench.gpu
from bench import finetune_gpu as counted
from bench.gpu import Bench, Device, Page

from nearfar.embedder.beats.architecture import BeatsArchitecture
from nearfar.embedder.eat.architecture import Architecture
from nearfar.embedder.infer import FULL

EAT = Architecture(dim=16, depth=2, heads=2, hidden=32, columns=32)
BEATS = BeatsArchitecture(embed=8, dim=16, depth=2, heads=2, hidden=32, taps=4, groups=2)
CPU = torch.device("cpu")


def small(path=None, **changes):
    settings = {
        "eat": EAT, "beats": BEATS, "batch": 8, "steps": 4, "warm": 1, "passes": 8, "matrix": 64,
        "mix": (16_000, 17_600, 19_200), "part": 0.1,
    }  # fmt: skip
    return Bench(Device(CPU), Page(path), **settings | changes)


def begins(lines, words):
    return [line for line in lines if line.startswith(words)]


@pytest.mark.slow
def test_all_parts_run_and_each_line_is_in_the_file_when_it_is_said(tmp_path):
    made = small(tmp_path / "gpu.md")
    assert made.run() == 0
    said = (tmp_path / "gpu.md").read_text().splitlines()
    assert said == made.page.lines
    for words in ("EAT fine-tuning, batch 8:", "EAT fine-tuning, batch 16:", "eat inference, ten",
                  "EAT fine-tuning, batch 8, checkpointing:", "beats inference, ten",
                  "BEATs fine-tuning", "checkpoint of EAT:"):  # fmt: skip
        assert begins(said, words), words
    assert len(begins(said, "eat inference")) == len(counted.hearings(8)) == 4
    assert "nan" not in " ".join(said)


def test_the_loss_falls_on_log_mels_that_are_heard_again():
    torch.manual_seed(0)
    made = small(steps=40, warm=1)
    state = counted.begun(CPU, False, fake=False, shape=EAT.projected(), bf16=False)
    for group in state.optimizer.param_groups:
        group["lr"] = 1e-2
    pool = made._pool(8)
    losses = [
        float(counted.step(state, counted.drawn(8, i, mix=made.mix), CPU, pool)) for i in range(30)
    ]
    assert sum(losses[-3:]) < sum(losses[:3])


def test_without_time_nothing_begins_and_that_is_said():
    made = small(seconds=0.0)
    assert made.run() == 0
    assert len(begins(made.page.lines, "EAT fine-tuning: not run, ")) == 1
    assert not [line for line in made.page.lines if "clips/s" in line or "log-mels/s" in line]


@pytest.mark.slow
def test_a_part_that_fails_says_so_and_the_next_ones_run(monkeypatch):
    made = small()
    monkeypatch.setattr(Bench, "inference", lambda *_: None)
    monkeypatch.setattr(counted, "checkpoint", lambda state: 1 / 0)
    assert made.run() == 1
    assert begins(made.page.lines, "checkpoint: FAILED, ZeroDivisionError: division by zero")
    assert begins(made.page.lines, "EAT fine-tuning, batch 16:")


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("CUBLAS_STATUS_ALLOC_FAILED")],
)
def test_a_batch_without_room_is_halved(monkeypatch, error):
    whole, tried = counted.step, []

    def full(state, lengths, *more):
        tried.append(sum(clips for clips, _ in lengths))
        if tried[-1] > 4:
            raise error
        return whole(state, lengths, *more)

    monkeypatch.setattr(counted, "step", full)
    made = small()
    made.products()
    made.fine_tuning(EAT.projected(), "EAT", 16)
    assert tried[:3] == [16, 8, 4]
    assert made.page.lines[1:3] == [f"EAT fine-tuning, batch {n}: out of memory" for n in (16, 8)]
    assert begins(made.page.lines, "EAT fine-tuning, batch 4: ")


def test_another_error_is_no_lack_of_memory(monkeypatch):
    def broken(*_):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(counted, "step", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        small().fine_tuning(EAT.projected(), "EAT")


@pytest.mark.parametrize("has", [True, False])
def test_without_bfloat16_it_is_float32(monkeypatch, has):
    monkeypatch.setattr(bench.gpu, "has_bf16", lambda device: has)
    made = small()
    assert made.precision == ("bf16" if has else "fp32")
    made.products()
    assert made.page.lines[0].startswith(f"{made.precision} product 64³")


def test_what_is_asked_of_cuda_is_asked_of_this_device(monkeypatch):
    asked = []
    answers = {"synchronize": None, "empty_cache": None, "get_device_name": "H200"}
    answers |= {"reset_peak_memory_stats": None, "max_memory_allocated": 7}
    for name, answer in answers.items():
        monkeypatch.setattr(
            torch.cuda, name, lambda *args, n=name, a=answer: asked.append((n, *args)) or a
        )
    device = Device(torch.device("cuda"))
    device.wait()
    device.forget()
    assert (device.most(), device.name) == (7.0, "H200")
    gpu = torch.device("cuda")
    assert asked.count(("synchronize", gpu)) == 1
    assert {("reset_peak_memory_stats", gpu), ("max_memory_allocated", gpu)} < set(asked)
    asked.clear()
    here = replace(device, device=CPU)
    here.wait()
    here.forget()
    assert here.most() > 0
    # Engines that are let go of give back what a GPU holds, which asks no device by name.
    assert not {name for name, *_ in asked} - {"empty_cache"}


@pytest.mark.parametrize(("failed", "code"), [(0, 0), (2, 1)])
def test_the_command_measures_where_cuda_is_and_counts_where_it_is_asked_to(
    monkeypatch, tmp_path, capsys, failed, code
):
    began = []

    class Fake:
        def __init__(self, device, page):
            began.append((device.device.type, page.path))

        def run(self):
            return failed

    monkeypatch.setattr(bench.gpu, "Bench", Fake)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "set_float32_matmul_precision", lambda precision: None)
    monkeypatch.setattr(sys, "argv", ["finetune_gpu", str(tmp_path / "out.md")])
    with pytest.raises(SystemExit) as ended:
        counted.main()
    assert ended.value.code == code
    assert began == [("cuda", tmp_path / "out.md")]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    counted.main()
    assert "not run: no CUDA device" in capsys.readouterr().out


@pytest.mark.slow
def test_what_is_counted_is_printed_as_it_comes(monkeypatch, capsys):
    """The tables of `--dry`, of small encoders; of the large ones they take half a minute."""
    wide = replace(EAT, columns=96)  # positions of 15 s
    monkeypatch.setattr(counted, "LARGE", wide.projected())
    monkeypatch.setattr(counted.eat, "LARGE", wide)
    monkeypatch.setattr(counted, "BeatsArchitecture", lambda: BEATS)
    monkeypatch.setattr(counted, "HEARD", 8)
    monkeypatch.setattr(sys, "argv", ["finetune_gpu", "--dry"])
    counted.main()
    said = capsys.readouterr().out
    rows = [line.split(" | ") for line in said.splitlines() if line.startswith("| ")]
    for name in ("drawn for each clip", "EAT-large", "BEATs-base"):
        assert [row for row in rows if row[0] == f"| {name}"], name
    for row in rows:
        if row[0] in ("| EAT-large", "| BEATs-base"):  # lengths, a pass a length, as it is
            lengths, apart, now = (int(cell.replace(",", "")) for cell in row[2:5])
            assert now <= apart
            assert now < apart or lengths == 1 or "one length" in row[1]


@pytest.mark.slow
def test_passes_are_counted_without_numbers():
    """Of a length each, few more kernels than of one length; a pass for each of them, many."""
    frames = [32, 48, 64, 80, 96, 112]
    for shape in (EAT, BEATS):
        one, apart, now = (
            counted.counted_passes(shape, some, full)
            for some, full in (([112] * 6, FULL), (frames, 0), (frames, FULL))
        )
        assert now.count <= 2 * one.count
        assert apart.count > 2 * one.count
        assert min(one.flops, apart.flops, now.flops) > 0
        # Its products are those of its clips; attention's are of its longest clip's length.
        assert apart.flops <= now.flops <= 2 * apart.flops
