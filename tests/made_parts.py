"""Parts of every kind, one of nobody's list, and any value that JSON can hold."""

import dataclasses
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from hypothesis import strategies as st

import nearfar as nf
from nearfar.parts.data import TYPES

ENSEMBLE = nf.Ensemble((nf.s4(), replace(nf.logmel(), calibration=nf.ZScore())), (0.6, 0.4))
PARTS = [
    nf.Near(), nf.Far(), nf.Stereo(), nf.DIF(), nf.DIF(names=nf.DIF().names[5:9]), nf.LogMel(),
    nf.LogMel(64, 512, 256), nf.ZCA(), nf.ZCA("ledoit-wolf"), nf.ZCA(0.3), nf.KNN(),
    nf.KNN((1.0, -0.35, -0.05), "euclidean"), nf.PseudoTarget(), nf.ResidualAugmentation(),
    nf.ResidualAugmentation(((0.5, 0.0), (-1.0, 2.0)), (0.0, 2.0), True), nf.Raw(), nf.ZScore(),
    nf.Percentile(), nf.Percentile("linear"), nf.s4(), nf.logmel(), ENSEMBLE, nf.MeanShift(),
    nf.UnitLength(), nf.Standardise(), replace(nf.s4(), adaptation=nf.MeanShift()),
    replace(nf.s4(), self_scores="loo", folds=3, false_alarm_rate=0.01, seed=2**60),
]  # fmt: skip
NAMES = sorted({f.name for p in PARTS for f in dataclasses.fields(p)})


def one_line(error):
    assert "\n" not in str(error)
    assert str(error)
    return str(error)


@dataclass(frozen=True)
class Mine:
    """A third party's part."""

    value: Any = 1.0
    constant: ClassVar[int] = 3


leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.just(10**400), st.floats(), st.text(max_size=8),
    st.sampled_from(["cosine", "euclidean", "flat", "linear", "ledoit-wolf", "loo"]),
)  # fmt: skip
anything = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(["type", "x", *NAMES]), inner, max_size=4),
        st.builds(
            lambda name, values: {"type": name, **values},
            st.sampled_from(sorted(TYPES)),
            st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
        ),
    ),
    max_leaves=12,
)
