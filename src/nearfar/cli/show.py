"""What commands print on standard output: tables for people, JSON for programs."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from nearfar.cli.lines import columns as width_of
from nearfar.cli.lines import say
from nearfar.cli.options import write_json
from nearfar.detector.section import DOMAINS
from nearfar.embedder.contract import features_of, weights_of
from nearfar.embedder.crops import Crops
from nearfar.errors import AudioError, visible
from nearfar.files import begins
from nearfar.scoring.parted import PerBand, PerDomain
from nearfar.scoring.rule import KNN
from nearfar.sound.audio import check, read
from nearfar.text import called, number

if TYPE_CHECKING:
    from nearfar.detector.detector import Detector
    from nearfar.embedder.contract import Embedder
    from nearfar.frontend import Frontend
    from nearfar.sound.audio import Audio
    from nearfar.study.features import Selection
    from nearfar.system.presets import Preset
    from nearfar.system.system import Ensemble, System


SCHEMA = 1  # of the JSON of features; raised when a program that reads it could err
SPREADS = ("lr_corr", "shift", "spread")  # nan where a fit has none


def console() -> Console:
    """Standard output; wide when nobody watches, so that a pipe gets whole names."""
    return Console(
        width=None if sys.stdout.isatty() else 200,
        soft_wrap=not sys.stdout.isatty(),
        highlight=False,  # numbers in colours would hide the one colour that means something
        markup=False,  # names of machines and files are no markup
        emoji=False,
    )


class PlainTable(Table):
    r"""A table whose cells cannot repaint a terminal, whatever a file is called.

    >>> table = PlainTable("clip")
    >>> table.add_row("a" + chr(27) + "[31m.wav")
    >>> list(table.columns[0].cells)[-1]
    'a\\x1b[31m.wav'
    """

    def add_row(self, *cells: Any, **given: Any) -> None:
        """Add a row, its texts escaped where they do not print."""
        super().add_row(*(visible(c) if isinstance(c, str) else c for c in cells), **given)


def table_of(*columns: str, right: Sequence[str] = ()) -> Table:
    """A table without lines, its columns to the left but for those of `right`."""
    table = PlainTable(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        side = "right" if column in right else "left"
        table.add_column(column, justify=side, overflow="fold")  # type: ignore[arg-type]
    return table


def fitted(detector: Detector, output: Path, replaced: bool, kept: Path | None) -> None:
    """What `fit` learned, per machine; and where the detector that it replaced is kept."""
    learnt(detector)
    tail = ", replacing the detector there" if replaced else ""
    if replaced:
        tail += f"; the one before is kept as {kept}" if kept else "; the one before is not kept"
    console().print(visible(f"wrote {output}{tail}"), markup=False)


def learnt(detector: Detector) -> None:
    """What a fit learned, per machine."""
    numbers = ("source", "target", "rows", "LR_corr", "shift", "spread", "threshold")
    table = table_of("machine", "section", *numbers, right=numbers)
    made, bare = False, set[str]()
    for (machine, name), section in detector.sections.items():  # once: a fleet's are read anew
        # Of an ensemble those of the first member: a row for each would bury the threshold.
        facts = section.members[0].facts
        made |= facts["rows"] > len(section.clips)
        if facts["target"] == 0:
            bare.add(machine)
        table.add_row(
            machine,
            name,
            *(f"{facts[k]:.0f}" for k in ("source", "target", "rows")),
            *("–" if np.isnan(facts[k]) else f"{facts[k]:.2f}" for k in SPREADS),
            number(detector.threshold(machine, name).value, 4),
        )
    out = console()
    out.print(table)
    out.print(
        f"rows: of the memory bank{', enriched' * made}. LR_corr: correlation of near and far.\n"
        "shift: distance of target from source, spread: of the source clips, in whitened units",
        markup=False,
    )
    if detector.threshold_by_domain:
        _draw_table(detector, out)
    _explain(detector, out)
    if alone := _without_targets(detector, bare):
        # No warning: right for one machine in one place.
        out.print(f"no target clips, so enrichment is off: {', '.join(alone)}")
    if heard := detector.heard_machines:
        out.print(f"machines the encoder was trained on: {', '.join(heard)}", markup=False)
    # Their threshold may mislead: to this encoder any sound of them is new.
    if unheard := detector.unheard_machines:
        out.print(f"machines the encoder was not trained on: {', '.join(unheard)}")


def _without_targets(detector: Detector, bare: Set[str]) -> list[str]:
    """Machines whose clips are all of one condition, where a system would make rows of another."""
    if not any(m.enrichment for m in detector.system.members):
        return []
    return [machine for machine in detector.machines if machine in bare]


def thresholds(detector: Detector, written: Path | None) -> None:
    """Thresholds and what they mean, per machine."""
    out = console()
    _draw_table(detector, out)
    _explain(detector, out)
    for key in detector.sections:
        if (drift := detector.drift(*key)) is not None:
            say(visible(f"{called(*key)}: {drift.since}; {drift.told}"))
    if written is not None:
        out.print(visible(f"wrote {written}"))


def _draw_table(detector: Detector, out: Console) -> None:
    """Each threshold and how many clips drew it; by domain where that is what judges."""
    apart = any(detector.alarm_rates(*key) for key in detector.sections)  # else dashes, for good
    domains = tuple(DOMAINS) if detector.threshold_by_domain and apart else ()
    columns = tuple(c for name in ("threshold", *domains) for c in (name, "clips"))
    table = table_of("machine", "section", *columns, right=columns)
    for machine, name in detector.sections:
        drawn = [detector.threshold(machine, name)]
        if known := detector.alarm_rates(machine, name):
            drawn += [detector.threshold(machine, name, d) for d in domains if d in known]
        cells = [cell for one in drawn for cell in (number(one.value, 4), str(one.clips))]
        table.add_row(machine, name, *cells, *["–"] * (len(columns) - len(cells)))
    out.print(table)
    if domains:
        out.print(
            "source, target: for clips of that domain. threshold: for clips that do not say\n"
            "theirs, and for machines without normal clips of both"
        )


def _explain(detector: Detector, out: Console) -> None:
    """One line for all machines that share an explanation, then what comes of it by domain."""
    lines: dict[str, list[str]] = {}
    for (machine, name), section in detector.sections.items():
        known = detector.alarm_rates(machine, name) if detector.threshold_by_domain else ()
        # With its pace: a rate of false alarms means most as "so many a day".
        texts = [
            section.told(detector.threshold(machine, name, domain)) for domain in known or (None,)
        ]
        for said in filter(None, (*texts, section.caveat, section.held_out)):
            lines.setdefault(said, []).append(called(machine, name))
    for text, machines in lines.items():
        everybody = len(machines) == len(detector.sections)
        who = "threshold" if everybody else ", ".join(machines)
        if len(machines) > 1:  # an hour of false alarms is of each, not of all together
            who = "each threshold" if everybody else f"{who}, each"
        say(visible(f"{who}: {text}"))
    if not detector.threshold_by_domain:
        _rates(detector, out)


def _rates(detector: Detector, out: Console) -> None:
    """What one threshold means for the clips of each domain, where both are known."""
    rates = {key: detector.alarm_rates(*key) for key in detector.sections}
    known = {key: of for key, of in rates.items() if of}
    if not known:
        return
    columns = tuple(c for name in DOMAINS for c in (f"{name} above", "expect", "up to"))
    table = table_of("machine", "section", *columns, right=columns)
    far: dict[str, list[str]] = {}
    for (machine, name), of in known.items():
        cells = []
        for domain, rate in of.items():
            cells += [
                f"{rate.above} of {rate.clips}",
                f"{100 * rate.expected:.1f} %",
                f"{100 * rate.confident:.1f} %",
            ]
            if rate.breaks(detector.false_alarm_rate):
                far.setdefault(domain, []).append(called(machine, name))
        table.add_row(machine, name, *cells)
    out.print(table)
    out.print(
        "above: of the domain's normal clips, held out, how many are above the threshold.\n"
        "expect: at most about so many of new ones; up to: not more, with 95 % confidence"
    )
    for domain, machines in far.items():
        out.print(
            f"far more false alarms than asked for in {domain} clips of {', '.join(machines)}; "
            "--threshold-by-domain draws a threshold for each domain"
        )


def presets() -> None:
    """The report's Table 1, of the systems that are here."""
    from nearfar.system.named import published
    from nearfar.system.presets import PRESETS

    table = table_of(
        "system", "preprocess", "feature", "training", "augmentation", "scoring", "ensemble",
        "trained parameters",
    )  # fmt: skip
    # Made with the weights each is meant for; none of them is opened.
    for name, preset in PRESETS.items():
        table.add_row(name, *_summary(preset, preset(name, published(name))))
    _print_or_list(table)
    out = console()
    out.print("nearfar systems NAME prints one as Python that can be run.")
    out.print("EAT needs --weights: a folder, a file or a hub id; s1 and s2 what finetune wrote.")
    out.print("s3 and s5 take BEATs and YAMNet as well, and s5-small is meant for YAMNet.")


def _print_or_list(table: Table) -> None:
    """A table; where a terminal is too narrow for it, an entry of a few lines for each row."""
    out, width = console(), width_of(sys.stdout)
    # Measured where there is room: a console's own answer is never wider than itself.
    if width is None or Console(width=10_000).measure(table).maximum <= width:
        out.print(table)
        return
    titles = [str(column.header) for column in table.columns]
    for cells in zip(*(map(str, column.cells) for column in table.columns), strict=True):
        told = ", ".join(f"{t}: {c}" for t, c in zip(titles[1:], cells[1:], strict=True))
        say(f"{cells[0]}  {told}")


def _summary(preset: Preset, system: System | Ensemble) -> tuple[str, ...]:
    """A row of the report's Table 1, read off the parts."""
    rule: Any = system.members[0].rule  # the row has room for the first member's
    made = dict.fromkeys(type(e).__name__ for m in system.members for e in m.enrichment)
    return (
        _joined(type(m.frontend).__name__ for m in system.members),
        _joined(_feature(m.embedder) for m in system.members),
        "ArcFace" if preset.trained else "none",
        " + ".join(made) or "none",
        f"{rule.metric} {_rule_name(rule)}",
        _weighting(system),
        f"{preset.parameters:,}",
    )


def _rule_name(rule: Any) -> str:
    """A rule's name, and that of the rule inside it; of nearest neighbours how many."""
    if isinstance(rule, PerBand | PerDomain):
        return f"{_rule_name(rule.rule)} {type(rule).__name__}"
    return f"k = {rule.neighbours}" if isinstance(rule, KNN) else type(rule).__name__


def _joined(names: Iterable[str]) -> str:
    """Equal ones are counted: 4 × CoherenceMask."""
    counts = Counter(names)
    return " + ".join(f"{n} × {name}" if n > 1 else name for name, n in counts.items())


def _feature(embedder: Any) -> str:
    """An embedder's name and its dimensions, which an encoder's weights would have to tell."""
    # Here: a score of one clip on a small computer waits for no part that it does not use.
    from nearfar.embedder.concatenated import Concatenated
    from nearfar.embedder.pooling import Pooled

    if isinstance(embedder, Crops):
        return f"{_feature(embedder.embedder)} ({embedder.n} crops)"
    if isinstance(embedder, Pooled):
        return f"{_feature(embedder.embedder)} ({embedder.bands} bands)"
    if isinstance(embedder, Concatenated):
        return f"{', '.join(type(part).__name__ for part in embedder.parts)}, {embedder.dim}"
    name = type(embedder).__name__
    return name if weights_of(embedder) is not None else f"{name}, {embedder.dim}"


def _weighting(system: System | Ensemble) -> str:
    if len(system.members) == 1:
        return "single"
    calibration = type(system.members[0].calibration).__name__.lower()
    return f"{calibration} {_joined(f'{w:.2f}' for w in system.weights)}"


def features(data: Path, embedder: Embedder, json: Path | None, order: Any) -> None:
    """Every feature of one recording that an embedder names, with its unit and formula."""
    if data.is_dir():
        raise AudioError(f"{data}: is a folder; give one recording, or --select DATA")
    # (2, samples): the features compare near and far.
    audio = check(read(data, order=order), name=str(data), channels=2)
    known = features_of(embedder)
    row = embedder([audio[: embedder.channels]])[0].tolist()
    values = dict(zip((feature.name for feature in known), row, strict=True))
    if write_json(json, {"schema": SCHEMA, "features": values}):
        return
    table = table_of("feature", "value", "unit", "family", "formula", right=("value",))
    for column in table.columns[:-1]:  # a formula has words to be broken between, a name none
        column.no_wrap = True
    for feature in known:
        value = number(values[feature.name], 4)
        table.add_row(feature.name, value, feature.unit, feature.family, feature.formula)
    console().print(table)


def is_features(path: Path) -> bool:
    """Is a file plainly the JSON of features, or of a selection of them?"""
    return begins(path, r'\{\s*"schema": \d+,\s*"(features|names)": ')


def selection(found: Selection, json: Path | None) -> None:
    """The features of a new set, with the distance of every candidate."""
    from nearfar.embedder.dif import CANDIDATES, NAMES

    shifts = {
        n: d if np.isfinite(d) else None  # JSON has no nan
        for n, d in zip(CANDIDATES, found.shifts.tolist(), strict=True)
    }
    if write_json(json, {"schema": SCHEMA, "names": found.names, "shift": shifts}):
        return
    table = table_of("feature", "shift", "kept", "in the 120", right=("shift",))
    # What the domain moves least stands first; nan, where no distance is defined, last.
    for i in np.argsort(found.shifts, kind="stable"):
        name = CANDIDATES[i]
        table.add_row(
            name,
            f"{found.shifts[i]:.4f}",
            "yes" if name in found.names else "",
            "yes" if name in NAMES else "",
        )
    out = console()
    out.print(table)
    out.print(
        f"kept {len(found.names)} of {len(CANDIDATES)}; as Python: DIF(names={found.names!r})",
        markup=False,
    )


def cleaned(audio: Audio, part: Frontend, clean: Audio) -> None:
    """What a front end did to one clip."""
    from nearfar.frontend import CoherenceMask
    from nearfar.health.inspect import clip_statistics

    mask = part if isinstance(part, CoherenceMask) else None
    seen = clip_statistics(audio, mask=mask)
    # dB, of the near channel's power: how much was taken off in all.
    lowered = 10 * np.log10(np.mean(clean**2) / np.mean(audio[0] ** 2))
    rows = {
        "near level": f"{seen.near_level:.1f} dBFS",
        "far level": f"{seen.far_level:.1f} dBFS",
        "near over far, mean over frequencies": f"{seen.ratio:+.1f} dB",
        "LR_corr": f"{seen.lr_corr:.2f}",
        "coherence γ over the clip": f"{seen.coherence:.4f}",
    }
    if mask is not None:
        rows["mean of the mask"] = f"{seen.mask:.3f}"
        rows["share at its floor"] = f"{100 * seen.at_floor:.1f} %"
    rows["output over near"] = f"{lowered:+.1f} dB"
    say(f"front end: {part!r}")
    table = table_of("figure", "value", right=("value",))
    for name, value in rows.items():
        table.add_row(name, value)
    console().print(table)
