"""Who asks: may they change things, and from where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, Request

from nearfar.page.refusal import Refusal

Role = Literal["operator", "reader"]


@dataclass(frozen=True)
class Visitor:
    """Who asks.

    >>> Visitor("reader", "127.0.0.1").may_change
    False
    """

    role: Role
    address: str  # of the other end, or what a proxy says it is

    @property
    def may_change(self) -> bool:
        """May they do more than look?"""
        return self.role == "operator"


def visitor(request: Request) -> Visitor:
    """Who asks, as the guard before the routes found out."""
    found: Visitor = request.scope["state"]["visitor"]
    return found


def operator(request: Request) -> Visitor:
    """Who asks, if they may change things.

    Raises:
        Refusal: they may only look.
    """
    found = visitor(request)
    if not found.may_change:
        raise Refusal(403, "you may look and not change; sign in with the operators' token")
    return found


Reader = Annotated[Visitor, Depends(visitor)]
Operator = Annotated[Visitor, Depends(operator)]
