"""What opposes the domain: DANN's turned gradient, MixStyle's mixed statistics."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import nearfar as nf
from conftest import TINY
from finetune_sounds import EAR, system, write_classes
from nearfar.embedder.eat.weights import open_weights
from nearfar.errors import DatasetError

torch = pytest.importorskip("torch")

from nearfar.embedder.eat.model import load
from nearfar.training import FineTuning
from nearfar.training.examples.examples import batches, domain_shares, examples
from nearfar.training.learner.domains import Discriminator, MixStyle, reversal
from nearfar.training.learner.learner import learner
from nearfar.training.run import finetune
from trainings import SHORT, noise

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = nf.Runtime(device="cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_classes(tmp_path_factory.mktemp("classes"), 8, 5, seconds=(1.5, 1.2))


@pytest.fixture(scope="module")
def clips(data):
    return nf.Clips.open(data, split="train")


# ---- DANN ----------------------------------------------------------------------------------------


def test_the_turned_gradient_comes_in_as_the_paper_says():
    for p in (0.0, 0.03, 0.25, 0.9, 1.0):
        assert reversal(p) == pytest.approx(math.tanh(5 * p), abs=1e-12)  # the same, otherwise


def test_the_encoder_gets_the_gradient_turned_round_and_the_classifier_does_not():
    torch.manual_seed(0)
    judge, domains = Discriminator(8, (0.5, 0.5)), torch.tensor([0, 1, 1, 0, -1])

    def gradients(strength):
        judge.zero_grad()
        x = noise(5, 8).requires_grad_()
        judge(x, domains, strength).backward()
        return x.grad, [p.grad.clone() for p in judge.parameters()]

    x = noise(5, 8).requires_grad_()  # without anything that turns
    logits = judge.out(torch.relu(judge.hidden(x)))[:4, 0]
    sign = 1 - 2 * domains[:4]  # log(1 + e^z) for source, log(1 + e^−z) for target, weights of 1
    (torch.log1p(torch.exp(sign * logits)).sum() / 5).backward()
    plain, own = x.grad, [p.grad.clone() for p in judge.parameters()]
    for strength in (0.0, 0.4, 1.0):
        turned, same = gradients(strength)
        assert torch.allclose(turned, -strength * plain, atol=1e-8)
        assert all(torch.allclose(a, b, atol=1e-7) for a, b in zip(own, same, strict=True))
    assert plain[:4].abs().min() > 0
    assert (plain[4] == 0).all()  # no domain: no part in it


def test_both_domains_count_one_half():
    torch.manual_seed(0)
    n = 1000
    domains = torch.tensor([0] * 980 + [1] * 10 + [-1] * 10)
    judge, x = Discriminator(8, (0.98, 0.01)).double(), noise(n, 8).double()
    z = judge.out(torch.relu(judge.hidden(x)))[:, 0].detach().numpy()
    source, target = np.log1p(np.exp(z[:980])), np.log1p(np.exp(-z[980:990]))
    expected = source.mean() / 2 + target.mean() / 2
    assert judge(x, domains, 1.0).item() == pytest.approx(expected, rel=1e-9)
    # And in parts too, whatever clips these have.
    cut = torch.randperm(n, generator=torch.Generator().manual_seed(1)).split(40)
    parts = [judge(x[some], domains[some], 1.0).item() * len(some) / n for some in cut]
    assert sum(parts) == pytest.approx(expected, rel=1e-9)


def test_a_batch_without_domains_has_gradients_of_zero():
    """AdamW leaves out what has none, and a resumed training could not know in which steps."""
    judge = Discriminator(8, (0.5, 0.5))
    judge(noise(4, 8), torch.full((4,), -1), 1.0).backward()
    assert all((p.grad == 0).all() for p in judge.parameters())


@pytest.mark.parametrize("balanced", [False, True])
def test_shares_of_domains_are_those_of_what_is_drawn(clips, tmp_path, balanced):
    settings = replace(SHORT, balanced=balanced, seed=3)
    found = examples(clips, nf.CoherenceMask(), EAR, settings, nf.Runtime(cache=tmp_path))
    assert Counter(found.domains.tolist()) == {0: 16, 1: 10}
    drawn = [
        int(found.domains[i])
        for epoch in range(40)
        for some in batches(found, settings, epoch)
        for i in some
    ]
    share = drawn.count(1) / len(drawn)
    assert domain_shares(found, balanced)[1] == pytest.approx(share, abs=0.02)
    assert sum(domain_shares(found, balanced)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("kept", "message"),
    [("source", "there is only source clips"), ("target", "only target clips"),
     (None, "there is no clip with a domain")],
)  # fmt: skip
def test_one_domain_alone_is_refused_before_any_work(clips, tmp_path, monkeypatch, kept, message):
    monkeypatch.setattr("nearfar.training.examples.examples.prepare", None)  # no front end is heard
    if kept is None:
        some = nf.Clips(replace(c, domain=None, attributes=c.domain) for c in clips)
    else:
        some = nf.Clips(c for c in clips if c.domain == kept)
    settings = replace(SHORT, adaptation="dann")
    with pytest.raises(DatasetError, match=message) as error:
        finetune(system(TINY), some, settings, CPU, out=tmp_path / "s1.safetensors")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_the_progress_is_that_of_the_whole_training(clips, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "nearfar.training.loop.loop.reversal", lambda p: seen.append(p) or reversal(p)
    )
    finetune(system(TINY), clips, replace(SHORT, adaptation="dann"), CPU,
             out=tmp_path / "s1.safetensors")  # fmt: skip
    assert seen == pytest.approx(np.arange(len(seen)) / len(seen))


# ---- MixStyle ------------------------------------------------------------------------------------


ALWAYS = MixStyle(1, chance=1.0, alpha=0.5)


def styles(x):
    """Mean and deviation over the patches, float64."""
    patches = x[:, 1:].detach().double().numpy()
    return np.stack([patches.mean(axis=1), np.sqrt(patches.var(axis=1) + 1e-6)], axis=1)


def some_tokens():
    """Clips of two lengths whose channels differ in level and spread."""
    return [
        noise(n, tokens, 6, seed=n) * (1 + noise(n, 1, 6, seed=n + 9) ** 2) + 3 * noise(n, 1, 6)
        for n, tokens in ((3, 9), (2, 17))
    ]


def test_a_clip_takes_part_of_anothers_style_whatever_its_length():
    tokens = some_tokens()
    torch.manual_seed(1)
    mixed = ALWAYS(tokens)
    before = np.concatenate([styles(x) for x in tokens])
    after = np.concatenate([styles(x) for x in mixed])
    donors = []
    for i, row in enumerate(after):
        for j, other in enumerate(before):  # new = other + λ (own − other), one λ for all channels
            way = before[i] - other
            share = (way * (row - other)).sum() / max((way**2).sum(), 1e-12)
            if np.allclose(row, other + share * way, atol=1e-4) and j != i and share < 1 - 1e-6:
                assert share >= -1e-6
                donors.append((i, j))
    assert len(donors) >= 2
    assert any((i < 3) != (j < 3) for i, j in donors)  # between lengths
    assert len({j for _, j in donors}) == len(donors)  # a permutation


def test_all_but_the_style_stays():
    tokens = some_tokens()
    torch.manual_seed(1)
    for x, y in zip(tokens, ALWAYS(tokens), strict=True):
        assert torch.equal(x[:, 0], y[:, 0])  # CLS

        def normal(some):
            mean, deviation = np.moveaxis(styles(some), 1, 0)[:, :, None]
            return (some[:, 1:].double().numpy() - mean) / deviation

        assert np.allclose(normal(x), normal(y), atol=1e-4)


def test_statistics_have_no_gradient():
    tokens = [x.requires_grad_() for x in some_tokens()]
    torch.manual_seed(1)
    mixed, weights = ALWAYS(tokens), [noise(*x.shape, seed=5) for x in some_tokens()]
    sum((y * w).sum() for y, w in zip(mixed, weights, strict=True)).backward()
    for x, y, w in zip(tokens, mixed, weights, strict=True):
        ratio = torch.from_numpy(styles(y)[:, 1] / styles(x)[:, 1])[:, None]
        assert torch.allclose(x.grad[:, 1:].double(), ratio * w[:, 1:], rtol=1e-3)


def test_half_of_the_batches_are_mixed_as_the_seed_says():
    tokens, usual = some_tokens(), MixStyle.of_depth(24)
    assert [MixStyle.of_depth(d).block for d in (1, 2, 12, 24)] == [1, 1, 3, 6]
    torch.manual_seed(0)
    mixed = sum(usual(tokens)[0] is not tokens[0] for _ in range(400))
    assert mixed == pytest.approx(200, abs=40)  # four deviations
    torch.manual_seed(5)
    first = ALWAYS(tokens)
    torch.manual_seed(5)
    assert all(torch.equal(a, b) for a, b in zip(first, ALWAYS(tokens), strict=True))


@torch.no_grad()
def test_mixing_is_off_when_clips_are_judged():
    mels = [noise(3, 32, 128), noise(2, 48, 128, seed=1)]
    usual = learner(open_weights(TINY), 4, FineTuning())
    pupil = learner(open_weights(TINY), 4, FineTuning(adaptation="mixstyle"))
    pupil.mixstyle = replace(pupil.mixstyle, chance=1.0)
    torch.manual_seed(1)
    assert not torch.allclose(pupil.train().statistics(mels), usual.statistics(mels), atol=1e-3)
    assert torch.equal(pupil.eval().statistics(mels), usual.statistics(mels))


@torch.no_grad()
def test_blocks_in_two_parts_are_the_blocks():
    encoder, mel = load(open_weights(TINY)), noise(2, 48, 128)
    half = encoder.through(encoder.embed(mel), 0, 1)
    assert torch.equal(half, encoder(mel, 1))
    assert torch.equal(encoder.through(half, 1), encoder(mel))
