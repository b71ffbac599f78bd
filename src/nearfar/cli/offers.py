"""What a shell offers where an option or an argument takes one of several words.

Imported when a shell asks, not before: other runs need not know them.
"""

from __future__ import annotations

from collections.abc import Iterable


def systems(incomplete: str) -> list[str]:
    """Presets of systems.

    >>> systems("s3-")
    ['s3-dif', 's3-eat']
    """
    from nearfar.system.presets import PRESETS

    return _begun(PRESETS, incomplete)


def claims(incomplete: str) -> list[str]:
    """Claims of the report.

    >>> claims("fu")
    ['fusion']
    """
    from nearfar.study.claims import CLAIMS

    return _begun(CLAIMS, incomplete)


def places_or_claims(incomplete: str) -> list[str]:
    """Claims, where a list of folders comes before one and nobody knows where it ends; or places.

    >>> places_or_claims("fu")
    ['fusion']
    """
    from glob import escape, glob

    found = claims(incomplete) if incomplete else []
    return found or sorted(glob(f"{escape(incomplete)}*"))


def sizes(incomplete: str) -> list[str]:
    """Presets of simulated data.

    >>> sizes("s")
    ['small', 'stress']
    """
    from nearfar.sim.plan import OTHERS, PRESETS

    return _begun((*PRESETS, *OTHERS), incomplete)


def machines(incomplete: str) -> list[str]:
    """Machines that can be simulated.

    >>> machines("valve")
    ['valveEmu']
    """
    from nearfar.sim.machines import MACHINES, OTHERS

    return _begun((*MACHINES, *OTHERS), incomplete)


def data_sets(incomplete: str) -> list[str]:
    """Data sets that can be fetched.

    >>> data_sets("dcase2026")
    ['dcase2026']
    """
    from nearfar.clips.download.published import RECORDS

    return _begun(RECORDS, incomplete)


def published(incomplete: str) -> list[str]:
    """Splits of a data set, as they are published.

    >>> published("e")
    ['eval']
    """
    from nearfar.clips.download.published import SPLITS

    return _begun(SPLITS, incomplete)


def _begun(words: Iterable[str], incomplete: str) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]
