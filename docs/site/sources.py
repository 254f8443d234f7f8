"""Has the site hold what its pages link to beyond docs/: the README as its first page, other documents, and sources.

A link leads from file to file of the repository, as GitHub shows it. In the site a file of docs/ stands where it stands
there, and any other at its path in the repository: a source as a page of code.
"""

import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
FIRST = "README.md", "index.md"
LINK = re.compile(r"(\]\()(?!https?:|#|mailto:)([^)#\s]*)(#[^)]*)?(?=\))")
LANGUAGES = {".py": "python", ".cu": "cuda", ".cuh": "cuda", ".cpp": "cpp", ".h": "cpp", ".toml": "toml"}
CODE = "---\nsearch: {{exclude: true}}\n---\n\n# {path}\n\n````{language}\n{text}\n````\n"


def home(path: str) -> str:
    """Where the site holds a file of the repository."""
    if path == FIRST[0]:
        return FIRST[1]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return path if Path(path).suffix in (".md", ".png", ".svg") else f"{path}.md"


def origin(file: File) -> str:
    """Where the repository holds a document of the site."""
    if file.src_uri == FIRST[1]:
        return FIRST[0]
    return file.src_uri if file.generated_by else f"docs/{file.src_uri}"


def added(path: str, config: MkDocsConfig) -> File:
    """A file from beyond docs/."""
    content: str | bytes = (ROOT / path).read_bytes()
    if home(path) == f"{path}.md":
        language = LANGUAGES.get(Path(path).suffix, "text")
        content = CODE.format(path=path, language=language, text=(ROOT / path).read_text(encoding="utf-8"))
    file = File.generated(config, home(path), content=content)
    file.inclusion = InclusionLevel.INCLUDED if path == FIRST[0] else InclusionLevel.NOT_IN_NAV
    return file


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is linked to, and what that links to in turn; of what is missing mkdocs tells."""
    waiting, seen = [FIRST[0], *map(origin, files.documentation_pages())], set()
    while waiting:
        path = waiting.pop()
        if path in seen or not (ROOT / path).is_file():
            continue
        seen.add(path)
        if path.endswith(".md"):
            links = LINK.findall((ROOT / path).read_text(encoding="utf-8"))
            waiting += [normpath(join(dirname(path), link)) for _, link, _ in links]
        if not path.startswith("docs/"):
            files.append(added(path, config))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Have links lead to where the site holds what they name."""
    here, there = dirname(page.file.src_uri), dirname(origin(page.file))

    def moved(link: re.Match[str]) -> str:
        before, path, anchor = link.groups(default="")
        return before + relpath(home(normpath(join(there, path))), here or ".") + anchor

    return LINK.sub(moved, markdown)
