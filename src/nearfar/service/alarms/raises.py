"""How often clips that are independent raise an alarm: exactly where the chain is small."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearfar.scores.alarms import AlarmRule
from nearfar.service.alarms.hysteresis import ABOVE, BELOW

EXACT = 5  # clips of a window, up to which its 3ⁿ states are followed; beyond it is simulated
RUNS, CLIPS, WARM = 2_000, 1_500, 300  # of a simulation; the first clips are not counted
_NODES = (24, 8)  # of the integral over what the thresholds may really be
# Share by which a rate still changes; steps, for one that hardly ever clears: to four digits.
_STEADY, _LONGEST = 1e-8, 2_000
Chances = NDArray[np.float64]


@dataclass(frozen=True)
class RaiseRate:
    """Alarms raised for each clip.

    >>> RaiseRate(0.001).told, RaiseRate(0.001, error=0.0001).told
    ('exact', 'simulated, ± 10 %')
    """

    value: float
    error: float = 0.0  # standard error; 0: exact

    @property
    def told(self) -> str:
        """How it was found."""
        if not self.error:
            return "exact"
        if not self.value:
            return f"simulated, none in {RUNS * CLIPS:,} clips"
        return f"simulated, ± {100 * self.error / self.value:.2g} %"


def rate_of(rule: AlarmRule, n: int, above: int, clear: float) -> RaiseRate:
    """Alarms a clip, of normal clips like the n that the thresholds were drawn from.

    What share of new clips lies above a threshold that was drawn from n is not known: above the
    (a + 1)-th largest it is Beta(a + 1, n − a). It is averaged over, for k of n together are much
    more frequent where that share is high than they are rarer where it is low.

    Args:
        rule: of the alarm.
        n: normal clips.
        above: of these how many lie above the threshold.
        clear: p-value of the lower one.

    >>> f"{rate_of(AlarmRule(3, 5), n=99, above=9, clear=0.2).value:.6f}"
    '0.005013'
    """
    if rule.of > EXACT:
        return _simulated(rule, _drawn(n, above, clear, RUNS))
    chances, weights = _nodes(n, above, clear)
    return RaiseRate(float(weights @ chain_rate(rule, chances)))


def highest_rate(rule: AlarmRule, n: int, above: int, clear: float) -> RaiseRate:
    """The rate that is not exceeded with 95 % confidence: where the threshold was drawn too low."""
    from scipy.special import betaincinv

    share = betaincinv(above + 1, n - above, 0.95) if above < n else 1.0
    between = max(_lower(n, above, clear) - above - 1, 0) / max(n - above, 1)
    chances = _levels(np.array([share]), np.array([between]))
    if rule.of > EXACT:
        return _simulated(rule, np.repeat(chances, RUNS, axis=0))
    return RaiseRate(float(chain_rate(rule, chances)[0]))


def chain_rate(rule: AlarmRule, chances: Chances) -> NDArray[np.float64]:
    """(m,) alarms a clip in the long run, of m chains over the last clips' levels.

    Args:
        chances: (m, 3) of a clip below, between and above the thresholds.

    >>> chain_rate(AlarmRule(1, 1), np.array([[0.9, 0.0, 0.1]]))  # above, after one that is not
    array([0.09])
    """
    states = 3**rule.of
    places = np.arange(states)
    digits = places[:, None] // 3 ** np.arange(rule.of) % 3
    raises = (digits == ABOVE).sum(axis=1) >= rule.least
    keeps = (digits != BELOW).sum(axis=1) >= rule.least
    mass = np.zeros((len(chances), states, 2))  # of windows, without an alarm and with one
    mass[:, 0, 0] = 1.0
    rate = np.full(len(chances), -1.0)
    for step in range(_LONGEST):
        # The oldest clip falls out of the window, a new one comes in.
        left = mass.reshape(len(chances), 3, -1, 2).sum(axis=1)
        mass = (left[:, :, None] * chances[:, None, :, None]).reshape(len(chances), states, 2)
        raised, cleared = mass[:, :, 0] * raises, mass[:, :, 1] * ~keeps
        mass[:, :, 0] += cleared - raised
        mass[:, :, 1] += raised - cleared
        before, rate = rate, raised.sum(axis=1)
        if step > 2 * rule.of and np.all(np.abs(rate - before) <= _STEADY * rate):
            break
    return rate


def _simulated(rule: AlarmRule, chances: Chances) -> RaiseRate:
    """Of long windows: many runs, of each draw of the thresholds one."""
    rng = np.random.default_rng(0)  # the same question gets the same answer
    edges = np.cumsum(chances, axis=1)
    window = np.zeros((len(chances), rule.of), dtype=np.int8)
    standing = np.zeros(len(chances), dtype=np.bool_)
    raised = np.zeros(len(chances))
    warm = WARM + rule.of  # begun without an alarm, which is not how it is in the long run
    for step in range(CLIPS + warm):
        level = (rng.random(len(chances))[:, None] > edges[:, :2]).sum(axis=1)
        window[:, step % rule.of] = level
        up = (window == ABOVE).sum(axis=1) >= rule.least
        if step >= warm:
            raised += up & ~standing
        standing = np.where(standing, (window != BELOW).sum(axis=1) >= rule.least, up)
    rates = raised / CLIPS
    error = float(rates.std() / np.sqrt(len(rates)))
    return RaiseRate(float(rates.mean()), error or 1 / (RUNS * CLIPS))


def _lower(n: int, above: int, clear: float) -> int:
    """Of n + 1 equally likely places of a new clip, how many keep an alarm standing."""
    # A p-value of 0.2 may be 0.2000…01 of a quotient.
    return min(max(int(clear * (n + 1) + 1e-9), above + 1), n + 1)


def _levels(share: NDArray[np.float64], between: NDArray[np.float64]) -> Chances:
    """(…, 3) chances of the levels, from that of above, and of between among the others."""
    rest = 1 - share
    return np.stack([rest * (1 - between), rest * between, share * np.ones_like(rest)], axis=-1)


def _nodes(n: int, above: int, clear: float) -> tuple[Chances, NDArray[np.float64]]:
    """What the levels' chances may be, and how much each counts."""
    from scipy.special import betaincinv

    (u, wu), (v, wv) = (np.polynomial.legendre.leggauss(count) for count in _NODES)
    share = betaincinv(above + 1, max(n - above, 1e-9), (u + 1) / 2)
    others = _lower(n, above, clear) - above - 1
    below = n - above - others
    # Of places in a row the shares are those of broken sticks, Dirichlet(1, …, 1).
    between = np.zeros(len(v)) if others == 0 else betaincinv(others, max(below, 1e-9), (v + 1) / 2)
    chances = _levels(np.repeat(share, len(v)), np.tile(between, len(u)))
    return chances, np.outer(wu, wv).ravel() / 4


def _drawn(n: int, above: int, clear: float, count: int) -> Chances:
    """The same, drawn by chance."""
    rng = np.random.default_rng(1)
    others = _lower(n, above, clear) - above - 1
    below = n - above - others
    parts = [rng.standard_gamma(size, count) for size in (below, others, above + 1)]
    sticks = np.stack(parts, axis=1)
    found: Chances = sticks / sticks.sum(axis=1, keepdims=True)
    return found
