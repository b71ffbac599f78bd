"""Writes docs/system3.md: System 3, and the report's claims about it tested on simulated data.

python -m bench.system3            # some two minutes on two cores: renders the small set
python -m bench.system3 --quick    # the mini set, to look at; writes nothing
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from pathlib import Path

from bench.__main__ import OUTPUT, machine
from nearfar import sim
from nearfar.errors import NearfarWarning
from nearfar.files import write_text
from nearfar.runtime.runtime import Runtime
from nearfar.study.ablation import Ablation, ablate
from nearfar.study.claims import CLAIMS, find_claim
from nearfar.system.presets import s3

SEED = 0
TINY = Path(__file__).resolve().parents[1] / "tests" / "data" / "eat" / "tiny"
FULL = {"members", "enrichment"}  # claims whose effect on each machine is shown
TEXT = """# System 3

{label}. Printed by `python -m bench.system3`; do not edit. Machine: {machine}.

The report's training-free ensemble (§2.4): two systems are fitted on the same normal clips, their
scores are turned into percentiles, and 0.60 of one is added to 0.40 of the other.

```
nearfar fit DATA -s s3 --weights EAT_DIR -o DET      # or a hub id
nearfar systems s3                                   # all of it, as Python that can be run
nearfar evaluate DATA -s s3-dif                      # "DIF alone (k = 3)"
nearfar evaluate DATA -s s3-eat --weights EAT_DIR    # "EAT alone"
```

| | DIF path | EAT path |
|---|---|---|
| hears | both channels | the near channel |
| embedder | 120 domain invariant features | frozen EAT, mean over patch tokens |
| whitening | ZCA, λ = 0.01 | the same; also where clips are fewer than dimensions |
| extra rows | residual augmentation, pseudo-target | none |
| score (Eq. 4) | d₁ − 0.35 d₂ − 0.05 d₃, Euclidean | the same |
| calibration | share of self-scores at or below it | the same |
| weight | 0.60 | 0.40 |

**Self-scores** are cross-fitted: a normal clip is judged by a whitening and a bank that were made
without it. The literal reading (`self_scores=loo`) only takes the clip out of the bank. With 1,000
clips of 1,024 dimensions a clip that helped to fit the whitening lies near its own bank in a way no
new clip can, and every new normal clip lands on percentile 1.0.

**Percentiles** are flat above the largest self-score, as the report's: clips beyond it are tied,
exactly where pAUC looks. `--set members.0.calibration.tail=linear` (and `members.1.…`) lets them
rise on; the order of clips below stays as it was.

**The mono case.** Without target clips there is no enrichment; with fewer than ten clips and flat
percentiles nothing can be above a threshold of 10 %, and `fit` says so.

## The report's claims, one command each

They run on any DCASE folder: `nearfar ablate DATA CLAIM -s s3 --weights EAT_DIR`. Every variant is
fitted on the same clips and compared with the reference by a paired bootstrap.

**Below the encoder is EAT 64×2 with random weights, and the recordings are simulated.** The tables
show what the commands print and that their arithmetic holds. How much EAT contributes, or whether
a claim holds on the real machines, they cannot tell: we have no published weights here.
{tables}
"""


def shorter(result: Ablation, claim: str) -> str:
    """The table of totals; the table by machine only where it is the point."""
    return result.text if claim in FULL else result.text.split("\n\n")[0]


def tables(preset: str) -> str:
    workers = os.cpu_count() or 1
    system = s3(TINY.relative_to(Path.cwd()).as_posix())
    parts = []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", NearfarWarning)
        data = Path(folder) / "data"
        sim.simulate(data, preset, SEED, workers=workers)
        runtime = Runtime(workers=workers, cache=Path(folder) / "cache")
        for claim in (name for name, what in CLAIMS.items() if what.start is None):
            print(f"system 3: {claim}", file=sys.stderr, flush=True)
            what = find_claim(claim)
            result = ablate(
                data, what.variants(system), runtime, claim=claim, sentence=what.sentence
            )
            parts.append(f"\n### `{claim}`\n\n```\n{shorter(result, claim)}\n```")
    return "\n".join(parts)


def main() -> None:
    quick = "--quick" in sys.argv
    os.chdir(OUTPUT.parents[1])
    text = TEXT.format(
        label=sim.label(SEED), machine=machine(), tables=tables("mini" if quick else "small")
    )
    if quick:
        print(text)
        return
    write_text(OUTPUT.with_name("system3.md"), text)
    print("wrote system3.md", file=sys.stderr)


if __name__ == "__main__":
    main()
