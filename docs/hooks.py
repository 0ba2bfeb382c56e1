"""What the site's builder has to know of this project: pages from outside docs/, and links.

Read on its own, a page links to files of the repository. On the site those that are pages get
the page; of others, such as sources, the words remain.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
ELSEWHERE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "examples/CREDITS.md": "credits.md",
    "LICENSE-weights.md": "license-weights.md",
    "src/photoreal/weights/segmenter/MODEL_CARD.md": "model-card.md",
    "benchmarks/results/bench.md": "results/bench.md",
    "benchmarks/results/gpu.md": "results/gpu.md",
    "benchmarks/results/quality.md": "results/quality.md",
    "benchmarks/results/video.md": "results/video.md",
    "benchmarks/results/soak.md": "results/soak.md",
    "client/web/static/icon.svg": "assets/icon.svg",
}
"""Files of the repository that are part of the site, and where."""
_SOURCES = {there: here for here, there in ELSEWHERE.items()}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#:\s]+)(#[^)]*)?\)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages from outside."""
    for here, there in ELSEWHERE.items():
        files.append(File.generated(config, there, abs_src_path=str(ROOT / here)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between pages."""
    here = page.file.src_uri
    source = _SOURCES.get(here, f"docs/{here}")

    def link(match: re.Match[str]) -> str:
        image, words, path, anchor = match.groups(default="")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        page_of = ELSEWHERE.get(target) or (target[5:] if target.startswith("docs/") else None)
        if page_of is None:
            return words
        return f"{image}[{words}]({posixpath.relpath(page_of, posixpath.dirname(here))}{anchor})"

    return _LINK.sub(link, markdown)


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Take away what docstrings say in reStructuredText, which is Markdown here."""
    return re.sub(r":\w+:<code>", "<code>", html.replace("<p>::</p>", ""))
