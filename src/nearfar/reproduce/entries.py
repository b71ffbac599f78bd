"""What the report compares: encoders that are trained, systems that are scored, and the pairs.

Everything here is plain data made of presets and parts; a table of the report names the entries it
needs, and the plan computes no others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from nearfar.embedder.crops import Crops
from nearfar.embedder.dif import CANDIDATES, DIF
from nearfar.embedder.eat import EAT
from nearfar.errors import SettingError, did_you_mean
from nearfar.frontend import CoherenceMask, Frontend, Near
from nearfar.scoring.adapt import MeanShift, Standardise, UnitLength
from nearfar.scoring.calibrate import Raw
from nearfar.scoring.whiten import ZCA
from nearfar.system.presets import logmel, s1, s2, s3, s3_dif, s3_eat, s4
from nearfar.system.system import AnySystem, Ensemble, System
from nearfar.training.settings import FineTuning, unusual

if TYPE_CHECKING:
    from nearfar.embedder.infer import Precision

TableName = Literal["1", "2", "3", "text", "readings"]
TABLES: tuple[TableName, ...] = ("1", "2", "3", "text", "readings")

FROZEN = "published"  # stands for the encoder as its authors published it
FROZEN_S3 = "published, of System 3"  # the same, unless a person names another one for it
UNTRAINED = ("", FROZEN, FROZEN_S3)  # what an entry's encoder is where nothing is trained for it
RANK = 16  # of LoRA (report §3.3)


@dataclass(frozen=True)
class TrainedEncoder:
    """An encoder that is trained once for each seed.

    >>> encoders(FineTuning(), ["lora"])["lora"].settings.lora
    16
    """

    name: str  # in steps and files
    frontend: Frontend
    settings: FineTuning  # the seed of each run replaces theirs

    def system(self, weights: str) -> System:
        """What `finetune` trains; crops and scoring play no part in it."""
        return System(frontend=self.frontend, embedder=Crops(EAT(weights)))


@dataclass(frozen=True)
class Entry:
    """A system of a table.

    >>> ENTRIES["s4"].make() == s4()
    True
    """

    name: str  # in steps and files
    title: str  # in tables
    make: Callable[..., AnySystem]  # from as many places of weights as the system needs
    encoder: str = ""  # whose weights those are: of `UNTRAINED`, or an encoder's name
    seeds: Literal["once", "each", "all"] = "once"  # scored once, for each seed, or made of all
    reads: str = ""  # the entry whose number in the report this may be as well
    selects: bool = False  # are DIF's 120 features chosen among its candidates on the clips?


@dataclass(frozen=True)
class Difference:
    """Two entries and what is asked of them: the first minus the second.

    >>> [(pair.first, pair.second) for pair in PAIRS["3"]]
    [('near', 'frozen'), ('s1', 'near'), ('s1', 'frozen')]
    """

    title: str
    first: str  # name of an entry
    second: str
    claim: str = ""  # its key among the report's claims; "" is none


_MASK = CoherenceMask()
_RATIO = replace(_MASK, coherence_weight=0.0)  # the ratio of powers alone
_VARIANTS: Mapping[str, tuple[Frontend, Mapping[str, Any]]] = {
    "near": (Near(), {}),
    "mask": (_MASK, {}),
    "mask-w0": (_RATIO, {}),
    **{loss: (_MASK, {"loss": loss}) for loss in ("cosface", "elasticface", "magface")},
    "lora": (_MASK, {"lora": RANK}),
    **{kind: (_MASK, {"adaptation": kind}) for kind in ("dann", "mixstyle")},
}


def encoders(
    base: FineTuning, names: Iterable[str] = tuple(_VARIANTS)
) -> dict[str, TrainedEncoder]:
    """Encoders to be trained, by name; each changes in the base's settings what it is about.

    Raises:
        SettingError: a base in which encoders that are to differ would not, or with settings that
            one of them cannot have.
    """
    for name in ("loss", "lora", "adaptation", "seed"):
        if name in unusual(base.to_data()):
            told = f"training.{name} is what the compared encoders differ in; leave it out"
            raise SettingError(told)
    wanted = set(names)
    return {
        name: TrainedEncoder(name, frontend, replace(base, **changes))
        for name, (frontend, changes) in _VARIANTS.items()
        if name in wanted
    }


def _frozen(weights: str) -> System:
    """Table 3's first row (our reading, see docs/decisions.md): ten crops, cosine, no whitening."""
    return System(frontend=Near(), embedder=Crops(EAT(weights, pooling="mean")))


def _changed(**changes: Any) -> Callable[..., System]:
    """System 1 with other parts."""
    return lambda weights: replace(s1(weights), **changes)


def _read(make: Callable[..., AnySystem], **changes: Any) -> Callable[..., AnySystem]:
    """A system with other parts in every member."""

    def made(*weights: str) -> AnySystem:
        system = make(*weights)
        if isinstance(system, System):
            return replace(system, **changes)
        return replace(system, members=tuple(replace(m, **changes) for m in system.members))

    return made


# What the report does not say of System 3, and its numbers may have come from: how the correlation
# is shrunk, and which self-scores make the percentiles. With n = 1,000 clips of 1,024 dimensions
# literal ones send every new normal clip to percentile 1, unless much is shrunk.
_SHRUNK: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "": ("", {}),
    "-strong": (", λ = 0.1", {"whitening": ZCA(0.1)}),
    "-lw": (", λ by Ledoit–Wolf", {"whitening": ZCA("ledoit-wolf")}),
}
_JUDGED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "": ("", {}),
    "-loo": (", literal leave-one-out", {"self_scores": "loo"}),
    "-raw": (", uncalibrated", {"calibration": Raw()}),
}


def _readings() -> Iterator[Entry]:
    """System 3 and its EAT path, each otherwise in one or two ways; of an ensemble none is raw."""
    for name, title, make in (("s3-eat", "EAT alone", s3_eat), ("s3", "System 3", s3)):
        for shrunk, (how, whitening) in _SHRUNK.items():
            for judged, (by, change) in _JUDGED.items():
                if shrunk + judged and not (name == "s3" and judged == "-raw"):
                    made = _read(make, **whitening, **change)
                    yield Entry(
                        name + shrunk + judged, title + how + by, made, FROZEN_S3, reads=name
                    )


def with_precision(part: Any, precision: Precision) -> Any:
    """A system, or a part of one, with every encoder's products in that precision."""
    if isinstance(part, Ensemble):
        return replace(part, members=tuple(with_precision(m, precision) for m in part.members))
    if isinstance(part, System | Crops):
        return replace(part, embedder=with_precision(part.embedder, precision))
    return replace(part, precision=precision) if isinstance(part, EAT) else part


ENTRIES: Mapping[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry("s1", "System 1", s1, "mask", "each"),
        Entry("s2", "System 2", s2, "mask", "all"),
        Entry("s3", "System 3", s3, FROZEN_S3),
        Entry("s4", "System 4", s4),
        Entry("logmel", "floor (log-mel)", logmel),
        Entry("frozen", "Frozen EAT (baseline)", _frozen, FROZEN),
        Entry("near", "+ Full fine-tuning", _changed(frontend=Near()), "near", "each"),
        Entry("w0", "mask, w = 0", _changed(frontend=_RATIO), "mask-w0", "each"),
        Entry("cosface", "CosFace", s1, "cosface", "each"),
        Entry("elasticface", "ElasticFace", s1, "elasticface", "each"),
        Entry("magface", "MagFace", s1, "magface", "each"),
        Entry("lora", "LoRA, rank 16", s1, "lora", "each"),
        Entry("dann", "DANN", s1, "dann", "each"),
        Entry("mixstyle", "MixStyle", s1, "mixstyle", "each"),
        Entry("mean-shift", "mean shift", _changed(adaptation=MeanShift()), "mask", "each"),
        Entry("unit-length", "L2 normalisation", _changed(adaptation=UnitLength()), "mask", "each"),
        Entry("z-score", "z-score", _changed(adaptation=Standardise()), "mask", "each"),
        Entry("s3-dif", "DIF alone (k = 3)", s3_dif),
        Entry("s3-eat", "EAT alone", s3_eat, FROZEN_S3),
        *_readings(),
        Entry(
            "s4-selected",
            "System 4, 120 features chosen on these clips",
            _read(s4, embedder=DIF(CANDIDATES)),
            reads="s4",
            selects=True,
        ),
    )
}

PAIRS: Mapping[TableName, Sequence[Difference]] = {
    "1": (),
    "2": (
        Difference("System 1 over System 2", "s1", "s2"),
        Difference("System 1 over System 3", "s1", "s3"),
        Difference("System 1 over System 4", "s1", "s4"),
        Difference("System 3 over System 4", "s3", "s4"),
        Difference("System 4 over the floor", "s4", "logmel"),
    ),
    "3": (
        Difference("full fine-tuning over frozen", "near", "frozen"),
        Difference("mask over full fine-tuning", "s1", "near"),
        Difference("both over frozen", "s1", "frozen"),
    ),
    "text": (
        Difference("coherence term: w = 0.7 over w = 0", "s1", "w0", "coherence_weight"),
        Difference("CosFace over ArcFace", "cosface", "s1", "cosface"),
        Difference("ElasticFace over ArcFace", "elasticface", "s1", "elasticface"),
        Difference("MagFace over ArcFace", "magface", "s1", "magface"),
        Difference("full fine-tuning over LoRA, rank 16", "s1", "lora", "full_over_lora"),
        Difference("DANN over none", "dann", "s1", "dann"),
        Difference("MixStyle over none", "mixstyle", "s1", "mixstyle"),
        Difference("mean shift over none", "mean-shift", "s1", "mean_shift"),
        Difference("L2 normalisation over none", "unit-length", "s1", "l2"),
        Difference("z-score over none", "z-score", "s1", "zscore"),
        Difference("System 3 over DIF alone", "s3", "s3-dif", "ensemble_over_dif"),
        Difference("System 3 over EAT alone", "s3", "s3-eat"),
    ),
    "readings": tuple(
        Difference(f"{entry.title} – over ours", entry.name, entry.reads)
        for entry in ENTRIES.values()
        if entry.reads
    ),
}


def entries_of(tables: Sequence[TableName]) -> list[Entry]:
    """The entries that some tables need, each once, in the order of `ENTRIES`."""
    wanted = {name for t in tables for pair in PAIRS[t] for name in (pair.first, pair.second)}
    return [entry for name, entry in ENTRIES.items() if name in wanted]


def tables_of(name: str) -> list[TableName]:
    """The tables that `--table` asks for; a `SettingError` if there is none of that name."""
    if name not in (*TABLES, "all"):
        raise SettingError(f"no table {name!r}; {did_you_mean(name, (*TABLES, 'all'))}")
    return [table for table in TABLES if name in (table, "all")]
