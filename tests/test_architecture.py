"""Data flow one way: which folder may import which is a table, and the table is a test."""

import ast
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter

from tools.house import GROUND, MAY_IMPORT, ROOT, circles, floors, home, imports, modules, tree

from conftest import FIRST, TESTS

MODULES = modules()


def test_a_folder_imports_only_what_the_table_allows():
    """Imports for type checkers count: what needs a name needs its folder."""
    assert len(MODULES) > 500  # else the house was not found
    strange = []
    for path in MODULES:
        room = home(path)
        assert room in MAY_IMPORT, f"{room} is not in the table: say what it may import"
        allowed = MAY_IMPORT[room] | {room}
        if room not in GROUND:
            allowed |= GROUND
        used = {home(other) for other in imports(path)}
        strange += [f"{path} imports {other}" for other in sorted(used - allowed)]
    assert strange == []


def test_the_table_names_what_is_there():
    assert set(MAY_IMPORT) == {home(path) for path in MODULES}


def test_nothing_but_the_ground_lies_at_the_top():
    top = {path.stem for path in MODULES if len(path.parts) == 1}
    assert top == {"__init__", "__main__", "errors", "files", "testing", "text", "version"}


def test_no_file_imports_its_importer():
    assert circles() == []


def test_no_folder_imports_its_importer():
    """Each room stands on a floor above all that it imports; a circle would have none."""
    found = floors()  # refuses a circle
    for room in sorted(found, key=found.__getitem__):
        print(f"{found[room]:3d}  {room}")
    list(TopologicalSorter(MAY_IMPORT).static_order())  # what the table allows has none either


def test_each_folder_says_what_it_is():
    for path in MODULES:
        if path.name != "__init__.py" or len(path.parts) == 1:
            continue
        text = ast.get_docstring(tree(path)) or ""
        assert 1 <= len(text.splitlines()) <= 4, f"{path}: what it is, in one to four lines"
        if len(path.parts) == 2 or path.parts[-2] in ("steps", "tables", "folder"):
            assert text.splitlines()[0].endswith((".", "?")), path


def test_a_class_name_means_one_thing():
    """Private ones too: a reader who searches for a name must find one story."""
    names = Counter(
        node.name
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in names.items() if count > 1] == []


def holding(word):
    """Modules in whose text a word is; the others need not be looked through."""
    return [path for path in MODULES if word in (ROOT / path).read_text(encoding="utf-8")]


def test_nothing_is_unpickled():
    for path in holding("pickle"):
        if path.name != "testing.py":  # proves that parts survive being sent to worker processes
            names = {n.id for n in ast.walk(tree(path)) if isinstance(n, ast.Name)}
            assert "pickle" not in names, path


def test_nothing_is_asserted():
    for path in holding("assert"):
        assert not [n.lineno for n in ast.walk(tree(path)) if isinstance(n, ast.Assert)], path


def loaded_by(code: str) -> set[str]:
    out = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {name.split(".")[0] for name in out.stdout.split()}


def test_import_loads_nothing_heavy():
    assert not loaded_by("import nearfar") & {"numpy", "scipy", "torch", "soundfile", "rich"}


def test_help_loads_nothing_heavy():
    code = (
        "import sys, contextlib, io\n"
        "sys.argv = ['nearfar', '--help']\n"
        "import nearfar.cli.main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    nearfar.cli.main.main()\n"
    )
    assert not loaded_by(code) & {"numpy", "scipy", "torch", "soundfile"}


def test_scoring_loads_no_torch_and_no_librosa():
    code = (
        "import nearfar as nf, nearfar.testing as t; nf.s4(); nf.DIF()([t.noise()]); "
        "s = nf.s3('somewhere'); assert s == nf.s3('somewhere'); hash(s); repr(s)"
    )
    assert not loaded_by(code) & {"torch", "librosa", "sklearn", "matplotlib"}


def test_what_is_to_begin_first_is_there():
    assert [name for name in FIRST if not (TESTS / name).is_file()] == []
