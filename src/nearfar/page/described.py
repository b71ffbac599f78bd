"""What answers look like, for /api/openapi.json: described, and never checked as they are sent.

An answer of a thousand rows would be checked for longer than it takes to find them; tests hold
them to this in its place.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field, create_model

from nearfar.page.guard.gate import OPEN

Made = type[BaseModel]
Number, Text, Yes = float | None, str | None, bool | None


def _model(name: str, base: Made = BaseModel, /, **fields: Any) -> Made:
    """A model whose fields are all there, but those given as (type, default)."""
    said: Any = {key: one if isinstance(one, tuple) else (one, ...) for key, one in fields.items()}
    made: Made = create_model(name, __base__=base, **said)
    return made


def _answer(name: str, base: Made = BaseModel, /, **fields: Any) -> Made:
    # `schema` is a method of each model, so a field cannot be called so itself.
    return _model(name, base, schema_=(int, Field(alias="schema")), **fields)


ALARM = _model(
    "Alarm", id=int, kind=str, condition=str, machine=str, section=str, since=str, told=str,
    cleared=Text, acknowledged=Text, note=str, shelved_until=Text, state=str,
)  # fmt: skip
SAID = _model("Said", verb=str, who=str, at=str, note=str)
ALARM_SAID = _model("AlarmSaid", ALARM, said=list[SAID])  # type: ignore[valid-type]
ALARM_SPAN = _model("AlarmSpan", ALARM, from_ms=int, to_ms=int | None, digest=Text)
ALARMS = _answer("Alarms", alarms=list[ALARM_SAID])  # type: ignore[valid-type]
ONE_ALARM = _answer("OneAlarm", alarm=ALARM_SAID)

_JUDGED: dict[str, Any] = {
    "score": Number, "percentile": Number, "p_value": Number, "threshold": Number,
    "anomalous": Yes,
}  # fmt: skip
_LEVELS: dict[str, Any] = {
    "near_level": Number, "far_level": Number, "ratio": Number, "coherence": Number,
}  # fmt: skip
MACHINE = _model(
    "Machine", machine=str, section=str, label=str, state=str, running=Yes, sound=str, sensor=str,
    drift=str, faults=list[str], clips=int, **_JUDGED, nearest=Text, name=Text, **_LEVELS,
    warning=Text, detector=Text, judged=Text, heard=Text, threshold_p=Number,
    alarms=list[ALARM],  # type: ignore[valid-type]
)  # fmt: skip
ONE_MACHINE = _answer("OneMachine", MACHINE)
MACHINES = _answer("Machines", machines=list[MACHINE])  # type: ignore[valid-type]

CLIP = _model(
    "Clip", row=int, source=str, name=str, machine=str, section=str, time=Text, arrived=str,
    at=str, at_ms=int, seconds=Number, digest=str, status=str, **_JUDGED, nearest=str, **_LEVELS,
    faults=list[str], warning=str, detector=str, label=Text, learnt=bool,
)  # fmt: skip
LABEL = _model(
    "Label", id=int, machine=str, section=str, digest=str, label=str, at=str, who=str, note=str,
    learnt=bool, name=str, undone=Text, undone_by=str,
)  # fmt: skip
CLIPS = _answer("Clips", clips=list[CLIP], next=Text)  # type: ignore[valid-type]
ONE_CLIP = _answer("OneClip", CLIP, kept=bool, labels=list[LABEL])  # type: ignore[valid-type]
LEARNT = _model("Learnt", known=list[int], threshold=list[float], told=list[str])
LABELLED = _answer("Labelled", label=LABEL, learnt=(LEARNT | None, None))
UNLABELLED = _answer("Unlabelled", label=LABEL, forgotten=LEARNT | None)

POINTS = _model(
    "Points", at=list[int], p=list[float | None], judged=list[int], anomalous=list[int],
    idle=list[int], unjudged=list[int], faults=list[int], digest=list[str],
)  # fmt: skip
TIMELINE = _answer(
    "Timeline", machine=str, section=str, since=Text, until=Text, rate=float, threshold=Number,
    step_ms=Number, first_ms=int | None, last_ms=int | None, points=POINTS,
    alarms=list[ALARM_SPAN],  # type: ignore[valid-type]
)  # fmt: skip

MOVE = _model("Move", sentence=str, amount=Number, unit=str, share=Number)
NEIGHBOUR = _model("Neighbour", name=str, domain=str, distance=Number, made=bool)
REASONS = _model(
    "Reasons", why=str, sensor=list[str], member=str,
    moves=list[MOVE], neighbours=list[NEIGHBOUR],  # type: ignore[valid-type]
)  # fmt: skip
VERDICT = _model(
    "Verdict", machine=str, section=str, clip=str, **_JUDGED, nearest=str, warning=str, time=Text,
)  # fmt: skip
SOUND = _model("Sound", name=str, label=str, url=str, seconds=float)
PICTURE = _model("Picture", kind=str, url=str, left=float, right=float, seconds=float)
EXPLANATION = _answer(
    "Explanation", REASONS, verdict=_model("VerdictThen", VERDICT, judged=bool), missing=str,
    cut=int, lines=list[str], detector=str, judged_by_other=bool,
    sounds=list[SOUND], pictures=list[PICTURE],  # type: ignore[valid-type]
)  # fmt: skip
SCORED = _model("Scored", VERDICT, path=str, explanation=(REASONS | None, None))
SCORES = _answer("Scores", scores=list[SCORED])  # type: ignore[valid-type]

THRESHOLD = _answer(
    "Threshold", threshold=Number, false_alarm_rate=float, normals=int, machines=list[str],
    told=(list[str], Field([], description="Of another rate alone: what is to be said of it.")),
)  # fmt: skip
AUDITED = _model(
    "Audited", id=int, at=str, who=str, role=str, address=str, verb=str, about=str, outcome=str
)
AUDIT = _answer("Audit", rows=list[AUDITED], next=int | None)  # type: ignore[valid-type]

SESSION = _answer("Session", role=Text)
# Without a token no more than the first three are told.
ABOUT = _answer(
    "About", version=str, needs_token=bool, role=Text, ready=(bool, False),
    upload_limit=(int, 0), watches=(bool, False), can_setup=(bool, False), history=(bool, False),
    keeps_sound=(bool, False), watch=(dict[str, Any] | None, None),
)  # fmt: skip


def _open_model(name: str, /, **fields: Any) -> Made:
    """A model with more fields than are named."""
    loose = create_model(f"{name}Base", __config__=ConfigDict(extra="allow"))
    return _answer(name, loose, **fields)


SETUP = _open_model(
    "SetupState", stage=str, machine=str, recordings=int, bytes=int, offered=list[str],
    chosen=list[str], sending=bool, checked=bool, done=int, total=int, line=str,
)  # fmt: skip
SENT = _answer(
    "Sent", stored=int, known=int, left_out=list[str], refused=list[str], setup=dict[str, Any]
)
REMOVED = _answer("Removed", removed=int, setup=dict[str, Any])


def content(*kinds: str, text: str = "It is sent.") -> dict[str, Any]:
    """A response that is no JSON.

    >>> content("audio/flac")["content"]["audio/flac"]
    {'schema': {'type': 'string', 'format': 'binary'}}
    """
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {"description": text, "content": dict.fromkeys(kinds, binary)}


def describe(app: FastAPI) -> dict[str, Any]:
    """The description, with how a request says who asks."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        # A page without tokens asks for neither, and takes no harm from them.
        made.setdefault("components", {})["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer",
                       "description": "The token, as programs send it."},
            "cookie": {"type": "apiKey", "in": "cookie", "name": "nearfar_PORT",
                       "description": "Of a browser that signed in with POST /api/session."},
        }  # fmt: skip
        made["security"] = [{"bearer": []}, {"cookie": []}]
        for verb, path in OPEN:
            if told := made["paths"].get(path, {}).get(verb.lower()):
                told["security"] = []
        app.openapi_schema = made
    return app.openapi_schema
