from __future__ import annotations

from pathlib import Path

import pytest

from photoreal.client.batch.files import locate, write
from photoreal.client.batch.plan import FAILURES, plan_batch
from photoreal.client.errors import InvalidInput


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of photos, and what else may be in it."""
    photos = tmp_path / "in"
    for name in ("b.jpg", "a.HEIC", "sub/a.png", ".hidden.png", ".git/a.png", "notes.txt"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(b"1")
    return photos


def _names(source: object, output: object, suffix: str | None = None) -> list[tuple[str, str]]:
    root = locate(str(source)).rpartition("/")[0]
    plan = plan_batch(str(source), str(output), suffix)
    for photo in plan.photos:
        assert photo.output == f"{locate(str(output))}/{photo.name}"
    return [(photo.content.removeprefix(f"{root}/"), photo.name) for photo in plan.photos]


def test_a_folder_keeps_its_names_and_subfolders(folder: Path, tmp_path: Path) -> None:
    assert _names(folder, tmp_path / "out") == [
        ("in/a.HEIC", "a.jpg"),
        ("in/b.jpg", "b.jpg"),
        ("in/sub/a.png", "sub/a.png"),
    ]
    assert dict(_names(folder, tmp_path / "out", ".webp"))["in/sub/a.png"] == "sub/a.webp"
    assert plan_batch(str(folder), str(tmp_path / "out")).ignored == 3


def test_a_list_names_photos_anywhere(folder: Path, tmp_path: Path) -> None:
    lines = ["# night", "", "in/sub/a.png", f"  {tmp_path / 'in' / 'b.jpg'} ", "memory://set/c.png"]
    (tmp_path / "list").write_text("\n".join(lines))
    assert _names(tmp_path / "list", "memory://made") == [
        ("in/sub/a.png", "in/sub/a.png"),
        ("in/b.jpg", "b.jpg"),
        ("memory:///set/c.png", "c.png"),
    ]


def test_pictures_that_exist_are_not_missing(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert len(plan_batch(str(folder), str(output)).missing) == 3
    write(locate(str(output / "sub" / "a.png")), b"")
    write(locate(str(output / FAILURES)), b"")
    missing = plan_batch(str(folder), str(output)).missing
    assert [photo.name for photo in missing] == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize(
    ("source", "output", "suffix", "words"),
    [
        ("none", "out", None, "does not exist"),
        ("empty", "out", None, "holds no photo; expected .jpg"),
        ("in/b.jpg", "out", None, "is a photo; expected a folder or a list"),
        ("binary", "out", None, "is not a text in UTF-8"),
        ("outside", "out", None, "names '.*b.jpg'; expected a path below"),
        ("in", "in", None, "is inside that of the photos"),
        ("in", "in/made", None, "is inside that of the photos"),
        ("in", "binary", None, "is a file; expected a folder"),
        ("twice", "out", None, "in/b.jpg' would become 'in/b.jpg'"),
        ("same", ".", None, "would replace a photo"),
        ("two", "out", ".png", "would become 'in/a.png'"),
    ],
)
def test_refused(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    output: str,
    suffix: str | None,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name, lines in {
        "outside": "in/../../b.jpg",
        "twice": "in/b.jpg\n./in/b.jpg",
        "same": "in/b.jpg",
        "two": "in/a.jpg\nin/a.bmp",
    }.items():
        (tmp_path / name).write_text(lines)
    with pytest.raises(InvalidInput, match=words) as refused:
        plan_batch(source, output, suffix)
    assert str(refused.value).endswith(".")
