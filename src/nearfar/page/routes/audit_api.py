"""The audit: who changed what, when and from where."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from nearfar.page.asked import AtDesk
from nearfar.page.described import AUDIT
from nearfar.page.guard.visitor import Operator
from nearfar.page.replies import as_json
from nearfar.page.routes.events_api import FARTHEST

router = APIRouter(tags=["audit"])


@router.get("/audit", response_model=AUDIT)
def audit(
    desk: AtDesk,
    visitor: Operator,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    before: Annotated[int | None, Query(ge=0, le=FARTHEST)] = None,
) -> Response:
    """The newest first; `next` is the `before` of the next page, null at the end."""
    # For operators alone: addresses and names of people are in it.
    rows = desk.store.audit(limit, before)
    more = rows[-1].id if len(rows) == limit else None
    return as_json({"rows": [row.as_dict() for row in rows], "next": more})
