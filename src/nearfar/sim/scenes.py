"""The knobs of every machine's recording scene, and the statistics they are turned to.

The targets are the report's (section 2.1.1) for ToyCar and fan and measured line ratios for the
rest; tolerances are ours. What each knob moves is said at its field. Knobs were turned on normal
clips' statistics and on simple baselines only, never on Systems 1 to 4.
"""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.errors import SettingError, did_you_mean
from nearfar.sim.acoustics import Geometry


@dataclass(frozen=True)
class Scene:
    """All knobs of one machine's scene; levels in dB.

    >>> from dataclasses import replace
    >>> quiet = replace(scene_of("fan"), snr_db=10.0)
    >>> quiet.geometry == scene_of("fan").geometry  # turning a level moves no wall
    True

    The unit of level is the machine type's reference: a healthy stem of RMS 1 at the near
    microphone. Noise is set against it, never against the clip at hand.
    """

    ratio_db: float  # mean near/far ratio over bins; the far channel's gain is set to give it
    snr_db: float  # near: reference to all noise but rumble; difficulty of everything
    diffuse_db: float  # diffuse background over point-source noise; more lowers coherence
    rumble_db: float  # in-phase rumble over the reference; more raises LR_corr
    mic_eq_db: float  # spread of the far microphone's response above 300 Hz; widens the bin ratios
    near_m: float = 0.35  # machine to near microphone
    far_m: float = 3.2  # machine to far microphone
    rt60: float = 0.45  # s
    severities: tuple[float, float, float] = (0.2, 0.35, 0.55)  # low, mid, high
    noise_sd_db: float = 2.5  # clip-to-clip spread of the noise level
    machine_sd_db: float = 0.0  # clip-to-clip spread of machine level beyond the machine's own 2 dB
    tilt_sd: float = 1.2  # dB per octave: clip-to-clip spread of the noise colour
    target_snr_offset_db: float = -1.0  # target domain: SNR against the source domain's
    target_mix: float = 1.0  # 0: the target has the source's noise kinds, 1: its own proportions
    self_noise_db: float = -60.0  # microphones, over the reference, independent
    crest_db: float = 15.0  # expected peak over RMS; with 6 dB of headroom it fixes the gain

    @property
    def geometry(self) -> Geometry:
        """What of the scene shapes the room responses."""
        return Geometry(self.near_m, self.far_m, self.rt60)

    def gain(self, far_gain_db: float) -> float:
        """The recorder's fixed gain, the same for every clip and both channels."""
        power = 1 + 10 ** (-self.snr_db / 10) + 10 ** (self.rumble_db / 10)
        louder = max(0.0, far_gain_db)
        return float(10 ** (-(self.crest_db + 6 + louder) / 20) / power**0.5)


@dataclass(frozen=True)
class Target:
    """Statistics of normal source clips a scene must meet; None: nothing is known.

    >>> TARGETS["ToyCar"].mask, TARGETS["valveEmu"].mask
    (0.96, None)

    `ratio_db` is the mean over bins of the near/far power ratio in dB (clip-level EMA spectra);
    `lr` is the open and closed end of the allowed LR_corr; `gamma` the largest clip-level MSC.
    """

    ratio_db: float
    mask: float | None = None
    floor: float | None = None
    lr: tuple[float, float] = (-0.3, 0.3)
    gamma: float = 0.06


RATIO_TOLERANCE_DB = 1.5
MASK_TOLERANCE = 0.04
FLOOR_TOLERANCE = 0.07
LR_TOLERANCE = 0.08

TARGETS: dict[str, Target] = {
    "ToyCar": Target(21.0, mask=0.96),
    "ToyCarEmu": Target(11.2),
    "bearingEmu": Target(0.6),
    "fan": Target(-0.6, mask=0.50, floor=0.36, lr=(0.86 - LR_TOLERANCE, 0.86 + LR_TOLERANCE)),
    "gearboxEmu": Target(-2.8, lr=(0.3, 0.6)),
    "sliderEmu": Target(-0.3, lr=(0.3, 0.6)),
    "valveEmu": Target(-3.6),
}

SCENES: dict[str, Scene] = {
    "ToyCar": Scene(
        20.8,
        3.0,
        6.0,
        -13.0,
        1.5,
        severities=(0.15, 0.3, 0.5),
        target_snr_offset_db=-2.0,
        crest_db=17.0,
    ),
    "ToyCarEmu": Scene(
        11.2,
        -0.5,
        5.0,
        -7.0,
        1.5,
        severities=(0.15, 0.3, 0.45),
        target_snr_offset_db=-1.8,
        crest_db=17.0,
    ),
    "bearingEmu": Scene(
        0.6,
        -3.0,
        5.0,
        -7.0,
        1.5,
        severities=(0.12, 0.25, 0.42),
        target_snr_offset_db=-1.8,
        crest_db=18.0,
    ),
    # 13 dB of rumble: waveforms agree (0.86), spectra above 200 Hz do not.
    "fan": Scene(-0.15, -4.0, 6.0, 13.0, 1.3, severities=(0.25, 0.45, 0.65)),
    # 3.5 dB of rumble bring these two into the middle tier of LR_corr, 0.3 to 0.6.
    "gearboxEmu": Scene(-2.8, -2.0, 6.0, 3.5, 1.5, severities=(0.17, 0.3, 0.5)),
    "sliderEmu": Scene(-0.3, -2.0, 6.0, 3.5, 1.5, target_snr_offset_db=-1.6),
    "valveEmu": Scene(
        -3.6,
        0.0,
        6.0,
        -5.0,
        1.5,
        severities=(0.13, 0.26, 0.45),
        target_snr_offset_db=-0.3,
        crest_db=18.0,
    ),
}

# Of machines beside the data set, which have no target in the real one. The line beside the pump is
# as loud at its near microphone as itself, give or take; 24 dB of crest leave room for its blows.
OTHERS: dict[str, Scene] = {"pump": Scene(6.0, 2.0, 5.0, -7.0, 1.5, crest_db=24.0)}


def scene_of(machine: str) -> Scene:
    """The scene of a machine.

    Raises:
        SettingError: no such machine; says which exist.
    """
    known = {**SCENES, **OTHERS}
    if machine not in known:
        raise SettingError(f"unknown machine {machine!r}; {did_you_mean(machine, known)}")
    return known[machine]
