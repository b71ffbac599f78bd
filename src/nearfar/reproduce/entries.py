"""What the report compares: encoders that are trained, systems that are scored, and the pairs.

Everything here is plain data made of presets and parts; a table of the report names the entries it
needs, and the plan computes no others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from nearfar.embedder.crops import Crops
from nearfar.embedder.eat import EAT
from nearfar.errors import SettingError, did_you_mean
from nearfar.frontend import CoherenceMask, Frontend, Near
from nearfar.scoring.adapt import Adaptation, MeanShift, Standardise, UnitLength
from nearfar.system.presets import logmel, s1, s2, s3, s3_dif, s3_eat, s4
from nearfar.system.system import Ensemble, System
from nearfar.training.settings import FineTuning

if TYPE_CHECKING:
    from nearfar.embedder.eat.infer import Precision

AnySystem = System | Ensemble
TableName = Literal["1", "2", "3", "text"]
TABLES: tuple[TableName, ...] = ("1", "2", "3", "text")

FROZEN = "published"  # stands for the encoder as its authors published it
RANK = 16  # of LoRA (report §3.3)


@dataclass(frozen=True)
class Encoder:
    """An encoder that is trained once for each seed.

    Args:
        name: what steps and files call it.
        frontend: what it hears.
        settings: of its training; the seed of each run replaces theirs.
    """

    name: str
    frontend: Frontend
    settings: FineTuning

    def system(self, weights: str) -> System:
        """What `finetune` trains; crops and scoring play no part in it."""
        return System(frontend=self.frontend, embedder=Crops(EAT(weights)))


@dataclass(frozen=True)
class Entry:
    """A system of a table.

    Args:
        name: what steps and files call it.
        title: what tables call it.
        make: the system, from as many places of weights as it needs.
        encoder: whose weights those are; "" none, `FROZEN`, or an encoder's name.
        seeds: one score for all, one for each seed, or one made of all seeds.
    """

    name: str
    title: str
    make: Callable[..., AnySystem]
    encoder: str = ""
    seeds: Literal["once", "each", "all"] = "once"


@dataclass(frozen=True)
class Pair:
    """Two entries and what is asked of them: the first minus the second.

    Args:
        title: what tables call the difference.
        first, second: names of entries.
        claim: its key among the report's claims (`nearfar.reproduce.reported`); "" is none.
    """

    title: str
    first: str
    second: str
    claim: str = ""


_MASK = CoherenceMask()
_VARIANTS: Mapping[str, tuple[Frontend, Mapping[str, Any]]] = {
    "near": (Near(), {}),
    "mask": (_MASK, {}),
    "mask-w0": (replace(_MASK, coherence_weight=0.0), {}),  # power ratio only
    "cosface": (_MASK, {"loss": "cosface"}),
    "elasticface": (_MASK, {"loss": "elasticface"}),
    "magface": (_MASK, {"loss": "magface"}),
    "lora": (_MASK, {"lora": RANK}),
    "dann": (_MASK, {"adaptation": "dann"}),
    "mixstyle": (_MASK, {"adaptation": "mixstyle"}),
}


def encoders(base: FineTuning, names: Iterable[str] = tuple(_VARIANTS)) -> Mapping[str, Encoder]:
    """Encoders to be trained, by name.

    Args:
        base: settings of every training; each encoder changes what it is about.
        names: of those that are wanted, in any order.

    Raises:
        SettingError: a base in which encoders that are to differ would not, or with settings that
            one of them cannot have.
    """
    for name in ("loss", "lora", "adaptation", "seed"):
        if getattr(base, name) != getattr(FineTuning(), name):
            raise SettingError(
                f"training.{name} is what the compared encoders differ in; leave it out"
            )
    wanted = set(names)
    return {
        name: Encoder(name, frontend, replace(base, **changes))
        for name, (frontend, changes) in _VARIANTS.items()
        if name in wanted
    }


def _frozen(weights: str) -> System:
    """Table 3's first row (our reading, see docs/decisions.md): ten crops, cosine, no whitening."""
    return System(frontend=Near(), embedder=Crops(EAT(weights, pooling="mean")))


def _near(weights: str) -> System:
    return System(frontend=Near(), embedder=Crops(EAT(weights)))


def _power_ratio(weights: str) -> System:
    return replace(s1(weights), frontend=_VARIANTS["mask-w0"][0])


def _adapted(adaptation: Adaptation) -> Callable[..., System]:
    return lambda weights: replace(s1(weights), adaptation=adaptation)


def _literal(weights: str) -> Ensemble:
    """System 3 with the report's literal leave-one-out self-scores."""
    system = s3(weights)
    return replace(system, members=tuple(replace(m, self_scores="loo") for m in system.members))


def with_precision(system: AnySystem, precision: Precision) -> AnySystem:
    """The system with every encoder's products in that precision."""
    if isinstance(system, Ensemble):
        members = tuple(_in_precision(member, precision) for member in system.members)
        return replace(system, members=members)
    return _in_precision(system, precision)


def _in_precision(system: System, precision: Precision) -> System:
    part = system.embedder
    if isinstance(part, Crops) and isinstance(part.embedder, EAT):
        part = replace(part, embedder=replace(part.embedder, precision=precision))
    elif isinstance(part, EAT):
        part = replace(part, precision=precision)
    return replace(system, embedder=part)


ENTRIES: Mapping[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry("s1", "System 1", s1, "mask", "each"),
        Entry("s2", "System 2", s2, "mask", "all"),
        Entry("s3", "System 3", s3, FROZEN),
        Entry("s4", "System 4", s4),
        Entry("logmel", "floor (log-mel)", logmel),
        Entry("frozen", "Frozen EAT (baseline)", _frozen, FROZEN),
        Entry("near", "+ Full fine-tuning", _near, "near", "each"),
        Entry("w0", "mask, w = 0", _power_ratio, "mask-w0", "each"),
        Entry("cosface", "CosFace", s1, "cosface", "each"),
        Entry("elasticface", "ElasticFace", s1, "elasticface", "each"),
        Entry("magface", "MagFace", s1, "magface", "each"),
        Entry("lora", "LoRA, rank 16", s1, "lora", "each"),
        Entry("dann", "DANN", s1, "dann", "each"),
        Entry("mixstyle", "MixStyle", s1, "mixstyle", "each"),
        Entry("mean-shift", "mean shift", _adapted(MeanShift()), "mask", "each"),
        Entry("unit-length", "L2 normalisation", _adapted(UnitLength()), "mask", "each"),
        Entry("z-score", "z-score", _adapted(Standardise()), "mask", "each"),
        Entry("s3-dif", "DIF alone (k = 3)", s3_dif),
        Entry("s3-eat", "EAT alone", s3_eat, FROZEN),
        Entry("s3-loo", "System 3, literal leave-one-out", _literal, FROZEN),
    )
}

PAIRS: Mapping[TableName, Sequence[Pair]] = {
    "1": (),
    "2": (
        Pair("System 1 over System 2", "s1", "s2"),
        Pair("System 1 over System 3", "s1", "s3"),
        Pair("System 1 over System 4", "s1", "s4"),
        Pair("System 3 over System 4", "s3", "s4"),
        Pair("System 4 over the floor", "s4", "logmel"),
    ),
    "3": (
        Pair("full fine-tuning over frozen", "near", "frozen"),
        Pair("mask over full fine-tuning", "s1", "near"),
        Pair("both over frozen", "s1", "frozen"),
    ),
    "text": (
        Pair("coherence term: w = 0.7 over w = 0", "s1", "w0", "coherence_weight"),
        Pair("CosFace over ArcFace", "cosface", "s1", "cosface"),
        Pair("ElasticFace over ArcFace", "elasticface", "s1", "elasticface"),
        Pair("MagFace over ArcFace", "magface", "s1", "magface"),
        Pair("full fine-tuning over LoRA, rank 16", "s1", "lora", "full_over_lora"),
        Pair("DANN over none", "dann", "s1", "dann"),
        Pair("MixStyle over none", "mixstyle", "s1", "mixstyle"),
        Pair("mean shift over none", "mean-shift", "s1", "mean_shift"),
        Pair("L2 normalisation over none", "unit-length", "s1", "l2"),
        Pair("z-score over none", "z-score", "s1", "zscore"),
        Pair("System 3 over DIF alone", "s3", "s3-dif", "ensemble_over_dif"),
        Pair("System 3 over EAT alone", "s3", "s3-eat"),
        Pair("System 3: literal over cross-fitted self-scores", "s3-loo", "s3"),
    ),
}


def entries_of(tables: Sequence[TableName]) -> list[Entry]:
    """The entries that some tables need, each once, in the order of `ENTRIES`."""
    wanted = {name for t in tables for pair in PAIRS[t] for name in (pair.first, pair.second)}
    return [entry for name, entry in ENTRIES.items() if name in wanted]


def tables_of(name: str) -> list[TableName]:
    """The tables that `--table` asks for.

    Raises:
        SettingError: there is none of that name.
    """
    if name == "all":
        return list(TABLES)
    if name not in TABLES:
        raise SettingError(f"no table {name!r}; {did_you_mean(name, (*TABLES, 'all'))}")
    return [table for table in TABLES if table == name]
