"""The examples of `docs/guides/monitoring.md`."""

from __future__ import annotations

import re

from tests.installation import ROOT

GUIDE = ROOT / "docs" / "guides" / "monitoring.md"
_SECTION = re.compile(r"^## (.+)\n", re.MULTILINE)
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples() -> dict[str, list[tuple[str, str]]]:
    """Return the language and text of each example, by section, without those for a shell."""
    _, *parts = _SECTION.split(GUIDE.read_text(encoding="utf-8"))
    found = {
        section: [(language, text) for language, text in _BLOCK.findall(body) if language != "sh"]
        for section, body in zip(parts[::2], parts[1::2], strict=True)
    }
    return {section: blocks for section, blocks in found.items() if blocks}


def example(section: str, number: int = 0) -> str:
    return examples()[section][number][1]
