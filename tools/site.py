"""`python -m tools.site` writes the generated parts of docs/; mkdocs calls it when it builds.

What a reader of the repository wants too (settings, the list of names, quoted messages, figures) is
kept in docs/ and held to the code by `test_site.py`. Only docstrings and the notebook's outputs are
made when the site is built.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tools.page import filled
from tools.site_answers import answered
from tools.site_api import directives, table
from tools.site_figure import figures
from tools.site_settings import settings

DOCS = Path(__file__).resolve().parents[1] / "docs"
PICTURE = re.compile(r"!\[[^]]*\]\((pictures/[\w-]+\.svg)\)\n?")
ROW = re.compile(f"(?:{PICTURE.pattern})+")  # pictures on lines beside each other
# How a page is laid out, by docs/assets/site.css.
LAID_OUT = {"settings.md": "cards", "faq.md": "messages", "errors.md": "messages"}
HERE = "<!-- docstrings -->"


def written() -> dict[Path, str]:
    """Every file that has generated parts, as it should be now."""
    pages = {
        name: (DOCS / name).read_text(encoding="utf-8")
        for name in ("settings.md", "api.md", "faq.md", "errors.md")
    }
    return {
        DOCS / "settings.md": filled(pages["settings.md"], "settings", settings()),
        DOCS / "api.md": filled(pages["api.md"], "names", table()),
        DOCS / "faq.md": answered(pages["faq.md"], pages["errors.md"]),
        **{DOCS / "pictures" / f"{name}.svg": drawn for name, drawn in figures().items()},
    }


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """A notebook is a page: run here, its outputs shown, its file beside it to take away."""
    from mkdocs.structure.files import File

    from tools.site_notebook import executed, markdown, stored

    class Notebook(File):
        """What mkdocs takes for a page, though its name does not end in .md."""

        def is_documentation_page(self) -> bool:
            return True

    for file in [f for f in files if f.src_uri.endswith(".ipynb")]:
        book = (executed if config.extra["run_notebook"] else stored)(Path(file.abs_src_path))
        page = Notebook.generated(config, file.src_uri, content=markdown(book))
        page.dest_uri = file.src_uri.removesuffix(".ipynb") + ".html"
        files.remove(file)
        files.append(page)
    return files


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Rows of words become cards on a telephone; messages, of one long line each, are wrapped."""
    name = LAID_OUT.get(page.file.src_uri)
    return f'<div class="{name}">{html}</div>' if name else html


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Figures stand in the page itself, so that they follow its colours; docstrings come in."""
    markdown = ROW.sub(_inlined, markdown)
    return markdown.replace(HERE, "\n\n".join(directives()))


def _inlined(row: re.Match[str]) -> str:
    drawn = [(DOCS / name).read_text(encoding="utf-8").strip() for name in PICTURE.findall(row[0])]
    return '<div class="figures">' + "\n".join(drawn) + "</div>\n"


def main() -> None:
    """Write what has changed, and name it."""
    for path, text in written().items():
        path.parent.mkdir(exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(path.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
