"""What Home Assistant is told of a machine, so that it appears there by itself.

One retained message a machine, of the form that Home Assistant calls device discovery (2024.11 and
later): https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload.
"""

from __future__ import annotations

from typing import Any

from nearfar.service.outputs.said import WORDS, one_line_json, readable
from nearfar.text import called
from nearfar.version import __version__

STATES = ("unknown", "idle", "normal", "anomalous", "unjudged", "alarm")
ALARMS = ("none", *WORDS)
# A number's key in the state → its name, icon, and digits that are shown. None has a unit: scores
# are in the system's own, and the others are shares of 1.
NUMBERS = {
    "score": ("Score", "mdi:ear-hearing", 3),
    "threshold": ("Threshold", "mdi:arrow-collapse-up", 3),
    "percentile": ("Percentile", "mdi:percent-outline", 3),
    "p_value": ("p-value", "mdi:dice-multiple", 4),
}
LEVELS = {"near_level": "Level near", "far_level": "Level far"}  # dBFS


def discovery_json(identity: str, state_topic: str, status_topic: str, key: tuple[str, str]) -> str:
    """The message that makes a machine a device of Home Assistant, with its sensors.

    Args:
        identity: of `topics.identifier`.
        state_topic: where the machine's state is retained.
        status_topic: where `online` or `offline` is retained.
        key: machine and section.

    >>> import json
    >>> made = json.loads(discovery_json("nearfar_pump_00_1f", "n/pump/00/state", "n/status",
    ...                                  ("pump", "00")))
    >>> made["device"]["name"], made["components"]["problem"]["device_class"]
    ('pump', 'problem')
    """
    name = readable(called(*key)) or "machine without a name"
    return one_line_json({
        "device": {
            "identifiers": [identity],
            "name": name,
            "manufacturer": "nearfar",
            "model": "Sound of a machine",
            "sw_version": __version__,
        },
        "origin": {"name": "nearfar", "sw_version": __version__},
        "availability_topic": status_topic,
        "state_topic": state_topic,
        "qos": 1,
        "components": {
            part: {"unique_id": f"{identity}_{part}", **settings}
            for part, settings in _components().items()
        },
    })  # fmt: skip


def _components() -> dict[str, dict[str, Any]]:
    made = {
        "state": _words("State", "{{ value_json.state }}", STATES),
        "sound_alarm": _words("Sound alarm", "{{ value_json.sound }}", ALARMS),
        "sensor_alarm": _words("Sensor alarm", "{{ value_json.sensor }}", ALARMS),
        "drift_alarm": _words("Drift", "{{ value_json.drift }}", ALARMS),
        "running": _yes_no("Running", "running", _told("value_json.running")),
        "problem": _yes_no("Sounds wrong", "problem", _standing("sound")),
        "sensor_problem": _yes_no("Cannot be heard", "problem", _standing("sensor")),
        "heard": {
            "platform": "sensor",
            "name": "Last clip",
            "device_class": "timestamp",
            "value_template": "{{ value_json.heard }}",
            "entity_category": "diagnostic",
        },
    }
    made |= {key: _number(key, *words) for key, words in NUMBERS.items()}
    return made | {key: _level(key, name) for key, name in LEVELS.items()}


def _words(name: str, template: str, options: tuple[str, ...]) -> dict[str, Any]:
    return {
        "platform": "sensor",
        "name": name,
        "device_class": "enum",
        "options": list(options),
        "value_template": template,
    }


def _yes_no(name: str, kind: str, template: str) -> dict[str, Any]:
    return {
        "platform": "binary_sensor",
        "name": name,
        "device_class": kind,
        "value_template": template,
    }


def _told(value: str) -> str:
    # Home Assistant takes the text None as: nobody knows.
    return f"{{{{ None if {value} is none else ('ON' if {value} else 'OFF') }}}}"


def _standing(kind: str) -> str:
    return f"{{{{ 'ON' if value_json.{kind} in ('active', 'acknowledged') else 'OFF' }}}}"


def _number(key: str, name: str, icon: str, digits: int) -> dict[str, Any]:
    return {
        "platform": "sensor",
        "name": name,
        "icon": icon,
        "state_class": "measurement",
        "suggested_display_precision": digits,
        "value_template": f"{{{{ value_json.{key} }}}}",
    }


def _level(key: str, name: str) -> dict[str, Any]:
    return {
        "platform": "sensor",
        "name": name,
        "unit_of_measurement": "dBFS",  # no device class: it is no sound pressure
        "state_class": "measurement",
        "suggested_display_precision": 1,
        "entity_category": "diagnostic",
        "enabled_by_default": False,
        "value_template": f"{{{{ value_json.{key} }}}}",
    }
