"""Rules that ask another rule about parts of the bank: each band of a row, each domain's rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import DatasetError, SettingError
from nearfar.parts.valid import whole
from nearfar.scoring.bank import SOURCE, TARGET, Index, Mask, MemoryBank, Metric, Rows
from nearfar.scoring.calibrate import Calibrated, Percentile
from nearfar.scoring.rule import KNN, Rule, judged
from nearfar.text import counted

DOMAINS = (("source", SOURCE), ("target", TARGET))
FEWEST = 2  # clips of a domain that has a yardstick of its own: one that is held out, and another


@dataclass(frozen=True)
class PerBand:
    """The mean over bands of what a rule says of each: a bank for every band (BEAM).

    For embedders that keep frequency bands apart, whose rows are (bands, dim) laid out in a line.
    The bands of a clip may each have another nearest clip. Densities, α and whatever else a rule
    learns of a bank are each band's own. Whitening would mix the bands and is refused.

    Args:
        rule: asked of each band.
        bands: of a row.

    Source:
        BEAM (arXiv 2603.13749), whose distance is half of ours by the cosine.

    >>> bank = MemoryBank(np.array([[0.0, 9.0], [4.0, 5.0]]), np.arange(2), np.zeros(2, np.int8))
    >>> PerBand(KNN(metric="euclidean"), bands=2)(np.array([[1.0, 5.0]]), bank)  # (1 + 0) / 2
    array([0.5])
    """

    rule: Rule = KNN()  # noqa: RUF009 - frozen
    bands: int = 8  # those of EAT's, BEATs' and YAMNet's grids

    def __post_init__(self) -> None:
        _check_inner("PerBand", self.rule)
        if bands_of(self.rule) != 1:
            raise SettingError(f"PerBand.rule is {self.rule!r}; a band has no bands of its own")
        whole("PerBand.bands", self.bands, 1)

    @property
    def metric(self) -> Metric:
        """That of the rule inside, by which a verdict's nearest clip is found in whole rows."""
        return self.rule.metric

    @property
    def neighbours(self) -> int:
        """Those of the rule inside."""
        return self.rule.neighbours

    def __call__(self, z: Rows, bank: MemoryBank, leave_out: Index | None = None) -> Rows:
        """Score queries.

        Args:
            z: (n, bands · dim) queries.
            bank: rows of normal clips, as wide.
            leave_out: (n,) origin that query i must not see; −1 for none.

        Returns:
            (n,) mean over bands.

        Raises:
            SettingError: rows that are not so many bands.
        """
        score = np.zeros(len(z))
        for said in self.by_band(z, bank, leave_out).T:
            score += said
        mean: Rows = score / self.bands
        return mean

    def by_band(self, z: Rows, bank: MemoryBank, leave_out: Index | None = None) -> Rows:
        """What the rule inside says of each band, (n, bands); its mean is the score."""
        width, rest = divmod(z.shape[1], self.bands)
        if rest or not width:
            raise SettingError(
                f"PerBand.bands is {self.bands}, a row has {z.shape[1]} numbers, which are not so "
                "many bands; say how many with rule.bands"
            )
        said = np.empty((len(z), self.bands))
        for band, own in enumerate(self._banks(bank)):
            # In C order, so that a row's numbers lie and are added up as in the bank.
            mine = np.ascontiguousarray(z[:, band * width : (band + 1) * width])
            said[:, band] = judged(self.rule, mine, own, leave_out)
        return said

    def _banks(self, bank: MemoryBank) -> list[MemoryBank]:
        found: list[MemoryBank] | None = bank.made.get(("bands", self.bands))
        if found is None:
            found = [
                MemoryBank(np.ascontiguousarray(rows), bank.origin, bank.domain)
                for rows in np.split(bank.embeddings, self.bands, axis=1)
            ]
            bank.made["bands", self.bands] = found
        return found


@dataclass(frozen=True)
class PerDomain:
    """How surprising the less surprising domain finds a clip, by each domain's own clips.

    A rule is asked of the rows of source clips and of those of target clips; what it says of each
    becomes the share of that domain's real clips of which it says no more, each asked without its
    own rows (`Percentile("linear")`, which goes on rising beyond the largest). The smaller share
    counts. A domain of fewer than two clips, or fewer rows than the rule's neighbours, has no such
    yardstick: then all rows are one domain, and a fit warns.

    Args:
        rule: asked of each domain.

    Source:
        Per-domain conformal scores of arXiv 2607.04526; the tail is `Percentile`'s.

    >>> rows, domain = np.array([[0.0], [1.0], [50.0], [60.0]]), np.array([0, 0, 1, 1], np.int8)
    >>> bank = MemoryBank(rows, np.arange(4), domain)
    >>> PerDomain(KNN(metric="euclidean"))(np.array([[4.0], [64.0]]), bank)  # 3 is far, 4 near
    array([2., 0.])
    """

    rule: Rule = KNN()  # noqa: RUF009 - frozen

    def __post_init__(self) -> None:
        _check_inner("PerDomain", self.rule)
        if isinstance(self.rule, PerDomain):
            raise SettingError(f"PerDomain.rule is {self.rule!r}; a domain has no domains")

    @property
    def metric(self) -> Metric:
        """That of the rule inside."""
        return self.rule.metric

    @property
    def neighbours(self) -> int:
        """Those of the rule inside."""
        return self.rule.neighbours

    def __call__(self, z: Rows, bank: MemoryBank, leave_out: Index | None = None) -> Rows:
        """Score queries.

        Args:
            z: (n, dim) queries.
            bank: rows of normal clips, real ones first.
            leave_out: (n,) origin that query i must not see, nor any yardstick; −1 for none.

        Returns:
            (n,) 0 where a domain finds nothing in it, 1 at its largest, and more beyond.

        Raises:
            DatasetError: hardly any clips: not even all of them are a yardstick.
        """
        if leave_out is None:
            return self._least(z, bank)
        scores = np.empty(len(z))
        for out in np.unique(leave_out):
            mine, seen = leave_out == out, bank.origin != out
            # Yardsticks change with each clip, so the bank is made again without it.
            left = bank if seen.all() else bank.where(seen)
            scores[mine] = self._least(z[mine], left)
        return scores

    def _least(self, z: Rows, bank: MemoryBank) -> Rows:
        said = [fitted(judged(self.rule, z, own)) for own, fitted in self._domains(bank)]
        least: Rows = np.min(said, axis=0)
        return least

    def _domains(self, bank: MemoryBank) -> list[tuple[MemoryBank, Calibrated]]:
        """The rows of each domain, and what makes shares of scores."""
        found: list[tuple[MemoryBank, Calibrated]] | None = bank.made.get(("domains", self))
        if found is None:
            real = _firsts(bank.origin)
            parts = [bank.domain == domain for domain in (SOURCE, TARGET)]
            if unparted(self.rule, bank.origin, bank.domain):
                parts = [np.ones(len(bank), dtype=np.bool_)]
            found = [self._fitted(bank, part, real) for part in parts]
            bank.made["domains", self] = found
        return found

    def _fitted(self, bank: MemoryBank, part: Mask, real: Mask) -> tuple[MemoryBank, Calibrated]:
        own = bank.where(part)
        # Distances in the place of shares would be compared with the shares of a larger bank.
        if not _enough(bank.origin, part, real, self.rule):
            raise DatasetError(
                f"PerDomain(…) holds each clip against k = {self.rule.neighbours} rows of others, "
                f"of {counted(len(own), 'row')} that is too many; use fewer neighbours, more folds "
                "or more normal clips"
            )
        judges = real[part]
        held_out = judged(self.rule, own.embeddings[judges], own, own.origin[judges])
        return own, Percentile("linear").fit(held_out)


def unparted(rule: Rule, origin: Index, domain: NDArray[np.int8]) -> str:
    """The domain that is too small to be a yardstick of its own; "" if none is.

    Args:
        rule: asked of each domain, or holds one that is.
        origin, domain: (rows,) of a bank, real rows first.

    >>> unparted(KNN(), np.arange(4), np.array([0, 0, 0, 1], np.int8))
    'target'
    """
    while isinstance(rule, PerDomain | PerBand):
        rule = rule.rule
    real = _firsts(origin)
    return next((n for n, d in DOMAINS if not _enough(origin, domain == d, real, rule)), "")


def _firsts(origin: Index) -> Mask:
    """The first row of each clip, which is the real one."""
    real = np.zeros(len(origin), dtype=np.bool_)
    real[np.unique(origin, return_index=True)[1]] = True
    return real


def _enough(origin: Index, part: Mask, real: Mask, rule: Rule) -> bool:
    """Can each real clip of a part be held against the others?"""
    if (part & real).sum() < FEWEST:
        return False
    _, rows = np.unique(origin[part], return_counts=True)
    return bool(part.sum() - rows.max() >= rule.neighbours)


def bands_of(rule: Rule) -> int:
    """Bands that a rule wants rows to have; 1 if it takes a row as it is.

    >>> bands_of(KNN()), bands_of(PerDomain(PerBand(bands=4)))
    (1, 4)
    """
    if isinstance(rule, PerDomain):
        return bands_of(rule.rule)
    return rule.bands if isinstance(rule, PerBand) else 1


def parts_domains(rule: Rule) -> bool:
    """Does it tell domains apart?

    >>> parts_domains(KNN()), parts_domains(PerBand(PerDomain()))
    (False, True)
    """
    return isinstance(rule, PerDomain) or (isinstance(rule, PerBand) and parts_domains(rule.rule))


def _check_inner(name: str, rule: Rule) -> None:
    if isinstance(rule, type) or not isinstance(rule, Rule):
        raise SettingError(f"{name}.rule is {rule!r}; give one such as KNN()")
