"""One writer per folder."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ganvas.engine.errors import ResourceError
from ganvas.runs import lock as module
from ganvas.runs.lock import Lock


def written(folder: Path, **owner: Any) -> Path:
    file = folder / "lock.json"
    file.write_text(json.dumps(owner))
    return file


def here(pid: int, started: str | None) -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": pid, "started": started}


def refuse(message: str) -> None:
    raise AssertionError(f"it waits: {message}")


class Waits(Exception):
    pass


def waits(message: str) -> None:
    raise Waits(message)


def finished_child() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_taken_and_given_back(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    lock = Lock(folder)
    assert lock.acquire(refuse) is False
    owner = json.loads((folder / "lock.json").read_text())
    assert owner == here(os.getpid(), module._started(os.getpid()))
    lock.release()
    assert not (folder / "lock.json").exists()
    assert lock.acquire(refuse) is False
    lock.release()
    assert [path.name for path in folder.iterdir()] == [".lock-guard"]


def test_the_second_waits_and_says_whom_for(tmp_path: Path) -> None:
    first, second = Lock(tmp_path), Lock(tmp_path)
    first.acquire(refuse)
    told: list[str] = []

    def waiting(message: str) -> None:
        told.append(message)
        threading.Timer(0.7, first.release).start()  # longer than one look

    began = time.monotonic()
    assert second.acquire(waiting) is True
    assert time.monotonic() - began > 0.7
    assert told == [f"{tmp_path} is being written by process {os.getpid()} on {socket.gethostname()}; waiting for it"]
    second.release()


def test_another_process_waits_too(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    lock.acquire(refuse)
    code = (
        "import sys, pathlib\nfrom ganvas.runs.lock import Lock\n"
        "lock = Lock(pathlib.Path(sys.argv[1]))\n"
        "print(lock.acquire(lambda message: print(message, flush=True)))\nlock.release()"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert f"by process {os.getpid()} on {socket.gethostname()}" in child.stdout.readline()
        assert (tmp_path / "lock.json").exists()
        lock.release()
        assert child.stdout.readline() == "True\n"
    assert child.returncode == 0
    assert not (tmp_path / "lock.json").exists()


def test_a_dead_process_is_taken_over_at_once(tmp_path: Path) -> None:
    pid = finished_child()
    for owner in (here(pid, "123"), here(pid, None), {"host": socket.gethostname()}):
        written(tmp_path, **owner)
        lock = Lock(tmp_path)
        assert lock.acquire(refuse) is False
        assert json.loads((tmp_path / "lock.json").read_text())["pid"] == os.getpid()
        lock.release()


def test_a_number_that_was_given_out_again_is_another_process(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        started = module._started(child.pid)
        assert started is not None
        written(tmp_path, **here(child.pid, started))
        with pytest.raises(Waits, match=f"by process {child.pid} on"):
            Lock(tmp_path).acquire(waits)
        written(tmp_path, **here(child.pid, str(int(started) - 1)))
        lock = Lock(tmp_path)
        assert lock.acquire(refuse) is False
        lock.release()
    finally:
        child.communicate(b"\n")


def test_a_zombie_is_dead(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = module._started(child.pid)
    assert child.stdin is not None
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has asked for its status yet
    written(tmp_path, **here(child.pid, started))
    lock = Lock(tmp_path)
    assert lock.acquire(refuse) is False
    lock.release()
    child.wait()


def test_the_heartbeat_tells_for_another_host(tmp_path: Path) -> None:
    file = written(tmp_path, host="elsewhere", pid=1, started="1")
    os.utime(file, (time.time() - 50,) * 2)
    with pytest.raises(Waits) as caught:
        Lock(tmp_path).acquire(waits)
    assert str(caught.value) == f"{tmp_path} is being written by process 1 on elsewhere; waiting for it"
    os.utime(file, (time.time() - 70,) * 2)
    lock = Lock(tmp_path)
    assert lock.acquire(refuse) is False
    lock.release()


def test_an_unreadable_lock_holds_until_it_is_old(tmp_path: Path) -> None:
    file = tmp_path / "lock.json"
    file.write_text("{")
    with pytest.raises(Waits, match=r"by process \? on \?"):
        Lock(tmp_path).acquire(waits)
    os.utime(file, (time.time() - 70,) * 2)
    lock = Lock(tmp_path)
    assert lock.acquire(refuse) is False
    lock.release()


def test_the_heart_beats_while_the_folder_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT", 0.02)
    lock = Lock(tmp_path)
    for _ in range(2):
        lock.acquire(refuse)
        file = tmp_path / "lock.json"
        os.utime(file, (0, 0))
        until = time.monotonic() + 5
        while file.stat().st_mtime == 0 and time.monotonic() < until:
            time.sleep(0.01)
        assert time.time() - file.stat().st_mtime < 10
        lock.release()


def test_only_the_own_lock_is_removed(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    lock.acquire(refuse)
    for owner in ({"host": "elsewhere", "pid": os.getpid()}, here(os.getpid() + 1, "1")):
        file = written(tmp_path, **owner)
        lock.release()
        assert file.exists()
        file.unlink()
        lock.acquire(refuse)
    Lock(tmp_path).release()  # it never held the folder
    assert (tmp_path / "lock.json").exists()
    lock.release()
    assert not (tmp_path / "lock.json").exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError) as caught:
        Lock(tmp_path / "file" / "folder").acquire(refuse)
    assert str(caught.value) == f"the folder {tmp_path}/file/folder cannot be written: Not a directory"
