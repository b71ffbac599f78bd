"""Writes docs/system5.md: System 5 on simulated data at which nothing was chosen.

nearfar simulate DATA --preset dev --seed 31                      # and others
python -m bench.system5 hear DATA YAMNET_DIR                       # rows into NEARFAR_CACHE
python -m bench.system5 judge DATA YAMNET_DIR FOLDER               # scores, FOLDER/31.npz
python -m bench.system5 page FOLDER [SMALL]                        # of all seeds there

SMALL is such a folder of `--preset small`, shown for itself.

`hear` may be stopped and goes on; `judge` keeps each group of systems when it is done. What is
compared was fixed before the first of these seeds was heard.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np

import nearfar as nf
from bench.__main__ import OUTPUT, machine
from nearfar import sim
from nearfar.clips.clip import Clip
from nearfar.embedding.chain import Chain
from nearfar.embedding.jobs import digest_of, row_key
from nearfar.errors import NearfarWarning
from nearfar.files import write_text
from nearfar.metrics.official import draw_figures
from nearfar.runtime.cache import EmbeddingCache
from nearfar.runtime.runtime import Runtime
from nearfar.scores.join import ScoredFile, ScoreTable
from nearfar.scores.truth import LabelledFile, Truth
from nearfar.sound.audio import check
from nearfar.study.scored import score_all
from nearfar.system.presets import s4, s5, s5_dif, s5_small
from nearfar.system.system import AnySystem

WORKERS = 2
NOT_YET = "Not run yet: what is compared is fixed first."
DRAWS = 2000
READ = """### Does the published gain show here?

Read off the tables above by a person, for this encoder of 135,104 parameters and simulated
machines. **Bands**: yes. **Local density and VarMin**: yes where bands are apart, one as much as
the other; with one vector VarMin a little, local density not. **RDP(4)**: neither a gain nor a
loss can be told; **RDP(8)** takes away. **Per-domain conformal** scores take away, with one
vector and with bands. **Cancellation**: neither. ENV and LTAS each add as much to DIF as the
other, though ENV alone is no better than DIF.

So `s5`, made of what is published for BEATs on the real recordings, is with YAMNet-256 hardly
better than `s5-dif`, which is in it: with that encoder take `s5-small`. What BEATs and EAT gain
by it nobody here knows, for their weights are not here."""
BEFORE = (3.83, 6.56)  # interval of s5-dif over s4 on six earlier seeds of two simulators
TEXT = (Path(__file__).parent / "system5.txt").read_text("utf-8")
FEATURES = (nf.DIF(), nf.ENV(), nf.LTAS())
POOLINGS = (nf.Bands(), nf.RelativeDeviation(4.0), nf.RelativeDeviation(8.0))


# --- what is compared


def whitened(*parts: object) -> nf.System:
    """Named features alone or in pairs, with the back end of s5-dif."""
    embedder = parts[0] if len(parts) == 1 else nf.Concatenated(parts)
    front = nf.Stereo() if embedder.channels == 2 else nf.Near()
    return replace(s5_dif(), frontend=front, embedder=embedder)


def ear(weights: str, pooling: object, rule: object, front: object = nf.Near()) -> nf.System:
    """One encoder, pooled, and a rule."""
    encoder = nf.YAMNet(weights)
    embedder = encoder if pooling is None else nf.Pooled(encoder, pooling)
    return nf.System(front, embedder, rule=rule)


def systems(weights: str) -> dict[str, dict[str, AnySystem]]:
    """Groups of systems by what a row of the page calls them; the first of a group is its base."""
    dif, env, ltas = FEATURES
    bands, rdp4, rdp8 = POOLINGS
    nearest = nf.KNN(metric="cosine")
    density = nf.LocalDensity(1, metric="cosine")
    per = nf.PerBand
    one = partial(ear, weights)
    scaled = nf.ZScore()
    small = s5_small(weights)
    own = ear(weights, rdp4, per(density))
    if own != replace(small.members[1], calibration=nf.Raw()):
        raise SystemExit("the encoder's part of s5-small is not what the page says")
    return {
        "systems": {
            "s4": s4(),
            "s5-dif": s5_dif(),
            "s5-small": small,
            "s5-small's encoder alone": own,
            "s4 + that encoder": nf.Ensemble(
                (replace(s4(), calibration=scaled), replace(own, calibration=scaled))
            ),
            "s5 on YAMNet-256": s5(weights),
        },
        "features": {
            "DIF": whitened(dif),
            "ENV": whitened(env),
            "LTAS": whitened(ltas),
            "DIF + ENV": whitened(dif, env),
            "DIF + LTAS": whitened(dif, ltas),
            "ENV + LTAS": whitened(env, ltas),
            "DIF + ENV + LTAS": whitened(dif, env, ltas),
        },
        "one vector": {
            "one vector, nearest": one(None, nearest),
            "+ LDN": one(None, density),
            "+ VarMin(4)": one(None, nf.VarMin(4)),
            "+ per-domain conformal": one(None, nf.PerDomain(nearest)),
            "+ bands": one(bands, per(nearest)),
            "+ cancellation": one(None, nearest, nf.FarCancel()),
            "+ ZCA, Euclidean": replace(one(None, nf.KNN(metric="euclidean")), whitening=nf.ZCA()),
        },
        "bands": {
            "bands, RDP(4), LDN": own,
            "LDN off": one(rdp4, per(nearest)),
            "VarMin(4) for LDN": one(rdp4, per(nf.VarMin(4))),
            "RDP off": one(bands, per(density)),
            "RDP(8) for RDP(4)": one(rdp8, per(density)),
            "bands off (and RDP)": one(None, density),
            "+ cancellation": one(rdp4, per(density), nf.FarCancel()),
            "the parts of s5: cancellation, RDP(8), VarMin(4)": one(
                rdp8, per(nf.VarMin(4)), nf.FarCancel()
            ),
        },
        # By itself, for it takes as long as all of the others: each clip is held out of the
        # densities of all bands. It is a row of the table above.
        "bands, slow": {
            "+ per-domain conformal": one(rdp4, nf.PerDomain(per(density))),
        },
    }


# --- rows, each clip heard once for all systems


def rows_of(audio: np.ndarray, weights: str) -> Iterator[tuple[Chain, np.ndarray]]:
    """Every row that a system above asks for, of one clip, (2, samples)."""
    whole = nf.Concatenated(FEATURES)([audio])[0]
    ends = np.cumsum([0, *(part.dim for part in FEATURES)])
    parts = {p: whole[a:b] for p, a, b in zip(FEATURES, ends[:-1], ends[1:], strict=True)}
    dif, env, ltas = FEATURES
    for chosen in ((dif,), (env,), (ltas,), (dif, env), (dif, ltas), (env, ltas), FEATURES):
        # The row of joined parts is theirs side by side, to the bit.
        yield whitened(*chosen).chain, np.concatenate([parts[part] for part in chosen])
    encoder = nf.YAMNet(weights)
    for front in (nf.Near(), nf.FarCancel()):
        (grid,) = encoder.grids([front(audio[: front.needs])], Runtime())
        own = grid.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
        yield Chain(front, encoder), own
        for pooling in POOLINGS:
            row = pooling(grid).astype(np.float32).ravel()
            yield Chain(front, nf.Pooled(encoder, pooling)), row


@cache
def _key(chain: Chain) -> str:
    return chain.key


def hear_one(clip: Clip, weights: str, folder: Path) -> None:
    """Put all rows of a clip into the cache, unless they are there."""
    audio = check(clip.read_recorded("near-far")[0], name=clip.name, channels=2)
    both, near = digest_of(audio), digest_of(audio[:1])
    kept = EmbeddingCache(folder)
    try:
        last = Chain(nf.FarCancel(), nf.Pooled(nf.YAMNet(weights), POOLINGS[-1]))
        if kept.get(row_key(both, _key(last))) is None:
            kept.put(
                (row_key(near if chain.frontend.needs == 1 else both, _key(chain)), row)
                for chain, row in rows_of(audio, weights)
            )
    finally:
        kept.close()


def hear(data: Path, weights: str) -> None:
    """Hear every clip once; the first is held against what the chains themselves give."""
    folder = Path(os.environ["NEARFAR_CACHE"])
    clips = [c for split in ("train", "test") for c in nf.Clips.open(data, split=split)]
    audio = check(clips[0].read_recorded("near-far")[0], name=clips[0].name, channels=2)
    for chain, row in rows_of(audio, weights):
        heard = chain.hear(audio[: chain.frontend.needs])
        if chain.rows([heard], Runtime())[0].tobytes() != row.tobytes():
            raise SystemExit(f"{chain} gives another row")
    with ProcessPoolExecutor(WORKERS) as pool:
        work = partial(hear_one, weights=weights, folder=folder)
        for n, _ in enumerate(pool.map(work, clips, chunksize=20), 1):
            if not n % 500:
                print(f"{data.name}: heard {n} of {len(clips)}", file=sys.stderr, flush=True)


# --- scores


@dataclass(frozen=True)
class Seed:
    """What the systems said about one data set."""

    number: int
    names: tuple[str, ...]  # "group: system"
    scores: np.ndarray  # (systems, clips)
    clips: np.ndarray  # (clips, 4): machine, file, domain, label

    @property
    def truth(self) -> Truth:
        return Truth(tuple(LabelledFile(m, "00", f, d, label) for m, f, d, label in self.clips))

    def table(self, name: str) -> ScoreTable:
        own = self.scores[self.names.index(name)]
        return ScoreTable(
            tuple(
                ScoredFile(m, "00", f, float(score))
                for (m, f, *_), score in zip(self.clips, own, strict=True)
            )
        )


def read_seed(path: Path) -> Seed:
    """A file of `judge`."""
    with np.load(path) as file:
        return Seed(int(path.stem), tuple(file["names"].tolist()), file["scores"], file["clips"])


def judge(data: Path, weights: str, folder: Path, groups: Sequence[str] = ()) -> None:
    """Fit, score and keep, a group of systems at a time."""
    warnings.simplefilter("ignore", NearfarWarning)
    number = json.loads((data / "manifest.json").read_text())["simulation"]["seed"]
    out = folder / f"{number}.npz"
    folder.mkdir(parents=True, exist_ok=True)
    runtime = Runtime(workers=WORKERS, cache=Path(os.environ["NEARFAR_CACHE"]))
    test = nf.Clips.open(data, split="test")
    clips = np.array([(c.machine, c.key, c.domain, c.label) for c in test])
    for group, variants in systems(weights).items():
        known = read_seed(out) if out.exists() else None
        if groups and group not in groups:
            continue
        names = [f"{group.split(',')[0]}: {name}" for name in variants]
        if known and set(names) <= set(known.names):
            continue
        found = score_all(data, test, list(variants.values()), runtime)
        scores = np.array([[v.score for v in scores] for scores in found])
        if known:
            names, scores = [*known.names, *names], np.concatenate([known.scores, scores])
        with out.with_suffix(".part").open("wb") as file:
            np.savez(file, names=np.array(names), scores=scores, clips=clips)
        out.with_suffix(".part").replace(out)
        print(f"{data.name}: judged {group}", file=sys.stderr, flush=True)


# --- the page


@dataclass(frozen=True)
class Found:
    """Ω of each system over the seeds, and in draws of their test clips; per cent."""

    names: tuple[str, ...]
    seeds: tuple[int, ...]
    omega: np.ndarray  # (systems, seeds)
    drawn: np.ndarray  # (systems, seeds, draws)
    machines: tuple[str, ...]
    by_machine: np.ndarray  # (systems, seeds, machines)
    drawn_by_machine: np.ndarray  # (systems, seeds, draws, machines)

    def at(self, name: str) -> int:
        return self.names.index(name)


def measured(seeds: Sequence[Seed], group: str) -> Found | None:
    """A group of systems over the seeds that have it; of one seed all systems have one draw."""
    having = [s for s in seeds if any(n.startswith(f"{group}: ") for n in s.names)]
    if not having:
        return None
    names = tuple(
        n for n in having[0].names
        if n.startswith(f"{group}: ") and all(n in s.names for s in having)
    )  # fmt: skip
    drawn = [
        draw_figures([s.table(n) for n in names], s.truth, draws=DRAWS, seed=s.number, rule="omega")
        for s in having
    ]
    total = drawn[0].rule.total
    return Found(
        names,
        tuple(s.number for s in having),
        100 * np.stack([total(d.figures, axis=(1, 2)) for d in drawn], axis=1),
        100 * np.stack([total(d.drawn, axis=(2, 3)) for d in drawn], axis=1),
        drawn[0].machines,
        100 * np.stack([total(d.figures, axis=2) for d in drawn], axis=1),
        100 * np.stack([total(d.drawn, axis=3) for d in drawn], axis=1),
    )


def gain(found: Found, name: str, base: str) -> tuple[float, float, float]:
    """Ω of a system less that of a base, mean over seeds, and its 95 % interval over draws."""
    a, b = found.at(name), found.at(base)
    draws = (found.drawn[a] - found.drawn[b]).mean(axis=0)
    low, high = np.percentile(draws, [2.5, 97.5])
    return float((found.omega[a] - found.omega[b]).mean()), float(low), float(high)


def told(numbers: tuple[float, float, float]) -> str:
    """A difference and its interval."""
    return "{:+.1f} [{:+.1f}, {:+.1f}]".format(*numbers)


def table(seeds: Sequence[Seed], base: str) -> str:
    """A group of systems: Ω of each seed, and how far each is over its base."""
    found = measured(seeds, base.split(": ")[0])
    if found is None:
        return NOT_YET
    lines = [
        f"| Ω in per cent | {' | '.join(f'seed {n}' for n in found.seeds)} | mean "
        f"| over {base.split(': ')[1]}, paired |",
        f"|---|{'--:|' * (len(found.seeds) + 1)}---|",
    ]
    for name in found.names:
        own = found.omega[found.at(name)]
        cells = [f"{x:.1f}" for x in (*own, own.mean())]
        over = "–" if name == base else told(gain(found, name, base))
        lines.append(f"| {name.split(': ', 1)[1]} | {' | '.join(cells)} | {over} |")
    return "\n".join(lines + some_seeds(seeds, found, base))


def some_seeds(seeds: Sequence[Seed], found: Found, base: str) -> list[str]:
    """Rows of systems that not every seed has; the last column is of those that have it."""
    group = base.split(": ")[0]
    rest = {n for s in seeds for n in s.names if n.startswith(f"{group}: ")} - set(found.names)
    lines = []
    for name in sorted(rest):
        part = measured([s for s in seeds if name in s.names], group)
        if part is not None:
            own = dict(zip(part.seeds, part.omega[part.at(name)], strict=True))
            cells = [f"{own[n]:.1f}" if n in own else "–" for n in found.seeds]
            mean = float(np.mean(list(own.values())))
            lines.append(
                f"| {name.split(': ', 1)[1]} | {' | '.join(cells)} | {mean:.1f} "
                f"| {told(gain(part, name, base))} |"
            )
    return lines


def by_machine(found: Found, names: Sequence[str], base: str) -> str:
    """Each machine: Ω of the base, and what the others add, means over seeds."""
    shown = [name.split(": ", 1)[1] for name in names]
    b = found.at(base)
    lines = [
        f"| machine | {base.split(': ')[1]} | {' | '.join(shown)} |",
        f"|---|--:|{'---|' * len(names)}",
    ]
    for m, machine_ in enumerate(found.machines):
        cells = [f"{found.by_machine[b, :, m].mean():.1f}"]
        for name in names:
            a = found.at(name)
            more = (found.by_machine[a, :, m] - found.by_machine[b, :, m]).mean()
            draws = found.drawn_by_machine[a, ..., m] - found.drawn_by_machine[b, ..., m]
            low, high = np.percentile(draws.mean(axis=0), [2.5, 97.5])
            cells.append(told((float(more), float(low), float(high))))
        lines.append(f"| {machine_} | {' | '.join(cells)} |")
    return "\n".join(lines)


def sorted_out(seeds: Sequence[Seed], base: str) -> str:
    """Which of a group raise Ω, which lower it, and of which it cannot be told."""
    group = base.split(": ")[0]
    kinds: dict[str, list[str]] = {"higher": [], "lower": [], "cannot be told": []}
    names = dict.fromkeys(n for s in seeds for n in s.names if n.startswith(f"{group}: "))
    for name in names:
        found = measured([s for s in seeds if name in s.names], group)
        if name == base or found is None:
            continue
        _, low, high = gain(found, name, base)
        kind = "higher" if low > 0 else "lower" if high < 0 else "cannot be told"
        kinds[kind].append(name.split(": ", 1)[1])
    return "\n".join(f"- {kind}: {'; '.join(n) or 'none'}" for kind, n in kinds.items())


def claims(found: Found) -> str:
    """What was hoped for, and what came."""
    base, lines = "systems: s4", []
    for name, hoped in (("s5-dif", 3.0), ("s5-small", 4.0)):
        mean, low, high = gain(found, f"systems: {name}", base)
        said = "**It came**" if mean >= hoped else "**It did not come**"
        lines.append(
            f"- `{name}` at least {hoped:g} points over `s4`: {told((mean, low, high))}. {said}"
            + (", and the interval lies above it." if low >= hoped else
               "; the interval has less than it, too." if mean >= hoped else ".")
        )  # fmt: skip
    mean, _, _ = gain(found, "systems: s5-dif", base)
    low, high = BEFORE
    lines.append(
        f"- That `s5-dif` gains what it did before, with 110 clips a machine on other seeds, +5.06 "
        f"[{low:+.2f}, {high:+.2f}]: {mean:+.2f}, "
        + ("within that interval." if low <= mean <= high else "**outside of that interval**.")
    )
    a, b = found.at("systems: s5-dif"), found.at(base)
    over = (found.by_machine[a] - found.by_machine[b]).mean(axis=0)
    worst = int(np.argmin(over))
    each = found.by_machine[a] - found.by_machine[b]
    seed, machine_ = np.unravel_index(int(np.argmin(each)), each.shape)
    said = "**It came**" if over[worst] >= -3 else "**It did not come**"
    lines.append(
        f"- `s5-dif` never more than 3 points below `s4` on a machine: the worst is "
        f"{found.machines[worst]} with {over[worst]:+.1f}, mean over seeds. {said}. Of single "
        f"seeds the worst is {found.machines[machine_]} of {found.seeds[seed]} with "
        f"{each[seed, machine_]:+.1f}."
    )
    return "\n".join(lines)


def read_seeds(folder: Path | None) -> list[Seed]:
    """All that `judge` has left in a folder."""
    return [read_seed(path) for path in sorted(folder.glob("*.npz"))] if folder else []


def page(folder: Path | None, small: Path | None = None) -> str:
    """The whole page; without any seed that there are no numbers yet."""
    seeds = read_seeds(folder)
    found = measured(seeds, "systems")
    if found is None:
        return TEXT.format(version=sim.SIM_VERSION, results=NOT_YET)
    own = "systems: s5-small's encoder alone"
    parts = [
        f"Seeds {', '.join(map(str, found.seeds))}. Machine: {machine()}. Differences are means "
        f"over the seeds; intervals are 95 %, of {DRAWS} paired bootstrap draws of the test clips "
        "of each seed. Between seeds there is more: look at the columns. The encoder is YAMNet-256 "
        "with its published weights.",
        "### What was hoped for\n\n" + claims(found),
        "### Systems\n\n" + table(seeds, "systems: s4"),
        "### By machine\n\nMean over seeds of each machine's own Ω.\n\n"
        + by_machine(found, ["systems: s5-dif", "systems: s5-small", own], "systems: s4"),
        "### What each kind of feature gives\n\nAll with the back end of `s5-dif`: ZCA, "
        "pseudo-target rows, Euclidean k = 1. `s4` has residual rows beside.\n\n"
        + table(seeds, "features: DIF"),
        "### The published parts on YAMNet-256, one at a time\n\nEach part alone, added to one "
        "vector a clip (the mean over the grid), cosine, k = 1:\n\n"
        + table(seeds, "one vector: one vector, nearest")
        + "\n\nBy the interval alone, against the first row:\n\n"
        + sorted_out(seeds, "one vector: one vector, nearest"),
        "Each part of the encoder's member of `s5-small` changed alone:\n\n"
        + table(seeds, "bands: bands, RDP(4), LDN")
        + "\n\nBy the interval alone, against the first row:\n\n"
        + sorted_out(seeds, "bands: bands, RDP(4), LDN"),
    ]
    parts.append(READ)
    if fewer := read_seeds(small):
        parts.append(
            "### With fewer clips\n\n`--preset small`: 100 + 10 training and 80 test clips a "
            "machine, 5 s. Not held out: these were looked at while the code was written, to see "
            "that it runs.\n\n" + table(fewer, "systems: s4")
        )
    return TEXT.format(version=sim.SIM_VERSION, results="\n\n".join(parts))


def main() -> None:
    command, *rest = sys.argv[1:]
    if command == "hear":
        hear(Path(rest[0]), rest[1])
    elif command == "judge":
        judge(Path(rest[0]), rest[1], Path(rest[2]), rest[3:])
    elif command == "page":
        write_text(OUTPUT.with_name("system5.md"), page(*map(Path, rest)) if rest else page(None))
        print("wrote system5.md", file=sys.stderr)
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
