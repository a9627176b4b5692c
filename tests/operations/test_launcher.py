"""The launcher in a project of its own with no needs: pip installs nothing, so no network is asked."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.operations.conftest import PROJECT, Outcome, clean_environment

COMMAND = """
import json, os, sys
print(json.dumps({
    "arguments": sys.argv[1:], "folder": os.getcwd(), "prefix": sys.prefix,
    "path": os.environ.get("PYTHONPATH"), "called_from": os.environ.get("MERIDIAN_CALLED_FROM"),
}))
"""

# Runs the launcher as an interpreter that lacks something would; the launcher itself stays as it is.
PRETEND = "import sys, runpy; {}; sys.argv = ['meridian', *sys.argv[2:]]; runpy.run_path({!r}, run_name='__main__')"


class Launched:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        (self.folder / "operations").mkdir(parents=True)
        shutil.copy(PROJECT / "meridian", self.folder / "meridian")
        (self.folder / "operations" / "__main__.py").write_text(COMMAND)
        for name in ("requirements.txt", "requirements-dev.txt", "constraints.txt"):
            (self.folder / name).write_text("")
        self.launcher = self.folder / "meridian"
        self.venv = self.folder / ".venv"
        self.log = self.venv / "meridian-install.log"
        # The interpreter of the tests may itself be that of an environment.
        self.environment = {**clean_environment(folder), "PIP_NO_INDEX": "1"}

    def start(self, *words: str, pretend: str | None = None, **environment: str) -> "subprocess.Popen[str]":
        command = [sys.executable, str(self.launcher), *words]
        if pretend is not None:
            command = [sys.executable, "-c", PRETEND.format(pretend, str(self.launcher)), "-", *words]
        return subprocess.Popen(
            command,
            cwd=self.folder.parent,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, pretend: str | None = None, **environment: str) -> Outcome:
        return finished(self.start(*words, pretend=pretend, **environment))

    def count(self, words: str) -> int:
        return sum(words in line for line in self.log.read_text().splitlines() if line.startswith("$"))


def finished(child: "subprocess.Popen[str]") -> Outcome:
    out, err = child.communicate(timeout=90)
    return Outcome(child.returncode, out, err)


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Launched:
    """Prepared by two first runs at the same time."""
    made = Launched(tmp_path_factory.mktemp("launched"))
    outcomes = [finished(child) for child in [made.start("up", "--phase", "2"), made.start("status")]]
    assert [outcome.status for outcome in outcomes] == [0, 0], outcomes
    assert [outcome.document["arguments"] for outcome in outcomes] == [["up", "--phase", "2"], ["status"]]
    assert any("waiting" in outcome.stderr for outcome in outcomes) or made.count("venv") == 1
    return made


def test_two_first_runs_make_one_environment(launched: Launched) -> None:
    assert launched.count("-m venv") == 1
    assert launched.count("-m pip") == 1


def test_a_later_run_says_and_does_nothing_more(launched: Launched) -> None:
    before = launched.log.read_bytes()
    began = time.monotonic()
    outcome = launched.run("status", "--json", PYTHONPATH="/nowhere", PYTHONSAFEPATH="1")
    assert time.monotonic() - began < 1.5
    assert (outcome.status, outcome.stderr) == (0, "")
    assert outcome.document == {
        "arguments": ["status", "--json"],
        "folder": str(launched.folder),
        "prefix": str(launched.venv),
        "path": None,
        "called_from": str(launched.folder.parent),
    }
    assert launched.log.read_bytes() == before


def test_tests_have_needs_of_their_own(launched: Launched) -> None:
    assert launched.count("requirements-dev.txt") == 0
    assert launched.run("test", "-k", "x").document["arguments"] == ["test", "-k", "x"]
    assert launched.count("requirements-dev.txt") == 1
    assert launched.run("test").stderr == ""


def test_changed_needs_are_installed_and_a_failure_shows_what_pip_said(launched: Launched) -> None:
    needs = launched.folder / "requirements.txt"
    needs.write_text("meridian-has-no-such-package==1\n")
    try:
        for _ in range(2):  # nothing is taken for done after a failure
            outcome = launched.run("up")
            assert (outcome.status, outcome.stdout) == (1, "")
            assert "meridian-has-no-such-package" in outcome.stderr
            assert str(launched.log) in outcome.stderr
            assert "Traceback" not in outcome.stderr
    finally:
        needs.write_text("")
    assert "meridian-has-no-such-package" in launched.log.read_text()
    assert launched.run("up").status == 0


def test_it_is_found_through_a_link(launched: Launched, tmp_path: Path) -> None:
    link = tmp_path / "meridian"
    link.symlink_to(launched.launcher)
    done = subprocess.run(
        [link, "status"], env=launched.environment, cwd="/", capture_output=True, text=True, check=True
    )
    assert str(launched.folder) in done.stdout


def test_a_first_run_that_was_killed_is_begun_anew(tmp_path: Path) -> None:
    made = Launched(tmp_path)
    child = made.start("up")
    marker = made.venv / ".meridian-unfinished"
    deadline = time.monotonic() + 30
    while not marker.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert marker.exists()
    outcome = made.run("up")
    assert outcome.status == 0, outcome.stderr
    assert outcome.document["prefix"] == str(made.venv)
    assert not marker.exists()


def test_ctrl_c_is_one_line_and_status_130(tmp_path: Path) -> None:
    made = Launched(tmp_path)
    child = made.start("up")
    deadline = time.monotonic() + 30
    while not (made.venv / ".meridian-unfinished").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    outcome = finished(child)
    assert outcome.status == 130
    assert "run the same command again" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_an_old_python_says_so(tmp_path: Path) -> None:
    made = Launched(tmp_path)
    outcome = made.run("up", pretend="sys.version_info = (3, 9, 2)", PATH=str(tmp_path))
    assert outcome.status == 2
    assert "Python 3.11 or newer is needed, this is 3.9" in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    assert not made.venv.exists()


def test_an_old_python_hands_over_to_a_newer_one_on_path(tmp_path: Path) -> None:
    made = Launched(tmp_path)
    shutil.rmtree(made.folder / "operations")
    (made.folder / "operations").mkdir()
    (made.folder / "operations" / "__main__.py").write_text("print('here')")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, body in {"python3.14": "exit 127", "python3.12": f'exec "{sys.executable}" "$@"'}.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    path = f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin"
    outcome = made.run("--help", pretend="sys.version_info = (3, 9, 2)", PATH=path)
    assert (outcome.status, outcome.stdout) == (0, "here\n"), outcome.stderr


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_python_without_venv_names_the_package(tmp_path: Path, module: str) -> None:
    made = Launched(tmp_path)
    outcome = made.run("up", pretend=f"sys.modules[{module!r}] = None")
    assert (outcome.status, outcome.stdout) == (1, "")
    assert f"`{module}`" in outcome.stderr
    assert f"python{sys.version_info[0]}.{sys.version_info[1]}-venv" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert not made.venv.exists()


def test_help_needs_no_environment(tmp_path: Path) -> None:
    made = Launched(tmp_path)
    for words in ((), ("--help",)):
        assert made.run(*words).document["arguments"] == list(words)
    assert not made.venv.exists()


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    made = Launched(tmp_path)
    made.venv.write_text("")
    outcome = made.run("up")
    assert outcome.status == 1
    assert str(made.venv) in outcome.stderr
