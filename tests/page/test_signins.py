"""Tokens and sign-ins: which come in, how long, and how many are kept in mind."""

import os

import pytest

from nearfar.page.guard import signins
from nearfar.page.guard.rates import TooOften
from nearfar.page.guard.signins import SignIns, TokenFile
from nearfar.page.refusal import Refusal
from nearfar.service.plant import PageSettings
from page_server import READERS, TOKEN, Clock, token_file

HERE = "10.0.0.1"


@pytest.fixture
def files(tmp_path):
    return token_file(tmp_path), token_file(tmp_path, READERS, "readers")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def known(files, clock):
    return SignIns(PageSettings("127.0.0.1:0", *files), clock)


def test_each_token_has_its_role(known):
    assert known.check(TOKEN.encode(), HERE) == "operator"
    assert known.check(READERS.encode(), HERE) == "reader"
    for wrong in (b"", TOKEN.encode() + b"\n", TOKEN.upper().encode(), b"\xff" * 99):
        with pytest.raises(Refusal):
            known.check(wrong, HERE)


def test_cookies_are_random_and_stand_for_a_token(known):
    made = [known.begin(TOKEN.encode(), HERE) for _ in range(20)]
    assert len({cookie for cookie, _ in made}) == 20
    assert min(len(cookie) for cookie, _ in made) >= 43  # 256 bits in base64
    assert {known.role(cookie) for cookie, _ in made} == {"operator"}
    assert known.role(TOKEN) is None
    assert known.role("ä\udcff") is None


def test_who_signs_out_is_out_and_others_are_not(known):
    first, second = (known.begin(READERS.encode(), HERE)[0] for _ in range(2))
    known.end(first)
    known.end("nobody's")
    assert (known.role(first), known.role(second)) == (None, "reader")


def test_what_is_unused_is_forgotten_and_what_is_used_is_not(known, clock):
    used, unused = (known.begin(TOKEN.encode(), HERE)[0] for _ in range(2))
    clock.now += 20 * 86400
    assert known.role(used) == "operator"
    clock.now += 20 * 86400
    assert (known.role(used), known.role(unused)) == ("operator", None)


def test_so_many_are_kept_in_mind(known, monkeypatch):
    monkeypatch.setattr(signins, "MOST", 3)
    first, *rest = (known.begin(TOKEN.encode(), HERE)[0] for _ in range(3))
    assert known.role(first) == "operator"
    known.begin(TOKEN.encode(), HERE)
    assert [known.role(cookie) for cookie in (first, *rest)] == ["operator", None, "operator"]


def test_another_token_ends_what_was_signed_in_with_the_old(known, files):
    mine, readers = (known.begin(t.encode(), HERE)[0] for t in (TOKEN, READERS))
    files[0].write_text("another-horse-battery")
    assert (known.role(mine), known.role(readers)) == (None, "reader")


@pytest.mark.parametrize("text", ["", "short", "two\nlines-of-something"])
def test_a_file_without_a_token_lets_nobody_in_and_says_so_once(known, files, text, caplog):
    cookie = known.begin(TOKEN.encode(), HERE)[0]
    files[0].write_text(text)
    for _ in range(3):
        assert known.role(cookie) is None
        with pytest.raises(Refusal):
            known.check(b"", HERE)
    assert caplog.text.count(str(files[0])) == 2  # once its name, once within why
    assert len(caplog.records) == 1
    files[0].write_text(TOKEN)
    assert known.check(TOKEN.encode(), HERE) == "operator"


def test_one_token_in_both_files_is_worth_the_less(known, files):
    files[1].write_text(TOKEN)
    assert known.check(TOKEN.encode(), HERE) == "reader"


def test_a_file_that_is_replaced_with_the_same_time_is_read(tmp_path):
    path = token_file(tmp_path)
    seen = TokenFile(path)
    first = seen.current
    stamp = path.stat()
    other = token_file(tmp_path, TOKEN[::-1], "other")
    os.utime(other, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    other.replace(path)
    assert seen.current not in (first, None)


def test_many_wrong_ones_are_one_line_of_the_log_a_minute(known, clock, caplog):
    for _ in range(2):
        for address in (HERE, "10.0.0.2"):
            for _ in range(signins.WRONG + 30):
                with pytest.raises(Refusal):
                    known.check(b"wrong", address)
    (line,) = caplog.messages
    assert line == f"{HERE}: 20 wrong tokens in a minute, and more"
    clock.now += 61
    for _ in range(signins.WRONG + 30):
        with pytest.raises(Refusal):
            known.check(b"wrong", HERE)
    assert len(caplog.messages) == 2


def test_many_wrong_ones_wait_and_lock_nobody_out(known):
    for n in range(signins.WRONG):
        with pytest.raises(Refusal) as caught:
            known.check(b"wrong", HERE)
        assert caught.value.status == 401, n
    with pytest.raises(TooOften):
        known.check(b"wrong", HERE)
    assert known.check(TOKEN.encode(), HERE) == "operator"
    with pytest.raises(Refusal) as caught:
        known.check(b"wrong", "10.0.0.2")
    assert caught.value.status == 401
