"""Measured false-alarm rates beside the promised ones: `python -m bench.false_alarms [FOLDER]`.

Writes docs/false-alarms.md. FOLDER keeps what was simulated and heard, for the next run.
"""

from __future__ import annotations

import os

# One core, before numpy starts its threads.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import sys  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from dataclasses import dataclass, field, replace  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
from scipy.stats import betabinom  # noqa: E402

import nearfar as nf  # noqa: E402
from bench.__main__ import OUTPUT, machine  # noqa: E402
from nearfar.clips.clip import Clip  # noqa: E402
from nearfar.clips.training import recording_blocks  # noqa: E402
from nearfar.detector.member import (  # noqa: E402
    Member,
    NormalRows,
    assign_folds,
    fit_member,
    pool_sizes,
)
from nearfar.embedding.rows import embed_audio  # noqa: E402
from nearfar.files import write_text  # noqa: E402
from nearfar.runtime.runtime import Runtime  # noqa: E402
from nearfar.scoring.bank import SOURCE, TARGET  # noqa: E402
from nearfar.scoring.calibrate import Threshold, threshold  # noqa: E402
from nearfar.scoring.rule import judged  # noqa: E402
from nearfar.sim import SIM_VERSION  # noqa: E402
from nearfar.sim.scene import ClipKey, render  # noqa: E402
from nearfar.sim.scenes import Scene, scene_of  # noqa: E402
from nearfar.sound.audio import SAMPLE_RATE, Audio, check, digest_of, from_array  # noqa: E402

SYSTEMS = {"s4": nf.s4(), "logmel": nf.logmel()}
MACHINES = ("fan", "valveEmu")  # channels alike: no residual rows; unlike: one a source clip
SEEDS = (0, 1, 2)
CLIPS = (10, 20, 30, 50, 100, 200, 300, 500, 1000)
RATES = (0.01, 0.05, 0.1)
SECONDS = 1.0
NEW = 300  # new clips that a draw's threshold is tried on
POOL = 1000 + NEW  # of each domain, so that 1,000 and as many new ones can be drawn
BESIDE = {"source": 10, "target": 100}  # clips of the other domain in each draw's bank
DEALERS = 40  # target clips that stand beside source clips: they need many residual rows
MANY, FEW = 112, 14  # residual rows of these, and of all others
# How often n clips are drawn of each machine and seed; many clips vary less.
DRAWS = {10: 60, 20: 60, 30: 60, 50: 36, 100: 28, 200: 18, 300: 14, 500: 10, 1000: 7}
MIXED = (100, 300, 1000)  # source clips beside 10 target clips, one threshold for both
SESSIONS, IN_SESSION, OF_ALL = 50, 44, 40  # simulated; clips of each; normals of a draw
FOLDED, FOLDS, FOLD_DRAWS = (50, 100, 200), (10, 20, 50), 20  # of the table of more folds
FROM = (1, 2, 4, 10, 40)  # sessions that these normals are of
SESSION_DRAWS = 40
HELD = ("sessions", "clips")  # what folds hold out: as the product, and as if clips were alone


@dataclass(frozen=True, eq=False)
class Heard:
    """Clips of one domain, each heard once, in the order of their digests as `fit` has them.

    Args:
        rows: system → (n, dim).
        lr_corr: (n,).
        residuals: (n,) of (m, dim); empty where none are needed.
    """

    rows: dict[str, np.ndarray]
    lr_corr: np.ndarray
    residuals: list[np.ndarray]


def sound(key: ClipKey, seed: int, scene: Scene | None = None) -> Audio:
    """A clip as a recorder of 16 bits keeps it."""
    whole = np.round(render(key, seed, scene).audio * 32768) / 32768
    return check(from_array(whole.astype(np.float32), SAMPLE_RATE), name="simulated", channels=2)


def hear(sounds: Sequence[Audio], residuals: Sequence[int]) -> Heard:
    """What the systems hear of some sounds, and so many residual rows of each."""
    chains = [system.chain for system in SYSTEMS.values()]
    order = sorted(range(len(sounds)), key=lambda i: digest_of(sounds[i]))
    found = [embed_audio(sounds[i], chains, Runtime()) for i in order]
    rows = {name: np.stack([f.rows[k] for f in found]) for k, name in enumerate(SYSTEMS)}
    enrichment, chain = SYSTEMS["s4"].enrichment[0], chains[0]
    made = []
    for i, count in zip(order, residuals, strict=True):
        s = enrichment.draw(SYSTEMS["s4"].seed, digest_of(sounds[i]), count)
        hear_it = chain.embedder.residuals
        made.append(hear_it(chain.hear(sounds[i]), s, level=1.0) if len(s) else np.empty((0, 120)))
    return Heard(rows, np.array([f.lr_corr for f in found]), made)


def pool(name: str, seed: int, domain: str) -> Heard:
    """A machine's normal clips of one domain."""
    keys = [ClipKey(name, "train", domain, "normal", i, SECONDS) for i in range(POOL)]
    sounds = [sound(key, seed) for key in keys]
    wanted = domain == "target" and name == "valveEmu"
    return hear(sounds, [(MANY if i < DEALERS else FEW) * wanted for i in range(POOL)])


def kept(folder: Path | None, name: str, seed: int, domain: str) -> Heard:
    """A pool, simulated at most once where a folder keeps it."""
    if folder is None:
        return pool(name, seed, domain)
    path = folder / f"{name}-{seed}-{domain}.npz"
    if not path.exists():
        made = pool(name, seed, domain)
        counts = np.array([len(r) for r in made.residuals])
        np.savez(path, lr_corr=made.lr_corr, counts=counts,
                 residuals=np.concatenate(made.residuals), **made.rows)  # fmt: skip
    with np.load(path) as found:
        ends = np.cumsum(found["counts"])[:-1]
        rows = {system: found[system] for system in SYSTEMS}
        return Heard(rows, found["lr_corr"], np.split(found["residuals"], ends))


@dataclass(frozen=True, eq=False)
class Drawn:
    """Normals of one domain, and what stands beside them in the bank; the domain's come first."""

    own: Heard
    chosen: np.ndarray  # (n,) places in `own`
    domain: int
    other: Heard | None = None
    beside: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    def fitted(
        self, name: str, blocks: np.ndarray | None = None, many: int | None = None
    ) -> Member:
        """As `fit` does it: folds, whitening and enrichment of each without its clips."""
        system = SYSTEMS[name] if many is None else replace(SYSTEMS[name], folds=many)
        parts = [(self.own, self.chosen)]
        parts += [(self.other, self.beside)] if self.other is not None else []
        rows = np.concatenate([heard.rows[name][places] for heard, places in parts])
        lr_corr = np.concatenate([heard.lr_corr[places] for heard, places in parts])
        flipped = TARGET if self.domain == SOURCE else SOURCE
        domain = np.r_[np.full(len(self.chosen), self.domain), np.full(len(self.beside), flipped)]
        table = NormalRows(rows, np.arange(len(rows)), domain.astype(np.int8), lr_corr)
        origin = table.origin if blocks is None else blocks
        folds = assign_folds(origin, table.domain, system.folds, system.seed)
        sizes = pool_sizes(system, table, folds)
        made = [r for heard, places in parts for r in map(heard.residuals.__getitem__, places)]
        targets = np.flatnonzero(domain == TARGET).tolist()
        pools = [{t: made[t][:size] for t in targets} if size else {} for size in sizes]
        return fit_member(system, table, pools, folds)


@dataclass
class Cell:
    """How many of each draw's new clips were above its threshold."""

    promise: Threshold
    new: int
    above: list[int] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return sum(self.above) / (self.new * len(self.above))

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson, 95 %, of as many independent clips as these are worth.

        New clips of a draw share its threshold: under the promise their correlation is 1/(n + 2),
        the beta-binomial's. Where draws differ by more than that, what they differ by counts.
        """
        p, draws = self.rate, len(self.above)
        effect = 1 + (self.new - 1) / (self.promise.clips + 2)
        if 0 < p < 1:
            shares = np.array(self.above) / self.new
            effect = max(effect, float(shares.var(ddof=1)) * self.new / (p * (1 - p)))
        return wilson(p, draws * self.new / effect)

    @property
    def bound_held(self) -> float:
        """Share of draws with no more alarms than the 95 % bound and counting noise allow."""
        n, above = self.promise.clips, round(self.promise.expected * (self.promise.clips + 1)) - 1
        most = betabinom.ppf(0.95, self.new, above + 1, n - above)
        return float(np.mean(np.array(self.above) <= most))


def wilson(p: float, n: float, z: float = 1.959964) -> tuple[float, float]:
    """E. B. Wilson, Probable inference, JASA 22 (1927); exact ends where p is 0 or 1."""
    centre, scale = p + z * z / (2 * n), 1 + z * z / n
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(float((centre - half) / scale), 0.0), min(float((centre + half) / scale), 1.0)


def scored(name: str, member: Member, heard: Heard, new: np.ndarray) -> np.ndarray:
    return judged(SYSTEMS[name].rule, member.scale(heard.rows[name][new]), member.bank)


Key = tuple[str, str, str, int, float]  # machine, whose rate, system, clips, rate


def measure(name: str, seed: int, folder: Path | None, cells: dict[Key, Cell]) -> None:
    """All draws of one machine and seed."""
    source, target = (kept(folder, name, seed, domain) for domain in ("source", "target"))
    rng = np.random.default_rng([seed, MACHINES.index(name)])
    for n in CLIPS:
        for _ in range(DRAWS[n]):
            s, t = rng.permutation(POOL), rng.permutation(POOL)
            few, some = rng.permutation(DEALERS)[: BESIDE["source"]], np.sort(s[: BESIDE["target"]])
            for kind, order, drawn in (
                ("alone", s, Drawn(source, np.sort(s[:n]), SOURCE)),
                ("source", s, Drawn(source, np.sort(s[:n]), SOURCE, target, few)),
                ("target", t, Drawn(target, np.sort(t[:n]), TARGET, source, some)),
            ):
                for system in SYSTEMS:
                    member = drawn.fitted(system)
                    new = scored(system, member, drawn.own, order[n : n + NEW])
                    for rate in RATES:
                        count(cells, (name, kind, system, n, rate), member.self_scores[:n], new)
                    if kind == "source" and n in MIXED:
                        count(
                            cells, (name, "both, source", system, n, 0.1), member.self_scores, new
                        )
                        fresh = np.setdiff1d(t, np.arange(DEALERS))[:NEW]
                        new = scored(system, member, target, fresh)
                        count(
                            cells, (name, "both, target", system, n, 0.1), member.self_scores, new
                        )


def more_folds(folder: Path | None, cells: dict[Key, Cell]) -> None:
    """What s4 gains where a fold's whitening lacks fewer clips."""
    heard, rng = kept(folder, "fan", 0, "source"), np.random.default_rng(len(SEEDS) + 1)
    for n in FOLDED:
        for _ in range(FOLD_DRAWS):
            order = rng.permutation(POOL)
            drawn = Drawn(heard, np.sort(order[:n]), SOURCE)
            for folds in FOLDS:
                member = drawn.fitted("s4", many=folds)
                new = scored("s4", member, heard, order[n : n + NEW])
                count(cells, ("fan", f"{folds} folds", "s4", n, 0.1), member.self_scores, new)


def count(cells: dict[Key, Cell], key: Key, self_scores: np.ndarray, new: np.ndarray) -> None:
    promise = threshold(self_scores, key[-1])
    cell = cells.setdefault(key, Cell(promise, len(new)))
    cell.above.append(int((new > promise.value).sum()))


def sessions(cells: dict[Key, Cell]) -> None:
    """Normals of few sessions, tried on new clips of these and of others."""
    rng = np.random.default_rng(len(SEEDS))
    heard, of = session_pool()
    for number in FROM:
        each = OF_ALL // number
        for _ in range(SESSION_DRAWS):
            days = rng.permutation(SESSIONS)
            clips = [rng.permutation(np.flatnonzero(of == day)) for day in days]
            chosen = np.sort(np.concatenate([c[:each] for c in clips[:number]]))
            same = np.concatenate([c[each : each + 4] for c in clips[:number]])
            other = np.concatenate([c[:4] for c in clips[number:]])[:40]
            listed = [Clip(Path(f"{of[i]:02d}.wav"), start=i, stop=i + 1.0) for i in chosen]
            for held, blocks in zip(HELD, (recording_blocks(listed, 10), None), strict=True):
                for system in SYSTEMS:
                    member = Drawn(heard, chosen, SOURCE).fitted(system, blocks)
                    for kind, new in (("same", same), ("other", other)):
                        key = ("fan", f"{held}, {kind}", system, number, 0.1)
                        count(cells, key, member.self_scores, scored(system, member, heard, new))


def session_pool() -> tuple[Heard, np.ndarray]:
    """Clips of sessions, and the session of each."""
    rng, usual = np.random.default_rng(2026), scene_of("fan")
    sounds = {}
    for day in range(SESSIONS):
        scene = replace(usual, snr_db=usual.snr_db + 3 * rng.standard_normal())
        for i in range(IN_SESSION):
            # Its seed: a room, a pair of microphones and a machine of the type of its own.
            one = sound(ClipKey("fan", "train", "source", "normal", i, SECONDS), day, scene)
            sounds[digest_of(one)] = (one, day)
    ordered = [sounds[digest] for digest in sorted(sounds)]
    return hear([one for one, _ in ordered], [0] * len(ordered)), np.array([d for _, d in ordered])


def table(cells: dict[Key, Cell], name: str, kind: str) -> str:
    """A row a system and n; a cell is the promise, what was measured, and how often it was kept."""
    lines = []
    for system in SYSTEMS:
        for n in CLIPS:
            row = [cells[name, kind, system, n, rate] for rate in RATES]
            lines.append(f"| {system} | {n:,} | " + " | ".join(map(shown, row)) + " |")
    return "\n".join(lines)


def shown(cell: Cell) -> str:
    low, high = cell.interval
    mark = " **!**" if low > cell.promise.expected else ""
    return (f"{percent(cell.promise.expected)} | {percent(cell.rate)} "
            f"[{percent(low)}, {percent(high)}]{mark} | {100 * cell.bound_held:.0f}")  # fmt: skip


def percent(share: float) -> str:
    return f"{100 * share:.1f}" if share < 0.0995 else f"{100 * share:.0f}"


def tally(cells: Sequence[Cell]) -> str:
    kept = sum(c.interval[0] <= c.promise.expected for c in cells)
    within = sum(c.interval[0] <= c.promise.expected <= c.interval[1] for c in cells)
    held = np.mean([c.bound_held for c in cells])
    return (f"{len(cells)} | {kept} ({100 * kept / len(cells):.0f} %) | {within} "
            f"({100 * within / len(cells):.0f} %) | {100 * held:.0f}")  # fmt: skip


def page(cells: dict[Key, Cell]) -> str:
    main = {k: c for k, c in cells.items() if k[1] in KINDS}
    tallies = [
        f"| {system}, {what} | " + tally([c for k, c in main.items() if k[2] == system and of(k)])
        + " |"
        for system in SYSTEMS
        for what, of in (("n < 200", lambda k: k[3] < 200), ("n ≥ 200", lambda k: k[3] >= 200))
    ]  # fmt: skip
    tallies.append(f"| **all** | {tally(list(main.values()))} |")
    tables = [f"### {name}, {KINDS[kind]}\n\n{HEAD}\n{table(cells, name, kind)}"
              for name in MACHINES for kind in KINDS]  # fmt: skip
    mixed = [
        f"| {name} | {system} | {n:,} + 10 | "
        + " | ".join(bare(cells[name, f"both, {d}", system, n, 0.1]) for d in ("source", "target"))
        + " |"
        for name in MACHINES for system in SYSTEMS for n in MIXED
    ]  # fmt: skip
    few = [
        f"| {system} | {number} | "
        + " | ".join(bare(cells["fan", f"{held}, {kind}", system, number, 0.1])
                     for kind in ("same", "other") for held in HELD)
        + " |"
        for system in SYSTEMS for number in FROM
    ]  # fmt: skip
    more = [
        f"| {n} | "
        + " | ".join(bare(cells["fan", f"{folds} folds", "s4", n, 0.1]) for folds in FOLDS)
        + " |"
        for n in FOLDED
    ]
    return TEXT.format(
        more="\n".join(more), fold_draws=FOLD_DRAWS, folds=" | ".join(f"{f} folds" for f in FOLDS),
        label=f"SIMULATED v{SIM_VERSION} seeds {', '.join(map(str, SEEDS))}", machine=machine(),
        machines=" and ".join(MACHINES), pool=f"{POOL:,}", new=NEW, seconds=f"{SECONDS:g}",
        fewest=min(DRAWS.values()) * len(SEEDS), most=max(DRAWS.values()) * len(SEEDS),
        tallies="\n".join(tallies), tables="\n\n".join(tables), mixed="\n".join(mixed),
        sessions="\n".join(few), of_all=OF_ALL, session_draws=SESSION_DRAWS, all=SESSIONS,
        promised=percent(threshold(np.arange(float(OF_ALL)), 0.1).expected),
    )  # fmt: skip


def bare(cell: Cell) -> str:
    low, high = cell.interval
    return f"{percent(cell.rate)} [{percent(low)}, {percent(high)}]"


KINDS = {
    "alone": "n source clips and no others",
    "source": "n source clips, 10 of target beside them",
    "target": "n target clips, 100 of source beside them",
}
HEAD = (
    "| system | n | 1 %: promised | measured | bound held | 5 %: promised | measured | bound held "
    "| 10 %: promised | measured | bound held |\n|---|--:|" + "--:|" * 9
)
TEXT = """# How far the promise about false alarms is kept

Printed by `python -m bench.false_alarms`; do not edit. {label}. Machine: {machine}.

A threshold promises two things of new normal clips that are **exchangeable** with those that it was
drawn from: recorded as they were, in no other session.

* **expected**: the probability that one new clip is above it, at most (a + 1)/(n + 1), where `a` of
  the n held-out scores are above it. It is never more than the rate asked for, unless fewer than
  1/rate − 1 clips make that impossible, and then the line says so.
* **95 % confidence**: the rate which this threshold does not exceed in 95 of 100 sets of n clips.

Held-out scores are exchangeable with a new clip's but for one thing: a fold's clips are judged by a
bank and a whitening of nine tenths of the clips, a new one by those of all. So new clips score a
little lower, and fewer of them are above the threshold than promised. With few more clips than s4
has features (120), or less, its whitening feels every clip that is missing, and the rate is well
below what was asked for; logmel does not whiten.

## Measured

{machines}, {pool} normal clips of {seconds} s of each domain, machine and seed, each heard once.
From these pools n normals are drawn, fitted as `fit` does, and {new} new clips held against the
threshold, {fewest} (n = 1,000) to {most} times. Clips of one domain draw the threshold, as
thresholds by domain are drawn; with n source clips and no others it is what every fit promises.

Intervals are Wilson's, 95 %. Draws are independent given the pools, and so is what is promised,
since n + 1 clips drawn without replacement are exchangeable whatever the pool. The m new clips of
one draw share its threshold: they count as 1 + (m − 1)/(n + 2) times fewer clips, which is what the
promise itself (a beta-binomial law) says, or as fewer still where draws differ more.

*kept*: the interval's lower end is not above the promise, which is an upper bound. *within*: the
promise lies within the interval. *bound held*: in how many of 100 draws no more of the new clips
were above the threshold than the 95 % bound and the counting of {new} clips allow, 95 promised.
**!** marks a cell that is not kept; with a true rate just as promised 1 in 40 would be. Rates that
so few clips cannot keep have one threshold, the largest score, and so the same cell.

| cells | number | kept | within | bound held |
|---|--:|--:|--:|--:|
{tallies}

{tables}

## More folds

What s4 loses with few clips it has back with more folds, for as many times the work: `fit --set
folds=50`. fan, n source clips, 10 % asked for, {fold_draws} draws; scores do not change, only
thresholds. Days and long recordings are held out whole: where these are known there are no more
folds than of them, and `fit` says so.

| n | {folds} |
|--:|--:|--:|--:|
{more}

## One threshold for both domains

Without thresholds by domain the promise holds for a clip of the mixture that was fitted on, not for
each domain. 10 % asked for, n source and 10 target clips, one threshold:

| machine | system | clips | source | target |
|---|---|--:|--:|--:|
{mixed}

## Another session

A session here has a room, a pair of microphones and a machine of the type of its own, and its own
level of noise (SD 3 dB): more than a new day is, so that it shows. {of_all} normal clips of fan
from few sessions, 10 % asked for, {promised} % promised, {session_draws} draws from {all} sessions.
**sessions**: folds hold out whole ones, as `fit` does where it knows them. **clips**: folds as if
each clip were a recording of its own.

| system | from | new clips of the same: sessions | clips | new clips of others: sessions | clips |
|---|--:|--:|--:|--:|--:|
{sessions}

What is promised holds for the sessions that the clips are of. Where folds hold out whole ones it is
kept for others too, by thresholds that are higher for it; a lone session can only be cut into
neighbouring pieces, which say nothing of another day. Below ten sessions `fit` says that more
alarms are to be expected. Where it does not know them (plain files without a time, in no folder of
a day) it cannot say so.
"""


def main() -> None:
    folder = Path(sys.argv[1]) if sys.argv[1:] else None
    cells: dict[Key, Cell] = {}
    sessions(cells)
    more_folds(folder, cells)
    for name in MACHINES:
        for seed in SEEDS:
            measure(name, seed, folder, cells)
            print(f"{name}, seed {seed}", file=sys.stderr, flush=True)
    for key, cell in cells.items():
        if key[1] in KINDS and cell.interval[0] > cell.promise.expected:
            print("more than promised:", *key, shown(cell), file=sys.stderr)
    write_text(OUTPUT.with_name("false-alarms.md"), page(cells))


if __name__ == "__main__":
    main()
