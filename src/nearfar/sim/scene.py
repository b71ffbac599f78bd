"""One simulated clip: the machine at two emission points, the hall around it, two microphones.

    channel = Σ_p H(channel, p) · stem_p                    machine: body and fault point
            + Σ_j H(channel, j) · source_j + diffuse field  factory noise
            + rumble, in phase at both + self-noise

Everything is summed as spectra, one inverse FFT per channel for the machine and one for the rest.
The noise level hangs on the machine type's reference (stems of RMS 1) and never on the clip, and
its random stream is its own: a fault can neither change it nor be heard through it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import SettingError, did_you_mean
from nearfar.sim import acoustics, noise
from nearfar.sim.kit import Kit
from nearfar.sim.levels import clip_statistics
from nearfar.sim.machine import Condition, Machine, Stems, unit_rng
from nearfar.sim.machines import MACHINES, OTHERS
from nearfar.sim.scenes import Scene, scene_of
from nearfar.sim.version import SIM_VERSION
from nearfar.sound.audio import SAMPLE_RATE, Audio

SPLITS, DOMAINS, LABELS = ("train", "test"), ("source", "target"), ("normal", "anomaly")
# Their mean ratio is sure to about 0.3 dB, against a tolerance of 1.5, in half a second.
_INSTALLATION_CLIPS, _INSTALLATION_SECONDS = 36, 2.0


@dataclass(frozen=True)
class ClipKey:
    """Names one clip of the simulated set; with a seed it determines every sample.

    >>> key = ClipKey("fan", "test", "source", "anomaly", index=0, seconds=1.0)
    >>> key.samples
    16000
    >>> render(key, seed=0).truth["fault"]
    'unbalance'

    Raises:
        SettingError: an unknown split, domain or label, a negative index, no duration.
    """

    machine: str
    split: str
    domain: str
    label: str
    index: int
    seconds: float

    def __post_init__(self) -> None:
        for value, known in ((self.split, SPLITS), (self.domain, DOMAINS), (self.label, LABELS)):
            if value not in known:
                raise SettingError(f"unknown {value!r} in a clip key; {did_you_mean(value, known)}")
        if self.index < 0 or not self.seconds > 0:  # NaN is not above 0 either
            raise SettingError(
                f"clip key has index {self.index} and {self.seconds} s; "
                "give an index from 0 and more than 0 s"
            )

    @property
    def samples(self) -> int:
        """Length in samples."""
        return round(self.seconds * SAMPLE_RATE)


@dataclass(frozen=True)
class Rendered:
    """A clip and what it is made of: `audio` = `machine` + `noise`, float32 (2, samples) each.

    >>> clip = render(ClipKey("valveEmu", "train", "source", "normal", 0, 1.0), seed=0)
    >>> clip.audio.shape, bool((clip.audio == clip.machine + clip.noise).all())
    ((2, 16000), True)
    """

    audio: Audio
    machine: Audio
    noise: Audio
    truth: dict[str, Any]  # for whoever checks a system; no system reads it


@dataclass(frozen=True)
class Moment:
    """When in a machine's life a clip was recorded, where that is not left to its index.

    >>> Moment(severity=0.5, louder_db=-3.0).louder_db  # half worn, in a quiet hour
    -3.0
    """

    severity: float  # of the machine's first fault, 0–1
    louder_db: float = 0.0  # noise of the hall over the scene's


def render(
    key: ClipKey, seed: int, scene: Scene | None = None, moment: Moment | None = None
) -> Rendered:
    """Render one clip: a pure function of (SIM_VERSION, seed, key), whatever was rendered before.

    Args:
        key: which clip.
        seed: the data set's seed.
        scene: knobs other than the machine's own, for calibration.
        moment: severity and noise of one in a course of clips, instead of those of the key.

    Returns:
        the clip, its stems at the recorder's fixed gain, and its truth: condition, fault,
        severity (0 for normal clips), snr_db (near, machine over everything else), noise kind,
        clipped samples per channel as int16, seed, version.

    Raises:
        SettingError: no such machine.
    """
    knobs = scene_of(key.machine) if scene is None else scene
    # Streams of their own: whatever the machine draws, its noise is the same.
    choices, machine_rng, noise_rng = clip_rng(key, seed).spawn(3)
    machine = _machine(key.machine)
    condition = _condition(machine, key, choices)
    fault, severity = _fault(machine, key, knobs, moment)
    kit = Kit(key.samples, machine_rng, SAMPLE_RATE)
    unit = unit_rng(seed, key.machine, condition.unit)
    stems = machine.render(kit, condition, fault, severity, unit)  # RMS 1 but for its loudness
    level = _gain(choices.normal(0.0, knobs.machine_sd_db))
    mixer = _Mixer(key, seed, knobs, far_gain_db(key.machine, seed, knobs))
    machine_audio = mixer.machine(stems, level)
    noise_audio, kind = mixer.surroundings(noise_rng, moment.louder_db if moment else 0.0)
    truth = {
        "condition": condition.tail,
        "unit": condition.unit,
        "fault": fault,
        "severity": severity,
        "snr_db": _snr_db(machine_audio[0], noise_audio[0]),
        "noise": kind,
        "seed": seed,
        "version": SIM_VERSION,
    }
    audio = machine_audio + noise_audio  # never clipped here: the sum of the stems stays exact
    truth["clipped"] = int(np.count_nonzero(np.abs(audio) >= 1.0))
    return Rendered(audio, machine_audio, noise_audio, truth)


def clip_rng(key: ClipKey, seed: int) -> np.random.Generator:
    """The clip's own random stream."""
    cell = f"{key.split}/{key.domain}/{key.label}"
    # crc32, for `hash` of a text is another in every process.
    words = [SIM_VERSION, seed, crc32(key.machine.encode()), crc32(cell.encode()), key.index]
    return np.random.default_rng(words)


def condition_of(key: ClipKey, seed: int) -> Condition:
    """The operating condition `render` gives this clip, without rendering it.

    Raises:
        SettingError: no such machine.
    """
    scene_of(key.machine)
    return _condition(_machine(key.machine), key, clip_rng(key, seed).spawn(3)[0])


def _machine(name: str) -> Machine:
    return OTHERS[name] if name in OTHERS else MACHINES[name]


def _condition(machine: Machine, key: ClipKey, rng: np.random.Generator) -> Condition:
    conditions = machine.source if key.domain == "source" else machine.target
    return conditions[int(rng.integers(len(conditions)))]


def _fault(
    machine: Machine, key: ClipKey, knobs: Scene, moment: Moment | None
) -> tuple[str | None, float]:
    """Fault and severity: faults cycle with the index, severities once per round of faults."""
    if moment is not None:
        return (machine.faults[0].name if moment.severity > 0 else None), moment.severity
    if key.label == "normal":
        return None, 0.0
    # Cycled, not drawn: the smallest set has every fault.
    turn, which = divmod(key.index, len(machine.faults))
    return machine.faults[which].name, knobs.severities[turn % 3]


def _gain(db: float) -> float:
    return float(10 ** (db / 20))


def _snr_db(signal: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    power = [float(np.mean(np.square(x, dtype=np.float64))) for x in (signal, other)]
    return float(10 * np.log10((power[0] + 1e-20) / (power[1] + 1e-20)))


@lru_cache(maxsize=32)
def far_gain_db(name: str, seed: int, knobs: Scene) -> float:
    """Gain of the far channel, set once per machine and seed as at an installation.

    A few normal clips of the source domain, from a stream of their own, are rendered at gain 0;
    what their mean near/far ratio lacks to the scene's `ratio_db` is the gain. So the ratio holds
    in every room, and turning another knob does not move it.
    """
    machine, ratios = _machine(name), []
    knobs = replace(knobs, noise_sd_db=0.0)  # its mean is known: fewer clips do
    for index in range(_INSTALLATION_CLIPS):
        key = ClipKey(name, "train", "source", "normal", index, _INSTALLATION_SECONDS)
        machine_rng, noise_rng = acoustics.room_rng(seed, name, f"installation {index}").spawn(2)
        condition = machine.source[index * len(machine.source) // _INSTALLATION_CLIPS]
        unit = unit_rng(seed, name, condition.unit)
        kit = Kit(key.samples, machine_rng, SAMPLE_RATE)
        mixer = _Mixer(key, seed, knobs, 0.0)
        audio = mixer.machine(machine.render(kit, condition, None, 0.0, unit), 1.0)
        ratios.append(clip_statistics(audio + mixer.surroundings(noise_rng)[0])["ratio_db"])
    return float(np.mean(ratios)) - knobs.ratio_db


class _Mixer:
    """Sums one clip's spectra at both microphones."""

    def __init__(self, key: ClipKey, seed: int, knobs: Scene, far_gain_db: float) -> None:
        from scipy.fft import next_fast_len

        self.key, self.knobs = key, knobs
        # Room for the longest response: the end of a clip must not wrap round to its beginning.
        self.size = int(next_fast_len(key.samples + acoustics.TAPS, real=True))
        # (2 microphones, PLACES, bins)
        self.h = acoustics.transfer(seed, key.machine, knobs.geometry, self.size)
        eq = acoustics.mic_difference(seed, key.machine, knobs.mic_eq_db, self.size)
        self.far = eq * np.float32(_gain(far_gain_db))
        self.gain = knobs.gain(far_gain_db)

    def machine(self, stems: Stems, level: float) -> Audio:
        """The machine's stems through the room to both microphones."""
        from scipy.fft import rfft

        body, point = (rfft(stem, self.size) for stem in (stems.body, stems.point))
        h = self.h
        return self._heard(
            h[0, acoustics.BODY] * body + h[0, acoustics.POINT] * point,
            h[1, acoustics.BODY] * body + h[1, acoustics.POINT] * point,
            level,
        )

    def surroundings(self, rng: np.random.Generator, louder_db: float = 0.0) -> tuple[Audio, str]:
        """Everything else, and the name of the clip's kind of noise."""
        knobs, size = self.knobs, self.size
        target = self.key.domain == "target"
        kind = noise.draw_kind(rng, knobs.target_mix if target else 0.0)
        snr_db = knobs.snr_db + (knobs.target_snr_offset_db if target else 0.0)
        total = _gain(
            rng.normal(louder_db - snr_db, knobs.noise_sd_db)
        )  # over the reference, whose RMS is 1
        tilt = rng.normal(0.0, knobs.tilt_sd)
        background = 1 / (1 + _gain(-2 * knobs.diffuse_db))  # share of the power
        pair = acoustics.diffuse_pair(rng, knobs.far_m, size)
        colour = total * np.sqrt(background) * noise.shape(noise.BACKGROUND_COLOUR, tilt, size)
        near, far = (spectrum * colour.astype(np.float32) for spectrum in pair)
        for place, source in self._sources(rng, kind, tilt, total * np.sqrt(1 - background)):
            near += self.h[0, place] * source
            far += self.h[1, place] * source
        # Beside `total`: it decides LR_corr and little else, so it has a knob of its own.
        low = acoustics.rumble(rng, size) * np.float32(_gain(knobs.rumble_db))
        near[: low.size] += low
        far[: low.size] += low
        hiss = np.float32(_gain(knobs.self_noise_db))
        near += hiss * acoustics.gaussian(rng, size)
        far += hiss * acoustics.gaussian(rng, size)
        return self._heard(near, far, 1.0), kind.name

    def _sources(
        self, rng: np.random.Generator, kind: noise.Kind, tilt: float, level: float
    ) -> list[tuple[int, acoustics.Spectrum]]:
        """Point sources of the noise: (place, spectrum), together `level` at the near mic."""
        size, share = self.size, noise.EVENT_SHARE if kind.course else 0.0
        steady = noise.shape(noise.HALL_COLOUR, tilt, size) * acoustics.gaussian(rng, size)
        sources = [(acoustics.HALL, steady * np.float32(level * np.sqrt(1 - share)))]
        if kind.course is None:
            return sources
        colour = noise.shape(kind.colour, tilt, size) * np.float32(level * np.sqrt(share))
        courses = noise.events(rng, kind, self.key.samples, size)
        return sources + [(p, c * colour) for p, c in zip(kind.places, courses, strict=True)]

    def _heard(self, near: acoustics.Spectrum, far: acoustics.Spectrum, level: float) -> Audio:
        """Both spectra through microphones and recorder, back to time: float32 (2, samples)."""
        from scipy.fft import irfft

        gain = np.float32(self.gain * level)
        out = np.empty((2, self.key.samples), np.float32)
        out[0] = irfft(near * gain, self.size)[: self.key.samples]
        out[1] = irfft(far * (self.far * gain), self.size)[: self.key.samples]
        return out
