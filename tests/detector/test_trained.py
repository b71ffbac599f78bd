"""Systems 1 and 2 around a trained encoder: head, front end, thresholds from unheard clips."""

import warnings
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch

import nearfar as nf
from command import failed
from nearfar.embedder.eat.model import load
from nearfar.embedder.eat.weights import open_weights
from nearfar.embedder.engines import engine
from nearfar.embedder.record import HEARD_DIGITS, Training
from nearfar.embedder.trunk import AttentiveStatistics, Projection
from nearfar.parts.data import to_data
from nearfar.sound.audio import digest_of, read
from nearfar.testing import noise
from trained_file import TINY, make_trained


@pytest.fixture(scope="module")
def train(dcase):
    return nf.Clips.open(dcase, split="train")


@pytest.fixture(scope="module")
def test_clips(dcase):
    return nf.Clips.open(dcase, split="test")


@pytest.fixture(scope="module")
def fans(train):
    return nf.Clips(c for c in train if c.machine == "fan")


@pytest.fixture(scope="module")
def heard(fans):
    """The sounds of the first eight of twelve fans."""
    return [read(c.path) for c in fans][:8]


# ---- the head --------------------------------------------------------------------------------


def test_attentive_statistics_by_the_papers_formulas():
    """Okabe et al. 2018: e = vᵀ tanh(W h + b) + k, α = softmax e, μ = Σ α h, σ² = Σ α h² − μ²."""
    torch.manual_seed(0)
    part = AttentiveStatistics(6, 4).double()
    h = torch.randn(3, 9, 6, dtype=torch.float64)
    got = part(h).detach().numpy()
    w, b = (x.detach().numpy() for x in (part.hidden.weight, part.hidden.bias))
    v, k = (x.detach().numpy() for x in (part.score.weight, part.score.bias))
    for clip, row in zip(h.numpy(), got, strict=True):
        e = np.array([(v @ np.tanh(w @ x + b) + k)[0] for x in clip])
        alpha = np.exp(e) / np.exp(e).sum()
        mean = sum(a * x for a, x in zip(alpha, clip, strict=True))
        variance = sum(a * x**2 for a, x in zip(alpha, clip, strict=True)) - mean**2
        np.testing.assert_allclose(row, np.r_[mean, np.sqrt(variance)], rtol=1e-5)


def test_pooling_does_not_depend_on_the_order_of_tokens_and_survives_equal_ones():
    torch.manual_seed(0)
    part = AttentiveStatistics(6, 4)
    h = torch.randn(2, 9, 6)
    torch.testing.assert_close(part(h), part(h.flip(1)))
    same = torch.ones(2, 9, 6, requires_grad=True)
    part(same).sum().backward()
    assert torch.isfinite(same.grad).all()  # the root of a variance of 0


def test_projection_is_linear_norm_relu_linear_and_of_length_one():
    torch.manual_seed(0)
    part = Projection(8, 5, 3).eval()
    x = torch.randn(4, 8)
    y = part.out(torch.relu(part.norm(part.hidden(x))))
    torch.testing.assert_close(part(x), y / y.norm(dim=1, keepdim=True))


def test_sizes_follow_the_encoder():
    """1,024 → 2,048 statistics → 512 → 256 (report §2.2); 64 → 128 → 32 → 16."""
    shapes = open_weights(TINY).architecture.projected().shapes()
    assert shapes["projection.hidden.weight"] == (32, 128)
    assert shapes["projection.out.weight"] == (16, 32)


def test_the_trained_embedding_is_the_heads(tmp_path):
    path = make_trained(tmp_path / "s1.safetensors")
    part, sound = nf.EAT(str(path)), noise(1, 2.0)
    assert part.dim == 16
    encoder = load(open_weights(path))
    with torch.inference_mode():
        tokens = encoder(torch.from_numpy(part.prepare(sound))[None])
        wanted = encoder.projection(encoder.pooling(tokens[:, 1:]))
    np.testing.assert_allclose(part([sound]), wanted.numpy(), atol=1e-6)
    assert nf.EAT(str(path), pooling="mean").dim == 64
    assert "trained by nearfar (16 numbers)" in open_weights(path).architecture.name
    assert engine(open_weights(path), "fp32", "cpu").project is not None
    with pytest.raises(nf.NearfarError, match="nearfar finetune makes one"):
        load(open_weights(TINY)).project(tokens)


# ---- Systems 1 and 2 -------------------------------------------------------------------------


def test_system_1_is_one_minus_the_largest_cosine(train, test_clips, tmp_path):
    """Eq. 3, recomputed from masked audio, crops and cosines."""
    path = make_trained(tmp_path / "s1.safetensors")
    detector = nf.fit(nf.s1(str(path)), train)
    mask, part = nf.CoherenceMask(), nf.Crops(nf.EAT(str(path)))

    def embed(clip):
        return part([mask(read(clip.path))])[0].astype(float)

    bank = np.stack([embed(c) for c in train if c.machine == "fan"])
    queries = [c for c in test_clips if c.machine == "fan"][:4]
    wanted = [1 - (bank @ embed(c)).max() for c in queries]
    got = [v.score for v in detector.score(nf.Clips(queries))]
    np.testing.assert_allclose(got, wanted, atol=1e-6)


@pytest.mark.slow
def test_system_2_averages_z_scores_of_leave_one_out(train, test_clips, tmp_path):
    paths = [str(make_trained(tmp_path / f"{i}.safetensors", seed=i)) for i in range(4)]
    fans = nf.Clips(c for c in test_clips if c.machine == "fan")
    total = np.zeros(len(fans))
    for path in paths:
        detector = nf.fit(replace(nf.s1(path), self_scores="loo"), train)
        member = detector.sections["fan", "00"].members[0]
        rows = member.bank.embeddings.astype(float)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)  # float32 is not of length 1 exactly
        cosines = rows @ rows.T
        np.fill_diagonal(cosines, -1)
        loo = 1 - cosines.max(axis=1)
        raw = np.array([v.score for v in detector.score(fans)])
        total += (raw - loo.mean()) / loo.std() / 4
    got = [v.score for v in nf.fit(nf.s2(*paths), train).score(fans)]
    np.testing.assert_allclose(got, total, rtol=1e-5)


@dataclass(frozen=True)
class Wrapped:
    """An embedder of one's own in one step, around a trained encoder."""

    inner: nf.EAT
    channels: ClassVar[int] = 1

    @property
    def dim(self):
        return self.inner.dim

    @property
    def fingerprint(self):
        return self.inner.fingerprint

    @property
    def training(self):
        return self.inner.training

    def __call__(self, audios):
        return self.inner(audios)


@dataclass(frozen=True)
class Memorised:
    """An encoder that has learned its clips by heart: all of them are one point to it.

    Other sounds lie where their own hash says, at 0.1 to 1.1 radians from that point.
    """

    heard: frozenset[str]
    honest: bool = True
    channels: ClassVar[int] = 1
    dim: ClassVar[int] = 2
    fingerprint: ClassVar[str] = "memorised"

    @property
    def training(self):
        classes = (("fan", "00", "source"), ("fan", "00", "target"))
        record = Training(to_data(nf.Near()), None, classes, frozenset(), self.heard)
        return record if self.honest else None

    def __call__(self, audios):
        return np.array([self._row(digest_of(a)) for a in audios], np.float32)

    def _row(self, digest):
        unheard = digest[:HEARD_DIGITS] not in self.heard
        angle = 0.1 + int(digest[:6], 16) / 16**6 if unheard else 0.0
        return np.cos(angle), np.sin(angle)


# ---- honesty ---------------------------------------------------------------------------------


def test_thresholds_come_from_clips_the_encoder_has_not_heard(fans, heard, tmp_path):
    path = make_trained(tmp_path / "s1.safetensors", heard)
    detector = nf.fit(replace(nf.s1(str(path)), false_alarm_rate=0.3), fans)
    section = detector.sections["fan", "00"]
    drawn = detector.threshold("fan")
    assert drawn.clips == 4
    names = {c.name for c in fans[8:]}
    fresh = [c.name in names for c in section.clips]
    assert list(section.judges) == fresh
    scores = np.sort(section.members[0].self_scores[fresh])
    assert drawn.value == scores[-1]  # floor(0.3 · 5) − 1 = 0 of four may be above
    detector.save(tmp_path / "d")
    again = nf.load(tmp_path / "d")
    assert again.threshold("fan") == drawn
    assert again.sections["fan", "00"].fresh == section.fresh


def test_all_clips_would_draw_too_low_a_threshold(fans, heard, test_clips):
    """Clips that the encoder learned by heart lie on the bank, as no other clip ever does.

    At 40 % four of all twelve may be above: the unheard ones are, and so will every new clip be.
    """
    digests = frozenset(digest_of(a[:1])[:HEARD_DIGITS] for a in heard)
    rule = nf.KNN((1.0,), "cosine")
    honest, careless = (
        nf.fit(
            nf.System(nf.Near(), Memorised(digests, says), rule=rule, false_alarm_rate=0.4), fans
        )
        for says in (True, False)
    )
    assert (honest.threshold("fan").clips, careless.threshold("fan").clips) == (4, 12)
    assert careless.threshold("fan").value == pytest.approx(0, abs=1e-7)
    assert honest.threshold("fan").value > 1e-6
    normal = nf.Clips(c for c in test_clips if c.machine == "fan" and c.label == "normal")
    assert all(v.anomalous for v in careless.score(normal))


def test_too_few_unheard_clips_are_said(fans, heard, tmp_path):
    path = make_trained(tmp_path / "s1.safetensors", heard)
    explained = nf.fit(nf.s1(str(path)), fans).threshold("fan").explain(10.0)
    assert explained.startswith("10 % needs at least 9 normal clips, there are 4")
    everything = make_trained(tmp_path / "all.safetensors", [read(c.path) for c in fans])
    with pytest.warns(nf.NearfarWarning, match="fan: the encoder was trained on all 12 clips"):
        detector = nf.fit(nf.s1(str(everything)), fans)
    assert detector.threshold("fan").clips == 12


def test_a_fusion_calibrated_on_clips_that_its_encoder_knows_says_so_once(fans, heard, tmp_path):
    """Four of twelve are fresh, too few; System 2 takes all by the report's word, and is silent."""
    path = str(make_trained(tmp_path / "s1.safetensors", heard))
    known = replace(nf.s1(path), calibration=nf.Percentile())
    floor = replace(nf.logmel(), calibration=nf.Percentile())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nf.fit(nf.Ensemble((known, floor, known)), fans)
    said = [str(w.message) for w in caught if "calibrate" in str(w.message)]
    assert len(said) == 1
    assert said[0].startswith("fan: 4 of 12 clips are new to the encoder, 30 would calibrate it")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nf.fit(nf.Ensemble((replace(known, calibration=nf.Raw()), floor)), fans)
        nf.fit(nf.s2(path, path, path, path), fans)
    assert not [w for w in caught if "calibrate" in str(w.message)]


def test_an_ensemble_takes_clips_that_no_member_has_heard(fans, tmp_path):
    sounds = [read(c.path) for c in fans]
    parts = (sounds[:6], sounds[3:8], sounds[:2], ())
    paths = [
        str(make_trained(tmp_path / f"{i}.safetensors", some, seed=i))
        for i, some in enumerate(parts)
    ]
    assert nf.fit(nf.s2(*paths), fans).threshold("fan").clips == 4


def test_machines_the_encoder_never_saw_are_recorded(train, heard, tmp_path, run, dcase):
    path = make_trained(tmp_path / "s1.safetensors", heard)
    code, out, err = run("fit", dcase, "-s", "s1", "--weights", path, "-o", tmp_path / "d")
    assert code == 0, err
    assert "not trained on: pump" in out
    path.unlink()
    detector = nf.load(tmp_path / "d")  # it remembers, even without the weights
    assert detector.unheard_machines == ("pump",)
    assert detector.threshold("pump").clips == 12


def test_another_front_end_than_the_trained_one_is_refused(fans, tmp_path, run, dcase):
    path = make_trained(tmp_path / "s1.safetensors", frontend=nf.Near())
    with pytest.raises(nf.NearfarError, match=r"trained with Near\(\), the system has Coherence"):
        nf.fit(nf.s1(str(path)), fans)
    nf.fit(replace(nf.s1(str(path)), frontend=nf.Near()), fans)
    nf.fit(nf.s1(str(path)), fans, any_frontend=True)
    masked = make_trained(tmp_path / "m.safetensors")
    flags = ["-s", "s1", "--weights", masked, "-o", tmp_path / "d"]
    failed(run("fit", dcase, *flags, "--set", "frontend.floor=0.1"), "--any-frontend")
    failed(run("fit", dcase, *flags, "--set", "embedder.embedder.frames=160"), "frames=None")
    code, _, err = run("fit", dcase, *flags, "--set", "frontend.floor=0.1", "--any-frontend")
    assert code == 0, err


def test_presets_take_their_weights(run, tmp_path):
    path = make_trained(tmp_path / "s1.safetensors")
    told = run("systems", "s2", "--weights", path)
    failed(told, "s2 needs the trained weights of 4 encoders, 1 given", "nearfar finetune")
    code, out, _ = run("systems", "s1", "--weights", path)
    assert code == 0
    assert out.startswith("System(frontend=CoherenceMask(")


def test_whoever_says_how_it_was_trained_is_held_to_it(fans, heard, tmp_path):
    path = make_trained(tmp_path / "s1.safetensors", heard)
    system = replace(nf.s1(str(path)), embedder=Wrapped(nf.EAT(str(path))))
    assert nf.fit(system, fans).threshold("fan").clips == 4


def test_clips_that_were_cut_otherwise_are_doubted(fans, heard, tmp_path):
    """Parts of what the encoder heard have other hashes, and are not fresh for it."""
    path = make_trained(tmp_path / "s1.safetensors", heard)
    cut = nf.Clips(replace(c, start=0.0, stop=1.4) for c in fans)
    with pytest.warns(nf.NearfarWarning, match="fan: .* on none of these clips"):
        nf.fit(nf.s1(str(path)), cut)


def test_another_channel_order_than_in_training_is_refused(fans, heard, tmp_path):
    path = make_trained(tmp_path / "s1.safetensors", heard)
    with pytest.raises(nf.NearfarError, match="trained with channel order near-far"):
        nf.fit(nf.s1(str(path)), fans, order="far-near")


def test_published_weights_are_no_system_1(fans):
    with pytest.warns(nf.NearfarWarning, match="frozen baseline, not System 1"):
        nf.fit(nf.s1(str(TINY)), fans)
    meant = replace(nf.s1(str(TINY)), embedder=nf.Crops(nf.EAT(str(TINY), pooling="mean")))
    nf.fit(meant, fans)  # no warning


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}', '{"format": 1}', "null"])
def test_a_damaged_record_is_one_line(fans, tmp_path, text):
    from safetensors import safe_open
    from safetensors.torch import save_file

    path = make_trained(tmp_path / "s1.safetensors")
    with safe_open(path, "pt") as file:
        metadata = file.metadata() | {"nearfar": text}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(nf.NearfarError, match=r"record of training is damaged|newer nearfar"):
        nf.fit(nf.s1(str(path)), fans)
