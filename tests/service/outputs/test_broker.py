"""Where the broker is, and that a password is never where others see it."""

import os
import sys
import warnings

import pytest

from conftest import refused
from nearfar.errors import NearfarWarning, SettingError
from nearfar.service.outputs.broker import PASSWORD, USER, Broker

SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("mqtt://127.0.0.1", "127.0.0.1", 1883, False),
        ("mqtts://hall.example", "hall.example", 8883, True),
        ("mqtt://[::1]:2883/", "::1", 2883, False),
        ("MQTTS://hall:1", "hall", 1, True),
    ],
)
def test_a_url_names_host_and_port(url, host, port, tls):
    broker = Broker.of(url)
    assert (broker.host, broker.port, broker.tls) == (host, port, tls)
    assert Broker.of(broker.url) == broker


@pytest.mark.parametrize(
    "url",
    ["", "hall", "hall:1883", "http://hall", "mqtt://", "mqtt://hall:x", "mqtt://hall:70000",
     "mqtt://hall:0", "mqtt://hall/topic", "mqtt://hall?a=b", "mqtt://[::1", "mqtt://hall#f"],
)  # fmt: skip
def test_what_is_no_url_of_a_broker_is_refused_in_a_line(url):
    refused(lambda: Broker.of(url), "broker", "mqtt://HOST:PORT", error=SettingError)


@pytest.mark.parametrize(
    "url",
    [f"mqtt://me:{SECRET}@hall", f"mqtts://me:{SECRET}/x@hall:1", f"mqtt:me:{SECRET}@hall",
     f"mqtt://:{SECRET}@hall", f"mqtt://me:{SECRET}@[::1", f"me:{SECRET}@hall",
     f"mqtt://me:{SECRET}@x@hall:port"],
)  # fmt: skip
def test_a_password_in_the_url_is_refused_and_not_repeated(url):
    line = refused(lambda: Broker.of(url), USER, PASSWORD, error=SettingError)
    assert SECRET not in line


def test_the_environment_has_user_and_password_and_nothing_prints_it():
    broker = Broker.of("mqtt://127.0.0.1", {USER: "me", PASSWORD: SECRET})
    assert (broker.user, broker.password) == ("me", SECRET)
    assert SECRET not in repr(broker) + broker.url
    assert Broker.of("mqtt://127.0.0.1", {USER: "", PASSWORD: ""}).user is None
    line = refused(lambda: Broker.of("mqtt://h", {PASSWORD: SECRET}), USER, error=SettingError)
    assert SECRET not in line
    secrets = {USER: "me", PASSWORD: f"{SECRET}\n"}
    assert SECRET not in refused(lambda: Broker.of("mqtt://h", secrets), PASSWORD)


def test_a_password_that_goes_unencrypted_over_a_network_is_told():
    secrets = {USER: "me", PASSWORD: SECRET}
    with pytest.warns(NearfarWarning, match="unencrypted"):
        Broker.of("mqtt://hall.example", secrets)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Broker.of("mqtts://hall.example", secrets)
        Broker.of("mqtt://127.0.0.1", secrets)
        Broker.of("mqtt://hall.example")


def test_certificates_that_cannot_be_used_are_refused_in_a_line(tmp_path):
    empty = tmp_path / "ca.pem"
    empty.write_text("no certificate")
    for ca in (empty, tmp_path / "gone.pem", tmp_path):
        broker = Broker.of("mqtts://hall", ca=ca)
        refused(broker.context, ca, "give a PEM file", error=SettingError)
    broker = Broker.of("mqtts://hall", cert=empty, key=empty)
    refused(broker.context, "PEM", error=SettingError)
    refused(lambda: Broker.of("mqtts://hall", cert=empty), "key", error=SettingError)
    refused(lambda: Broker.of("mqtt://hall", ca=empty), "mqtts://", error=SettingError)


def test_the_client_id_stays_and_differs_between_topics():
    broker = Broker.of("mqtt://hall")
    assert broker.client_id("a") == broker.client_id("a") != broker.client_id("b")
    # What MQTT 3.1.1 has every broker take: 1 to 23 of these (3.1.3.1).
    assert broker.client_id("a").replace("-", "").isalnum()
    assert len(broker.client_id("a")) <= 23


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes in folders there")
def test_certificates_in_a_pipe_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "ca.pem")
    refused(lambda: Broker.of("mqtts://hall", {}, ca=tmp_path / "ca.pem").context(), "is a pipe")
