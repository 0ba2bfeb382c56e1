"""Writes what is made from the declared options (`make generate`); `--check` only compares.

- `src/photoreal/options/arguments.py`: the types of the clients' keyword arguments
- `model_repository/*/config.pbtxt`
- the table of options in `docs/api.md`, between two comments
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from photoreal.client.cli.stylize import stylize
from photoreal.client.video.command import video
from photoreal.export.configs import model_configs
from photoreal.options import STYLIZE_OPTIONS, Option
from photoreal.options.declared import plain

ROOT = Path(__file__).parents[1]
TABLE = re.compile(r"(?<=<!-- options -->\n\n).*?(?=\n\n<!-- end of options -->)", re.DOTALL)
_WIDTH = 96
_SWITCHES = {name for command in (stylize, video) for one in command.params for name in one.opts}
_ABSTRACT = ("Collection", "Iterable", "Mapping", "Sequence")
_ARGUMENTS = '''"""The keyword arguments of the clients, for type checkers and editors.

Generated from `photoreal.options.stylize` by `make generate`.
"""

from __future__ import annotations

{imports}


class RegionArguments(TypedDict, total=False):
    """Options of `find_regions`; what is left out, or None, is the server's default."""

{regions}


class StylizeArguments(RegionArguments, total=False):
    """Options of `stylize`; what is left out, or None, is the server's default."""

{others}
'''


def arguments_module(options: Iterable[Option]) -> str:
    """The text of `photoreal.options.arguments`."""
    regions = [option for option in options if "regions" in option.offered]
    others = [option for option in options if "regions" not in option.offered]
    used = {name for one in options for name in re.findall(r"\b[A-Z]\w+", one.annotation)}
    used -= {"None"}
    abstract = sorted(used.intersection(_ABSTRACT))
    own = sorted(used.difference(_ABSTRACT))
    imports = [f"from collections.abc import {', '.join(abstract)}"] if abstract else []
    imports += ["from typing import TypedDict"]
    imports += ["", f"from photoreal.options.stylize import {', '.join(own)}"] if own else []
    return _ARGUMENTS.format(
        imports="\n".join(imports),
        regions="\n".join(_argument(option) for option in regions),
        others="\n".join(_argument(option) for option in others),
    )


def _argument(option: Option) -> str:
    text = f'"""{plain(option.meaning)}.'
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + len(word) < _WIDTH - 3:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    lines[-1] += '"""' if len(lines) == 1 else '\n    """'
    return f"    {option.name}: {option.argument_type}\n    " + "\n    ".join(lines)


def options_table(options: Iterable[Option]) -> str:
    """The reference of the options in Markdown."""
    rows = [
        "| input | type | meaning | Python | command line | form |",
        "|---|---|---|---|---|---|",
    ]
    for option in options:
        dims = ", ".join("n" if size == -1 else str(size) for size in option.dims)
        cells = (
            option.tensor,
            f"{option.dtype} [{dims}], optional",
            option.meaning,
            f"`{option.name}`",
            f"`{option.switch}`" if option.switch in _SWITCHES else "",
            "yes" if "form" in option.offered else "",
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def generated() -> dict[Path, str]:
    """The texts that the files should have."""
    api = ROOT / "docs" / "api.md"
    texts = {
        ROOT / "src/photoreal/options/arguments.py": arguments_module(STYLIZE_OPTIONS),
        api: TABLE.sub(lambda _: options_table(STYLIZE_OPTIONS), api.read_text(), count=1),
    }
    for name, config in model_configs().items():
        texts[ROOT / "model_repository" / name / "config.pbtxt"] = config
    return texts


def main(arguments: list[str]) -> int:
    """Write, or with `--check` say which files should be written."""
    stale = {path: text for path, text in generated().items() if path.read_text() != text}
    for path, text in stale.items():
        if "--check" in arguments:
            print(f"{path.relative_to(ROOT)} is not as `make generate` writes it.")  # noqa: T201
        else:
            path.write_text(text)
            print(f"Wrote {path.relative_to(ROOT)}.")  # noqa: T201
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
