"""What every route is given: the desk, and the machine that a path names."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request

from nearfar.page.desk import Desk
from nearfar.service.plant import Key


def desk_of(request: Request) -> Desk:
    """What requests work with."""
    found: Desk = request.app.state.desk
    return found


def key_of(
    request: Request,
    machine: str,
    section: Annotated[str | None, Query(description="Needed where there are several.")] = None,
) -> Key:
    """The machine and section that a path names.

    Raises:
        Refusal: there is none.
    """
    return desk_of(request).key(machine, section)


AtDesk = Annotated[Desk, Depends(desk_of)]
OfMachine = Annotated[Key, Depends(key_of)]
