"""What embedders may offer is asked in one place; who wraps another answers for it."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from tools.house import modules, tree

import nearfar as nf
from nearfar.embedder import contract
from nearfar.embedder.contract import (
    batch_of,
    check,
    files_of,
    has_residuals,
    identity_of,
    innermost,
    is_embedder,
    is_two_step,
    training_of,
    weights_of,
    with_weights,
)
from nearfar.testing import noise
from trained_file import make_trained

CONTRACT = Path("embedder", "contract.py")
TINY = str(Path(__file__).parents[1] / "data" / "eat" / "tiny")
NOWHERE = "no such place"


def named(node):
    """The name in quotes of a getattr or hasattr; None for any other piece of code."""
    asks = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    if asks and node.func.id in {"getattr", "hasattr", "getattr_static"} and len(node.args) > 1:
        name = node.args[1]
        return name.value if isinstance(name, ast.Constant) else None
    return None


@cache
def promises():
    """The names that the contract asks for, read off its code."""
    calls = [n for n in ast.walk(tree(CONTRACT)) if isinstance(n, ast.Call)]
    asked = [n for n in calls if isinstance(n.func, ast.Name) and n.func.id.startswith("_")]
    names = {a.value for n in asked for a in n.args if isinstance(a, ast.Constant)}
    return names - {"channels", "dim", "fingerprint"}  # what each must have


def test_each_promise_stands_in_the_contracts_text():
    text = (contract.__doc__ or "").partition("each promise")[2]
    first = re.findall(r"^    (\w+(?:, \w+)*)", text, re.MULTILINE)
    assert {name for line in first for name in line.split(", ")} == promises()
    assert len(promises()) == 21


def test_nobody_else_asks_for_a_promise_by_its_name():
    known = promises()
    found = {
        (str(path), node.lineno)
        for path in modules()
        if path != CONTRACT
        for node in ast.walk(tree(path))
        if named(node) in known
    }
    assert found == set()


def test_the_package_seldom_guesses():
    """`getattr` with a name in quotes stands for a contract that nobody wrote."""
    guesses = [name for p in modules() for n in ast.walk(tree(p)) if (name := named(n))]
    assert len(guesses) <= 15


@pytest.mark.parametrize("code", ['getattr(e, "batch", 1)', 'hasattr(e, "batch")'])
def test_a_guess_is_seen(code):
    assert "batch" in {named(node) for node in ast.walk(ast.parse(code))}


# ---- embedders of others


@dataclass(frozen=True)
class Plain:
    """No more than an embedder must have."""

    channels: ClassVar[int] = 1
    dim: ClassVar[int] = 1
    fingerprint: ClassVar[str] = "plain-1"

    def __call__(self, audios):
        return np.array([[a.std()] for a in audios], dtype=np.float32)


@dataclass(frozen=True)
class Wrapper:
    """Turns the rows of another around; it knows nothing of promises."""

    embedder: object
    fingerprint: ClassVar[str] = "wrapper-1"

    @property
    def channels(self):
        return self.embedder.channels

    @property
    def dim(self):
        return self.embedder.dim

    def __call__(self, audios):
        return self.embedder(audios)[:, ::-1]


@pytest.mark.parametrize("embedder", [Plain(), Wrapper(Plain()), nf.LogMel()])
def test_who_offers_nothing_promises_nothing(embedder):
    assert is_embedder(embedder)
    assert not is_two_step(embedder)
    assert not has_residuals(embedder)
    assert batch_of(embedder) == 1
    assert identity_of(embedder) == repr(embedder)
    assert weights_of(embedder) is training_of(embedder) is None
    assert files_of(embedder) == {}
    check(embedder, nf.Runtime())  # nothing to refuse


@pytest.mark.parametrize("missing", ["channels", "dim", "fingerprint"])
def test_an_embedder_has_all_that_one_must_have(missing):
    facts = {"channels": 1, "dim": 1, "fingerprint": "x", "__call__": lambda self, audios: None}
    assert is_embedder(type("Whole", (), facts)())
    assert not is_embedder(type("Less", (), {k: v for k, v in facts.items() if k != missing})())
    assert not is_embedder(type("Silent", (), {k: facts[k] for k in facts if k[0] != "_"})())


def test_ours_offer_what_the_contract_says_of_them():
    eat = nf.EAT(NOWHERE)
    assert has_residuals(nf.DIF())
    assert not is_two_step(nf.DIF())
    for embedder in (eat, nf.Crops(eat), nf.Crops(nf.LogMel())):
        assert is_two_step(embedder)
        assert not has_residuals(embedder)


def test_a_batch_is_a_whole_number():
    assert batch_of(SimpleNamespace(batch=np.int64(3))) == 3


def test_an_empty_identity_is_none():
    assert identity_of(SimpleNamespace(identity="")) == "namespace(identity='')"
    assert identity_of(SimpleNamespace(identity="me")) == "me"


def test_nothing_is_opened_to_see_what_is_offered():
    class Costly:
        channels = 1
        fingerprint = property(lambda self: pytest.fail("opened its weights"))
        dim = training = identity = fingerprint

        def __call__(self, audios):
            return audios

    assert is_embedder(Costly())
    assert not is_two_step(Costly())


# ---- wrappers


WRAPS = [
    pytest.param(lambda inner: nf.Crops(inner, n=2), id="Crops"),
    pytest.param(Wrapper, id="another's"),
    pytest.param(lambda inner: Wrapper(nf.Crops(inner, n=2)), id="both"),
]


@pytest.mark.parametrize("wrap", WRAPS)
def test_a_wrapper_answers_for_the_embedder_inside(wrap, tmp_path):
    plain = nf.EAT(TINY)
    trained = nf.EAT(str(make_trained(tmp_path / "trained.safetensors")))
    assert wrap(plain).dim == plain.dim
    assert innermost(wrap(plain)) is plain
    assert weights_of(wrap(plain)) == TINY
    assert files_of(wrap(plain)) == plain.files
    assert set(plain.files) == {"model.safetensors", "config.json"}
    assert training_of(wrap(plain)) is None
    assert training_of(wrap(trained)) == trained.training is not None
    assert np.array_equal(wrap(plain)([noise(1)]), wrap(plain)([noise(1)]))


@pytest.mark.parametrize("wrap", WRAPS)
def test_weights_elsewhere_are_put_into_the_embedder_inside(wrap):
    moved = with_weights(wrap(nf.EAT(TINY, layer=1)), NOWHERE)
    assert moved == wrap(nf.EAT(NOWHERE, layer=1))
    assert with_weights(nf.EAT(TINY), NOWHERE) == nf.EAT(NOWHERE)


def test_crops_refuse_what_the_embedder_inside_refuses():
    with pytest.raises(nf.NearfarError, match=NOWHERE):
        check(nf.Crops(nf.EAT(NOWHERE)), nf.Runtime(device="cpu"))
    check(nf.Crops(Plain()), nf.Runtime(device="cpu"))


def test_crops_are_no_more_trained_than_the_embedder_inside():
    assert training_of(nf.Crops(nf.LogMel())) is None


def test_a_wrapper_of_nothing_wraps_nothing():
    alone = SimpleNamespace(embedder=None, channels=1)
    assert innermost(alone) is alone
    assert weights_of(alone) is None


def test_weights_that_are_no_place_are_none():
    """Of another's embedder `weights` may be arrays; a detector then has nothing to look for."""
    assert weights_of(SimpleNamespace(weights=[1.0, 2.0])) is None


def test_another_wrapper_is_fitted_and_scores(dcase):
    """From the clip to the verdict: what wraps a DIF is fitted and scores."""
    system = nf.System(frontend=nf.Stereo(), embedder=Wrapper(nf.DIF()))
    clips = nf.Clips.open(dcase / "fan", split="train")
    turned = [v.score for v in nf.fit(system, clips).score(clips)]
    straight = [v.score for v in nf.fit(nf.System(nf.Stereo(), nf.DIF()), clips).score(clips)]
    assert turned == pytest.approx(straight)
