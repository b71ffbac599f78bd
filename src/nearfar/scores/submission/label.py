"""Who submits: `Last_INST`, and the names that a package makes of it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from nearfar.errors import SettingError
from nearfar.scores.truth import quoted

TASK = "task2"
MOST_SYSTEMS = 4  # of a team in a task
USUAL = 200  # test clips of a machine in evaluation sets since 2023
LONGEST_INSTITUTE = 10  # characters of its abbreviation
# Letters that are none with an accent, and those that people write as two.
_ONE = str.maketrans({"æ": "a", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ı": "i", "œ": "o"})
_TWO = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "æ": "ae", "œ": "oe", "þ": "th"}
)
_PART = r"[A-Za-z0-9][A-Za-z0-9-]*"
_LABEL = re.compile(rf"(?P<last>{_PART})_(?P<institute>{_PART})")
# Looser than the rule: whoever broke it shall be told so, not that there is no system.
_FOLDER = re.compile(rf"(?P<label>.+)_{TASK}_(?P<number>\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Label:
    """Last name of the corresponding author, and the abbreviation of the institute.

    >>> label = Label.of("Kim_LUDO")
    >>> label.system(2), label.report
    ('Kim_LUDO_task2_2', 'Kim_LUDO_task2_1.technical_report.pdf')
    """

    last: str
    institute: str

    def __str__(self) -> str:
        return f"{self.last}_{self.institute}"

    @classmethod
    def of(cls, text: str) -> Label:
        """Read one.

        Raises:
            SettingError: it breaks a rule; which one is said.
        """
        if numbered := _FOLDER.fullmatch(text):
            raise SettingError(
                f"label {quoted(text)}: give {numbered['label']}; systems are numbered by "
                "themselves, in the order of the detectors"
            )
        found = _LABEL.fullmatch(text)
        if found is None:
            raise SettingError(
                f"label {quoted(text)}: is not Last_INST, the corresponding author's last name and "
                "the institute's abbreviation, of letters, digits and hyphens without accents; "
                f"write it as in {_like(text)}"
            )
        if len(found["institute"]) > LONGEST_INSTITUTE:
            raise SettingError(
                f"label {quoted(text)}: the abbreviation {found['institute']} has "
                f"{len(found['institute'])} characters, at most {LONGEST_INSTITUTE} are allowed; "
                "shorten it"
            )
        return cls(found["last"], found["institute"])

    def system(self, number: int) -> str:
        """The folder of one system, and what its own files begin with."""
        return f"{self}_{TASK}_{number}"

    @property
    def report(self) -> str:
        """The technical report's name: one for all systems, under the first one's label."""
        return f"{self.system(1)}.technical_report.pdf"


def folder_parts(name: str) -> tuple[str, int] | None:
    """Label and number of a system's folder; None if it is none.

    >>> folder_parts("Kim_LUDO_task2_1"), folder_parts("task2")
    (('Kim_LUDO', 1), None)
    """
    found = _FOLDER.fullmatch(name)
    # More digits are no number of a system; Python refuses to read thousands of them.
    if found is None or len(found["number"]) > 3:
        return None
    return found["label"], int(found["number"])


def is_last_name(last: str, name: str) -> bool | None:
    """Is what a label begins with an author's last name? None where its letters are not Latin.

    >>> is_last_name("Garcia-Lopez", "García López"), is_last_name("Mueller", "Müller")
    (True, True)
    >>> is_last_name("Other", "Kim"), is_last_name("Kim", "김")
    (False, None)
    """
    mine = folded(last)
    # People write ü as u or as ue, and ø as o or as oe: both are right.
    whole = unicodedata.normalize("NFC", name).casefold()
    plain = {folded(whole.translate(two).translate(_ONE)) for two in ({}, _TWO)}
    if mine in plain:
        return True
    return False if any(text and text.isascii() for text in plain) else None


def folded(name: str) -> str:
    """A name's letters alone, small and without accents.

    >>> folded("García-López"), folded("O'Neill")
    ('garcialopez', 'oneill')
    """
    plain = unicodedata.normalize("NFKD", name)
    return "".join(c for c in plain if c.isalnum()).casefold()


def _like(text: str) -> str:
    """What was meant, as a label."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    words = re.findall(r"[A-Za-z0-9-]+", plain)
    if len(words) < 2:
        return "Kim_LUDO"
    return f"{''.join(words[:-1])}_{words[-1][:LONGEST_INSTITUTE]}".replace("_-", "_")
