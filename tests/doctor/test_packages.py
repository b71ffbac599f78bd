"""What is installed is told, what is missing has its line, what is broken is a line and no end."""

import re
import sys
import tomllib

import pytest

from conftest import TESTS
from nearfar.doctor import packages
from nearfar.doctor.packages import CORE, EXTRAS, FOR, core, extras, install_line, python
from nearfar.errors import EXTRAS as TOLD

PROJECT = tomllib.loads((TESTS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def wanted(requirements):
    # An extra may take others along, which have lines of their own.
    requirements = [line for line in requirements if not line.startswith("nearfar[")]
    return dict(
        re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([0-9.]+)(?:,<[0-9.]+)?", line).groups()
        for line in requirements
    )


def test_the_tables_are_those_of_the_project():
    assert {name: oldest for name, (_, oldest) in CORE.items()} == wanted(PROJECT["dependencies"])
    offered = PROJECT["optional-dependencies"]
    for extra, inside in EXTRAS.items():
        assert {name: oldest for name, (_, oldest) in inside.items()} == wanted(offered[extra])
    # Others are for who works on nearfar itself.
    assert set(EXTRAS) == set(FOR) == set(offered) - {"bench", "docs", "dev"}
    assert set(TOLD) == set(EXTRAS)


def test_here_all_that_must_be_is():
    assert {sign.state for sign in (*python(), *core())} == {"ok"}


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A package of that name, whose import does what it is told."""

    def lay(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        for module in [m for m in sys.modules if m.split(".")[0] == name]:
            monkeypatch.delitem(sys.modules, module)

    yield lay
    for name in [m for m, mod in sys.modules.items()
                 if str(getattr(mod, "__file__", "")).startswith(str(tmp_path))]:  # fmt: skip
        del sys.modules[name]


def sign_of(extra):
    return next(sign for sign in extras() if sign.name == extra)


@pytest.fixture
def one(monkeypatch):
    """Only one extra is looked at: others take time to import."""
    for extra in set(EXTRAS) - {"convert"}:
        monkeypatch.delitem(packages.EXTRAS, extra)


@pytest.mark.parametrize(
    "text",
    ["raise OSError('libhdf5.so is gone\\nand more')", "raise ImportError('undefined symbol')",
     "import no_such_package_of_its_own", "1/0"],
)  # fmt: skip
def test_a_broken_package_is_one_line_with_the_way_to_mend_it(fake, one, text):
    fake("h5py", text)
    found = sign_of("convert")
    assert found.state == "broken"
    assert found.told.startswith("h5py: ")
    assert found.told.isprintable()
    assert found.way.startswith("pip install ")
    assert found.way.endswith("--force-reinstall")


def test_a_missing_extra_has_its_pip_line(monkeypatch, one):
    monkeypatch.setitem(sys.modules, "h5py", None)
    found = sign_of("convert")
    assert (found.state, found.way) == ("missing", install_line("convert"))
    assert "no h5py" in found.told


def test_one_that_is_too_old_says_so(fake, one, monkeypatch):
    fake("h5py", "")
    monkeypatch.setattr(packages.metadata, "version", lambda _: "3.9.9")
    assert "3.9.9 is too old, need at least 3.10" in sign_of("convert").told


def test_the_line_is_right_however_nearfar_was_installed(tmp_path, monkeypatch):
    checkout = TESTS.parent
    monkeypatch.chdir(checkout)
    assert install_line("eat") == "pip install '.[eat]'"  # as the README has it
    monkeypatch.chdir(tmp_path)
    assert install_line("eat") == f"pip install '{checkout}[eat]'"
    wheel = "file:///wheels/nearfar-0.1.0-py3-none-any.whl"
    for origin, line in (
        (("index", ""), "nearfar[eat]"),
        (("address", wheel), f"nearfar[eat] @ {wheel}"),
    ):
        assert packages._named("eat", origin, tmp_path) == line


def test_where_it_was_installed_from_is_read_as_pip_wrote_it(tmp_path, monkeypatch):
    class Installed:
        def __init__(self, text):
            self.text = text

        def read_text(self, name):
            assert name == "direct_url.json"
            return self.text

    monkeypatch.setattr(
        packages, "__file__", str(tmp_path / "site" / "nearfar" / "doctor" / "p.py")
    )
    said = {
        None: ("index", ""),
        '{"url": "https://example.org/n.whl", "archive_info": {}}': (
            "address", "https://example.org/n.whl"),
        '{"url": "https://example.org/n", "vcs_info": {"vcs": "git"}}': (
            "address", "git+https://example.org/n"),
        f'{{"url": "{tmp_path.as_uri()}", "dir_info": {{}}}}': ("folder", str(tmp_path)),
        '{"url": "file:///gone/away", "dir_info": {}}': ("index", ""),
        "damaged": ("index", ""),
    }  # fmt: skip
    for text, origin in said.items():
        monkeypatch.setattr(packages.metadata, "distribution", lambda _, t=text: Installed(t))
        assert packages._origin() == origin


def test_a_package_without_the_one_around_it_is_missing_and_not_broken(monkeypatch):
    """As paho.mqtt is where nobody has installed paho-mqtt."""
    for name in [m for m in sys.modules if m.partition(".")[0] == "paho"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Without("paho"), *sys.meta_path])
    found = {sign.name: sign.state for sign in extras()}
    assert found["plant"] == "missing"


class Without:
    """Finds everything but one package, as if that were not installed."""

    def __init__(self, package):
        self.package = package

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == self.package:
            raise ModuleNotFoundError(f"No module named {self.package!r}", name=self.package)
