"""What holds the house together: imports run one way, only the command line prints, documents name what is there."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

import lettergpu

ROOT = Path(__file__).parents[1]
PACKAGE = Path(lettergpu.__file__).parent
# each stands on those before it; what shares a line shares no import
LEVELS = [
    {"errors"},
    {"files", "randomness", "kernels"},
    {"data"},
    {"config"},
    {"backends"},
    {"nn"},
    {"training"},
    {"reading"},
    {"interop", "study"},
    {"web"},
    {"cli"},
    {"__main__"},
]
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
PRINTING = {"print", "tqdm", "typer"}


def room(path):
    """The folder of the package that a file is in, or its own name where it is in none."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path, text):
    """(line, the rooms of the package that are imported there, also within functions and for types only)."""
    here = ("lettergpu", *path.relative_to(PACKAGE).with_suffix("").parts)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level] if node.level else ()
            module = (*base, *(node.module or "").split(".")) if node.module else base
            names = [(*module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        else:
            continue
        for name in names:
            if name[0] == "lettergpu" and len(name) > 1:
                yield node.lineno, name[1]


def wrong_way(path, text):
    """The imports of a file that run back up, or to a neighbour."""
    own = room(path)
    return [
        f"{path.name}:{line} imports {other}"
        for line, other in imported(path, text)
        if other in LEVEL and other != own and LEVEL[other] >= LEVEL[own]
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    assert room(path) in LEVEL, "a room whose place in LEVELS nobody said"
    assert not wrong_way(path, path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("nn/layers.py", "from ..training import loop"),
        ("nn/layers.py", "def late():\n    from ..cli.console import scores"),
        ("backends/cpu.py", "from lettergpu.nn.activations import LEAK"),
        ("backends/cpu.py", "import lettergpu.nn.layers"),
        ("training/runs.py", "from ..reading import reader"),
        ("study/rows.py", "from ..web import app"),
        ("config.py", "from .nn.losses import LOSSES"),
        ("files.py", "from . import randomness"),
    ],
)
def test_an_import_that_runs_back_up_is_found(file, line):
    assert len(wrong_way(PACKAGE / file, line)) == 1


@pytest.mark.parametrize("path", [path for path in FILES if room(path) not in ("cli", "__main__")], ids=str)
def test_only_the_command_line_prints(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not names & PRINTING


def test_the_way_can_be_seen_at_once():
    assert len([path for path in PACKAGE.iterdir() if path.name not in ("__pycache__", "py.typed")]) <= 15


@pytest.fixture(scope="module")
def tracked():
    """The project's files, and the folders that they are in."""
    try:
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no checkout")
    files = {Path(line) for line in listed.splitlines()}
    return files | {parent for path in files for parent in path.parents}


TEXTS = {".md", ".py", ".cuh", ".cu", ".cpp", ".h", ".js", ".toml"}
PATH = re.compile(r"(?<![\w/.-])(?:lettergpu|kernels|tests|bench|docs)/[\w/.-]*\w(?![\w/-]*\*)")
FILE = re.compile(r"(?<![\w/.*-])\w[\w-]*\.(?:py|cuh|cu|cpp|h|md|js)\b")


def test_every_file_that_is_named_exists(tracked):
    """By its path, anywhere; in a document also by its name alone. What is in capitals stands for a name."""
    names, missing = {path.name for path in tracked}, []
    for path in sorted(path for path in tracked if path.suffix in TEXTS and path != Path("tests/test_house.py")):
        text = re.sub(r"https?://\S+", "", (ROOT / path).read_text(encoding="utf-8"))
        found = [name for name in PATH.findall(text) if "." in name or path.suffix == ".md"]
        missing += [(path, name) for name in found if Path(name) not in tracked and "NAME" not in name]
        if path.suffix == ".md":
            missing += [(path, name) for name in FILE.findall(text) if name not in names]
    assert not missing


def test_the_readmes_map_has_every_room():
    tree = (ROOT / "README.md").read_text(encoding="utf-8").split("## How a letter goes through it")[1]
    rooms = [path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert [name for name in rooms if f"\n      {name}/ " not in tree] == []
