"""Data flow one way: which module may import which is a table, and the table is a test."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "nearfar"
NUMERIC = {"bank", "whiten", "calibrate"}

# module → modules of ours that it may import at run time; `errors` is everybody's.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "version": set(),
    "audio": {"store"},
    "channels": {"audio"},
    "spectral": set(),
    "clips": {"audio"},
    "scores": {"clips"},
    "frontend": {"audio", "spectral"},
    "dif": {"audio", "channels", "spectral"},
    "embedder": {"audio", "spectral"},
    "fbank": {"spectral"},
    "eat": {"audio", "fbank", "spectral", "store"},
    "crops": {"audio", "embedder", "store"},
    "chain": {"audio", "embedder", "recipe"},
    "whiten": set(),
    "adapt": {"bank", "whiten"},
    "bank": set(),
    "calibrate": set(),
    "enrich": {"bank"},
    "recipe": set(),  # names of parts are resolved when asked for
    "store": set(),
    "workers": {"recipe"},
    "hear": {"audio", "chain", "channels", "store", "workers"},
    "embeddings": {"chain", "hear", "store"},
    "encoders": {"eat", "store"},
    "inspect": {"audio", "channels", "clips", "frontend", "spectral"},
    "sim": {
        "audio", "channels", "evaluation", "frontend", "inspect", "metrics", "scorefiles",
        "spectral", "store", "truth", "workers",
    },
    "fitting": {"adapt", "bank", "enrich", "whiten"},
    "section": {"bank", "calibrate", "chain", "clips", "fitting", "hear", "scores"},
    "folder": {
        "adapt", "calibrate", "encoders", "fitting", "recipe", "section", "store", "version",
        "whiten",
    },
    "detector": {
        "audio", "bank", "calibrate", "chain", "clips", "encoders", "folder", "hear", "scores",
        "section", "store",
    },
    "system": {
        "adapt", "audio", "bank", "calibrate", "chain", "detector", "embedder", "encoders",
        "enrich", "fitting", "frontend", "hear", "recipe", "section", "store", "trained", "whiten",
        "checks",
    },
    "checks": {"bank", "fitting"},
    "trained": {"recipe"},
    "finetune": {
        "audio", "chain", "checks", "clips", "crops", "eat", "embedder", "encoders", "fbank",
        "fitting", "frontend", "hear", "recipe", "spectral", "store", "system", "version",
        "workers",
    },
    "presets": {
        "bank", "calibrate", "crops", "dif", "eat", "embedder", "enrich", "frontend", "system",
        "whiten",
    },
    "truth": {"clips"},
    "scorefiles": {"clips", "scores", "store", "truth"},
    "roc": set(),
    "evaluation": set(),
    "metrics": {"clips", "evaluation", "roc", "scorefiles", "scores", "truth"},
    "assess": {
        "clips", "detector", "evaluation", "metrics", "presets", "scorefiles", "scores", "store",
        "system", "truth", "version", "recipe",
    },
    "claims": {"adapt", "bank", "calibrate", "dif", "enrich", "system"},
    "ablate": {
        "assess", "claims", "clips", "evaluation", "hear", "metrics", "recipe", "scores", "section",
        "store", "system", "truth",
    },
    "grid": {"claims", "recipe", "trained"},
    "lomo": {
        "ablate", "assess", "claims", "clips", "evaluation", "grid", "metrics", "presets", "recipe",
        "scorefiles", "scores", "store", "truth",
    },
    "cachefile": {"store"},
    "reproduce": {
        "adapt", "assess", "audio", "bank", "channels", "checks", "clips", "crops", "dif", "eat",
        "enrich", "evaluation", "finetune", "frontend", "hear", "metrics", "presets", "recipe",
        "scorefiles", "spectral", "store", "system", "truth", "version", "workers",
    },
    "testing": {"audio", "bank", "embedder", "frontend", "recipe", "system"},
}  # fmt: skip
EVERYTHING = {
    "__init__", "__main__", "cli", "cli_embed", "cli_finetune", "cli_options",
    "cli_reproduce", "cli_runs", "cli_sound", "cli_weights", "show",
}  # fmt: skip


def imports(path: Path) -> set[str]:
    """Modules of ours that a file imports at run time, anywhere in it."""
    found: set[str] = set()
    todo: list[ast.AST] = [ast.parse(path.read_text())]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            todo += node.orelse
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            parts = node.module.split(".")
            if parts == ["nearfar"]:
                found |= {alias.name for alias in node.names}
            elif parts[0] == "nearfar":
                found.add(parts[1])
        elif isinstance(node, ast.Import):
            found |= {
                alias.name.split(".")[1]
                for alias in node.names
                if alias.name.startswith("nearfar.")
            }
        todo += ast.iter_child_nodes(node)
    return found


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py"))


def home(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_only_what_the_table_allows(path):
    name = home(path)
    if name in EVERYTHING:
        return
    assert name in MAY_IMPORT, f"{name} is not in the table: say what it may import"
    allowed = MAY_IMPORT[name] | {"errors", name}
    assert imports(path) <= allowed, f"{path.name} imports {imports(path) - allowed}"


def test_no_module_imports_its_importer():
    """The table itself has no cycle."""
    seen: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " → ".join((*above, name))
        if name not in seen:
            for below in MAY_IMPORT.get(name, set()):
                visit(below, (*above, name))
            seen.add(name)

    for name in MAY_IMPORT:
        visit(name, ())


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_is_unpickled_or_asserted(path):
    tree = ast.parse(path.read_text())
    if path.name != "testing.py":  # proves that parts survive being sent to worker processes
        names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        assert "pickle" not in names
    assert not [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Assert)]


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
        "import nearfar.cli\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    nearfar.cli.main()\n"
    )
    assert not loaded_by(code) & {"numpy", "scipy", "torch", "soundfile"}


def test_scoring_loads_no_torch_and_no_librosa():
    code = (
        "import nearfar as nf, nearfar.testing as t; nf.s4(); nf.DIF()([t.noise()]); "
        "s = nf.s3('somewhere'); assert s == nf.s3('somewhere'); hash(s); repr(s)"
    )
    assert not loaded_by(code) & {"torch", "librosa", "sklearn", "matplotlib"}
