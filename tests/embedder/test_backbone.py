"""What encoders in torch share: settings, one place for weights, no torch before it is needed."""

import subprocess
import sys

import numpy as np
import pytest

import nearfar as nf
from beats_folders import folder
from conftest import TINY, refused
from nearfar.embedder.backbone import Backbone
from nearfar.embedder.contract import is_embedder, is_two_step, preparation_of
from nearfar.runtime.runtime import Runtime
from nearfar.testing import noise
from yamnet_folder import make_folder

ENCODERS = [nf.EAT, nf.BEATs]


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_path_becomes_text_and_two_of_one_place_are_equal(encoder, tmp_path):
    assert encoder(tmp_path) == encoder(str(tmp_path))
    assert isinstance(encoder(tmp_path), Backbone)
    assert is_embedder(encoder("x"))
    assert is_two_step(encoder("x"))


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("settings", [{"weights": 7}, {"layer": True}, {"precision": None}])
def test_refusals_name_the_encoder_and_the_setting(encoder, settings):
    name = next(iter(settings))
    refused(lambda: encoder(**{"weights": "x"} | settings), f"{encoder.__name__}.{name} is ")


def test_encoders_prepare_each_in_its_own_way():
    assert preparation_of(nf.EAT("x")) != preparation_of(nf.BEATs("x"))
    assert preparation_of(nf.BEATs("x")) == preparation_of(nf.BEATs("y", layer=3))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_naming_and_opening_load_no_torch(encoder):
    code = f"import sys, nearfar as nf\npart = nf.{encoder.__name__}('none')\n"
    code += "try: part.dim\nexcept nf.NearfarError: pass\nassert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_it_takes_what_the_training_says():
    assert nf.EAT(str(TINY)).training is None


@pytest.mark.parametrize("kind", ["EAT", "BEATs", "YAMNet"])
def test_a_grid_is_columns_of_eight_bands_whatever_the_encoder(kind, tmp_path):
    """What `tokens` gives stays as it was: a row of tokens, EAT's with CLS, and YAMNet's grid."""
    places = {"EAT": lambda: TINY, "BEATs": folder, "YAMNet": lambda: make_folder(tmp_path / "y")}
    part = getattr(nf, kind)(str(places[kind]()))
    audios = [noise(1, 1.3, seed=i) for i in range(2)]
    grid, tokens = part.grid(audios), part.tokens(audios)
    assert grid.shape[0] == 2
    assert grid.shape[2:] == (8, part.grid_dim)
    cls = {"EAT": 1}.get(kind, 0)
    assert np.array_equal(grid.reshape(tokens[:, cls:].shape), tokens[:, cls:])
    prepared = [part.prepare(a) for a in audios] if is_two_step(part) else audios
    assert np.array_equal(grid, np.stack(part.grids(prepared, Runtime())))
    refused(lambda: part.grid([noise(1, 1.0), noise(1, 2.0)]), "one length at a time")
