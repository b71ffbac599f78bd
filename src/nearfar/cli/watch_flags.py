"""Options of `nearfar watch` that no other command takes, with what their help says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nearfar.cli.options import DATA, OUTPUT, SYSTEM, LogForm, option

# fmt: off
Settle = Annotated[str | None, option(
    DATA, "TIME", "A file is whole when it was so long unchanged, or renamed; 2s if never said."
)]
Poll = Annotated[str | None, option(
    DATA, "TIME", "List the folder so often, where the disk tells of no new files."
)]
NewOnly = Annotated[bool, typer.Option(
    "--new-only", rich_help_panel=DATA,
    help="Leave out what is there already; else it is caught up, oldest first.",
)]
Once = Annotated[bool, typer.Option(
    "--once", rich_help_panel=DATA, help="Hear what is there and new, then end.",
)]
RawRate = Annotated[int | None, option(DATA, "HZ", "Of raw sound, or of a device.")]
RawForm = Annotated[str | None, option(
    DATA, "FORM", "Of raw sound: s16le, s24le, s32le, f32le, or be; s16le if never said.",
    "--format",
)]
StreamChannels = Annotated[int | None, typer.Option(
    min=1, max=64, rich_help_panel=DATA, metavar="N",
    help="In raw sound; 2 if never said. Of more say --near and --far.",
)]
Alarm = Annotated[str | None, option(
    SYSTEM, "K/N",
    "Alarm: at least k of the last n judged clips above the threshold; 3/5 if never said.",
)]
ClearP = Annotated[float | None, option(
    OUTPUT, "P", "p-value down to which a clip keeps an alarm standing; else twice the rate.",
    "--clear",
)]
SensorAlarm = Annotated[str | None, option(
    SYSTEM, "K/N", "The same for what keeps us from hearing; 2/3 if never said."
)]
Gate = Annotated[str | None, option(
    SYSTEM, "DBFS", "Near level below which a machine stands still, or off; else as learnt."
)]
Every = Annotated[str | None, option(
    SYSTEM, "TIME", "A clip is due so often; none for three times as long is an alarm."
)]
ExplainAlarm = Annotated[str | None, option(
    SYSTEM, "K/N", "Print how many false alarms a month this rule would give, and end. "
    "Without K/N: the rule of --alarm or plant.toml.",
)]
History = Annotated[str | None, option(
    OUTPUT, "PLACE", "Keep a row a clip in this file, or at postgresql://…; else in memory."
)]
Keep = Annotated[str | None, option(
    OUTPUT, "TIME", "Remove rows of it that are older, as 90d; else they stay."
)]
KeepAudio = Annotated[str | None, option(
    OUTPUT, "WHICH", "Keep the sound of clips beside the history: alarms, all or none; if never "
    "said alarms where there is a page and the history is in a file, else none."
)]
AudioLimit = Annotated[str | None, option(
    OUTPUT, "SIZE", "At most so much of it, the oldest go first; 2 GB if never said."
)]
Mqtt = Annotated[str | None, option(
    OUTPUT, "URL", "Tell this broker, mqtt:// or mqtts://HOST[:PORT]; user and password are "
    "NEARFAR_MQTT_USER and NEARFAR_MQTT_PASSWORD in the environment.",
)]
MqttTopic = Annotated[str | None, option(
    OUTPUT, "NAME", "What all topics begin with; nearfar if never said."
)]
MqttVersion = Annotated[int | None, option(
    OUTPUT, "3|5", "3, which is 3.1.1, or 5; 3 if never said."
)]
MqttCa = Annotated[Path | None, option(
    OUTPUT, "FILE", "Certificates that vouch for the broker; else those of the system."
)]
MqttCert = Annotated[Path | None, option(OUTPUT, "FILE", "Our own certificate.")]
MqttKey = Annotated[Path | None, option(OUTPUT, "FILE", "Its key.")]
NoDiscovery = Annotated[bool, typer.Option(
    "--no-discovery", rich_help_panel=OUTPUT, help="Do not let Home Assistant find machines.",
)]
MetricsPlace = Annotated[str | None, option(
    OUTPUT, "HOST:PORT", "Serve /metrics, /healthz and /readyz there."
)]
OnAlarm = Annotated[str | None, option(
    OUTPUT, "COMMAND", "Run this on every alarm, with JSON on its standard input; no shell."
)]
AsJson = Annotated[Path | None, option(
    OUTPUT, "PATH|-", "Write a line of JSON for each clip, behind what a file has; alone or "
    "with - to standard output.", "--json",
)]
LogFlag = Annotated[LogForm, typer.Option(
    rich_help_panel=OUTPUT, metavar="text|json", help="How events are told on standard error.",
)]
ExampleFlag = Annotated[bool, typer.Option(
    "--example", rich_help_panel=OUTPUT, help="Print a plant.toml with every key, and end.",
)]
# fmt: on
