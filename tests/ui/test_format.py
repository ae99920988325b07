"""What came from elsewhere is shown and loads nothing."""

import ast
from pathlib import Path

import pytest

from bloodcell.ui.common.format import no_pictures

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "text",
    [
        "![a](http://elsewhere/a.png)",
        "![a][b]\n\n[b]: http://elsewhere/a.png",
        "[![a](http://elsewhere/a.png)](http://elsewhere)",
        "!![a](http://elsewhere/a.png)",
        r"\![a](http://elsewhere/a.png)",
    ],
)
def test_a_picture_by_address_becomes_a_link(text: str):
    assert "![" not in no_pictures(text)
    assert no_pictures("no picture, **bold** [link](x)!") == "no picture, **bold** [link](x)!"


def test_no_icon_of_the_tab_comes_from_another_host():
    """Streamlit fetches the picture of a Material symbol from fonts.gstatic.com."""
    called = [
        node
        for path in (REPOSITORY / "app.py", *(REPOSITORY / "bloodcell" / "ui").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.keyword) and node.arg == "page_icon"
    ]
    assert called
    assert not any("material" in ast.unparse(node.value) for node in called)
