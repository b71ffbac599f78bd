"""What a page refuses before it begins: addresses open to all, and tokens that are none."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import refused
from nearfar.errors import NearfarWarning, SettingError
from nearfar.service.page_checks import LONGEST, SHORTEST, digest, is_loopback, origin_of, token_of
from nearfar.service.plant import PageSettings

GOOD = "correct-horse-battery"


def token_file(folder, text, name="token", mode=0o600):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


@pytest.mark.parametrize("address", [":8080", "127.0.0.1:8080", "[::1]:8080", "localhost:0",
                                     "127.9.9.9:80", "[::ffff:127.0.0.1]:8080"])  # fmt: skip
def test_loopback_needs_nothing(address):
    assert PageSettings(address).token_file is None


@pytest.mark.parametrize("address", ["0.0.0.0:8080", "[::]:8080", "192.168.1.5:80", "plant:8080",
                                     "localhost.evil.example:80", "127.1:80", "2130706433:80",
                                     "[::ffff:10.0.0.1]:8080"])  # fmt: skip
def test_other_addresses_need_somebody_who_keeps_others_out(address, tmp_path):
    refused(lambda: PageSettings(address), address, "token_file", "proxy", error=SettingError)
    assert PageSettings(address, token_file=token_file(tmp_path, GOOD))
    assert PageSettings(address, proxy="https://plant.example")


def test_settings_that_are_changed_are_asked_again():
    safe = PageSettings(":8080")
    refused(lambda: replace(safe, address="0.0.0.0:8080"), "0.0.0.0", error=SettingError)


@pytest.mark.parametrize("text", ["", "\n", "short", "x" * (SHORTEST - 1), "x" * (LONGEST + 1),
                                  "two words of a token", "a-first-line-of\na-second-line",
                                  "with-an-umlaut-ä-in-it", "with-a-nul\0-in-it-somewhere",
                                  "\ufeffwith-a-mark-before-it", "x" * 10_000_000])  # fmt: skip
def test_what_is_no_token_is_refused_by_its_file_alone(text, tmp_path):
    path = token_file(tmp_path, text)
    line = refused(lambda: PageSettings(":0", token_file=path), path, error=SettingError)
    assert not text or text[:12] not in line


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_end_of_the_line_is_no_part_of_it(end, tmp_path):
    assert token_of(token_file(tmp_path, GOOD + end)) == digest(GOOD.encode())


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    for path in (tmp_path / "gone", tmp_path, Path("a\0b")):
        refused(lambda path=path: PageSettings(":0", token_file=path), error=SettingError)


def test_operators_and_readers_have_tokens_of_their_own(tmp_path):
    first, second = token_file(tmp_path, GOOD), token_file(tmp_path, GOOD + "\n", "other")
    refused(lambda: PageSettings(":0", first, second), second, error=SettingError)
    refused(lambda: PageSettings(":0", reader_token_file=second), "token_file", error=SettingError)
    assert PageSettings(":0", first, token_file(tmp_path, GOOD[::-1], "other"))


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_token_that_others_can_read_is_told_of(mode, tmp_path):
    with pytest.warns(NearfarWarning, match="chmod 600"):
        PageSettings(":0", token_file=token_file(tmp_path, GOOD, mode=mode))


NO_ORIGINS = [
    "plant.example", "ftp://plant", "https://", "https://a/b", "https://a?b", "https://me@a",
    "https://ä.example", "https://a:99999", "https://[::1", "https://a#b", "https://a b",
]  # fmt: skip


@pytest.mark.parametrize("proxy", NO_ORIGINS)
def test_what_is_no_origin_is_refused(proxy):
    refused(lambda: PageSettings(":0", proxy=proxy), "proxy", error=SettingError)


def test_an_origin_is_as_browsers_write_it():
    assert origin_of("https://Plant.Example:443/") == ("https://plant.example", "plant.example")
    assert origin_of("http://[::1]:8080") == ("http://[::1]:8080", "[::1]:8080")


def test_only_this_computer_is_loopback():
    assert is_loopback("LOCALHOST.")
    assert not any(map(is_loopback, ("", "localhost.x", "::", "127.0.0.1.nip.io", "128.0.0.1")))
