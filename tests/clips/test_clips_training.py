"""Proxy classes: by attributes or by domain, of normal training clips alone."""

from __future__ import annotations

from pathlib import Path

from clip_files import refused
from nearfar.clips import Clip, Clips, proxy_classes
from nearfar.errors import SettingError

SOME = Clips(
    Clip(Path(f"{i}.wav"), machine=m, section=s, domain=d, split=p, label=lb)
    for i, (m, s, d, p, lb) in enumerate(
        [
            ("pump", "01", "source", "train", "normal"),
            ("fan", "00", "target", "test", "anomaly"),
            ("pump", "00", None, None, None),
            ("fan", "00", "source", "train", "normal"),
        ]
    )
)


def classed(*rows: tuple[str, str | None, str]) -> Clips:
    return Clips(Clip(Path(f"{i}.wav"), machine=m, domain=d, attributes=a)
                 for i, (m, d, a) in enumerate(rows))  # fmt: skip


def test_classes_by_attributes_or_by_domain() -> None:
    clips = classed(("A", "source", "x"), ("A", "target", "X"), ("A", "source", "y"),
                    ("B", "source", ""), ("B", "target", ""), ("B", None, ""),
                    ("AA", None, ""))  # fmt: skip
    assert list(proxy_classes(clips).values()) == [
        ("A", "00", "x"), ("A", "00", "x"), ("A", "00", "y"),
        ("B", "00", "source"), ("B", "00", "target"), ("B", "00", "source"),
        ("AA", "00", "source")]  # fmt: skip
    assert len(set(proxy_classes(clips, rule="report").values())) == 6


def test_anomalies_and_test_clips_have_no_class() -> None:
    clips = Clips(
        Clip(Path(f"{split}{label}.wav"), machine="A", split=split, label=label, attributes="x")
        for split in ("train", "test", None)
        for label in ("normal", "anomaly", None)
    )
    kept = {(c.split, c.label) for c in proxy_classes(clips)}
    assert kept == {("train", "normal"), ("train", None), (None, "normal"), (None, None)}
    left_out = set(clips) - set(proxy_classes(clips, rule="report"))
    assert {(c.split, c.label) for c in left_out} == {("test", None)}


def test_an_unknown_rule() -> None:
    refused(lambda: proxy_classes(SOME, rule="all"), "'all'", "train", error=SettingError)  # type: ignore[arg-type]
