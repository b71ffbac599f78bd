"""Options of the command watch: each is taken by it, and has a value's name and a help."""

import inspect
from typing import get_args

from nearfar.cli import watch_flags
from nearfar.cli.watch import watch

OWN = {
    name: kind for name, kind in vars(watch_flags).items() if get_args(kind) and name[0].isupper()
}


def test_each_is_an_option_of_the_command_and_of_none_twice():
    taken = [p.annotation for p in inspect.signature(watch).parameters.values()]
    assert {name: taken.count(name) for name in OWN} == dict.fromkeys(OWN, 1)


def test_each_says_what_it_is_for():
    for name, kind in OWN.items():
        told = get_args(kind)[1]
        assert told.help, name
        assert told.help.endswith((".", ")")), name
