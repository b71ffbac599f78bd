"""One process, or several: what a launcher must have set, and what one alone needs not."""

import sys
from contextlib import suppress

import pytest

torch = pytest.importorskip("torch")

from nearfar.errors import SettingError
from nearfar.training.loop.team import Team

LAUNCHER = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture
def environment(monkeypatch):
    for name in ("WORLD_SIZE", *LAUNCHER):
        monkeypatch.delenv(name, raising=False)
    return lambda **values: [monkeypatch.setenv(n, v) for n, v in values.items()]


@pytest.mark.parametrize("size", [None, "", "1"])
def test_alone_nothing_is_averaged_and_nothing_is_imported(environment, monkeypatch, size):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    if size is not None:
        environment(WORLD_SIZE=size)
    team, module, x = Team("cpu"), torch.nn.BatchNorm1d(2), torch.ones(3)
    assert (team.size, team.rank, team.leads, team.device.type) == (1, 0, True, "cpu")
    assert team.wrap(module) is module
    assert team.total(x) is x
    before = module.running_mean.clone()
    team.average(module)
    assert torch.equal(before, module.running_mean)
    with team.first(), team.alone(module):
        team.close()


@pytest.mark.parametrize(
    ("device", "parameters", "inside"),
    [("cpu", 1 << 20, 1), ("cpu", (1 << 20) + 1, 3), ("cuda", 1, 3)],
)
def test_threads_help_only_who_gains_by_them(environment, device, parameters, inside):
    team, before = Team("cpu"), torch.get_num_threads()
    team.device = torch.device(device)
    torch.set_num_threads(3)
    try:
        with suppress(KeyError), team.helped(parameters):
            assert torch.get_num_threads() == inside
            raise KeyError  # whatever happens inside
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_without_accelerate_it_is_said_what_to_install(environment, monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    environment(WORLD_SIZE="4")
    with pytest.raises(SettingError, match=r"WORLD_SIZE is 4.*pip install 'nearfar\[train\]'"):
        Team("cpu")


@pytest.mark.parametrize("missing", LAUNCHER)
def test_what_a_launcher_has_not_set_is_named(environment, missing):
    pytest.importorskip("accelerate")
    environment(WORLD_SIZE="2", **{name: "0" for name in LAUNCHER if name != missing})
    with pytest.raises(SettingError, match=f"WORLD_SIZE is 2, but {missing} is not set"):
        Team("cpu")


@pytest.mark.parametrize("size", ["two", "-1", "1.5"])
def test_a_size_that_is_no_number(environment, size):
    environment(WORLD_SIZE=size)
    with pytest.raises(SettingError, match=f"WORLD_SIZE is '{size}'"):
        Team("cpu")
