"""The server's temporary folder, and the paths by which models' processes find what they need."""

import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

from photoreal.errors import ServeError
from photoreal.serve.launch.temporary import plain_folder, plain_programs

ODD = ("with space", "größer", "it's", "a&b", "a;b", "$HOME")


def test_a_plain_temporary_folder_is_used(temporary):
    assert plain_folder([]) == temporary


@pytest.mark.parametrize("name", ODD)
def test_another_is_used_where_its_path_is_not_plain(name, tmp_path, monkeypatch):
    (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / name))
    missing = str(tmp_path / "missing")
    assert plain_folder([missing, str(tmp_path)]) == tmp_path
    with pytest.raises(ServeError, match="TMPDIR"):
        plain_folder([missing])


@pytest.mark.parametrize("name", [*ODD, "plain"])
def test_programs_are_reached_by_links_where_a_path_is_not_plain(name, tmp_path, monkeypatch):
    prefix = tmp_path / name / ".venv"
    packages = prefix / "lib" / "python3" / "site-packages"
    (packages / "numpy").mkdir(parents=True)
    (packages / "numpy" / "__init__.py").touch()
    (packages / "plain.pth").write_text("/somewhere")
    (prefix / "bin").mkdir()
    (prefix / "bin" / "python3").touch()
    (prefix / "pyvenv.cfg").write_text("home = /usr/bin")
    monkeypatch.setattr(sys, "executable", str(prefix / "bin" / "python3"))
    monkeypatch.setattr(sysconfig, "get_path", {"purelib": str(packages)}.get)
    if name == "plain":
        assert plain_programs(tmp_path / "run") == prefix / "bin"
        assert not (tmp_path / "run").exists()
    (packages / "editable.pth").write_text("/home/jürgen/photoreal", encoding="utf-8")
    programs = plain_programs(tmp_path / "run")
    assert programs == tmp_path / "run" / "python" / "bin"
    assert (programs / "python3").resolve() == Path(sys.executable)
    assert (programs.parent / "pyvenv.cfg").read_text() == "home = /usr/bin"
    linked = programs.parent / "lib" / "python3" / "site-packages"
    # A path in a .pth file that is not ASCII would end the model's process.
    assert {entry.name for entry in linked.iterdir()} == {"numpy", "plain.pth"}
    assert (linked / "numpy" / "__init__.py").exists()
