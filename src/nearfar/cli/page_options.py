"""Options of the page: the same for a watch and for `nearfar serve`, read as a plant.toml's are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from nearfar.cli.options import DATA, OUTPUT, option
from nearfar.cli.watch_options import flag, read_option
from nearfar.errors import SettingError

if TYPE_CHECKING:
    from nearfar.service.plant import PageSettings

USUAL = "127.0.0.1:8080"  # this computer alone

# fmt: off
Page = Annotated[str | None, option(
    OUTPUT, "HOST:PORT", "Serve the page and its API there, as 127.0.0.1:8080; an address that "
    "others reach needs --token-file or --proxy.",
)]
TokenFile = Annotated[Path | None, option(
    OUTPUT, "FILE", "A line that people sign in with, to look and to change."
)]
ReaderTokenFile = Annotated[Path | None, option(
    OUTPUT, "FILE", "A line that people sign in with, to look alone."
)]
Proxy = Annotated[str | None, option(
    OUTPUT, "ORIGIN", "What browsers call the server before the page, as https://plant.example; "
    "it says who comes in."
)]
Normals = Annotated[list[Path] | None, option(
    DATA, "FOLDER", "Where the normal recordings are, to be heard beside a clip; repeatable."
)]
UploadLimit = Annotated[str | None, option(
    OUTPUT, "SIZE", "Most that one request may bring; 200 MB if never said."
)]
# fmt: on


@dataclass(frozen=True)
class PageOptions:
    """What was typed of the page; None where nothing was.

    >>> PageOptions(page="127.0.0.1:8080").settings().address
    '127.0.0.1:8080'
    """

    page: str | None = None
    token_file: Path | None = None
    reader_token_file: Path | None = None
    proxy: str | None = None
    normals: list[Path] | None = None
    upload_limit: str | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> PageOptions:
        """Taken from all that a command was given."""
        return cls(**{f.name: given[f.name] for f in fields(cls)})

    def refuse_all(self, why: str) -> None:
        """Refuse what was typed.

        Raises:
            SettingError: the first of it, and why it cannot be meant.
        """
        for field in fields(self):
            if getattr(self, field.name) not in (None, []):
                raise SettingError(f"{flag(field.name)} {why}")

    def settings(self) -> PageSettings | None:
        """The settings; None where no page is asked for.

        Raises:
            SettingError: an impossible value, or what says more of a page that is not asked for.
        """
        from nearfar.service.amounts import size
        from nearfar.service.page_checks import check_normals
        from nearfar.service.plant import PageSettings
        from nearfar.service.plant_values import address

        listen = read_option("page", self.page, address)
        if listen is None:
            self.refuse_all("says more of --page; give that too, or leave it out")
            return None
        limit = read_option("upload_limit", self.upload_limit, size)
        read_option("normals", self.normals, check_normals)
        try:
            return PageSettings(
                listen, self.token_file, self.reader_token_file, self.proxy or "",
                tuple(self.normals or ()), PageSettings.upload_limit if limit is None else limit,
            )  # fmt: skip
        except SettingError as error:
            raise SettingError(_in_flags(str(error))) from None


def _in_flags(text: str) -> str:
    """What settings say of each other, as options.

    >>> _in_flags("address 0.0.0.0:80: others can reach it; give token_file, or say proxy")
    'address 0.0.0.0:80: others can reach it; give --token-file, or say --proxy'
    """
    text = re.sub(r"(?<![\w./-])(reader_token_file|token_file)\b", lambda m: flag(m[1]), text)
    return re.sub(r"^proxy\b|(?<=say )proxy\b", "--proxy", text)
