"""A `python` that starts at once, for tests that start many: a process that has imported everything forks for it.

What it runs has its arguments, environment, folder and streams, and it ends as that ends. Streams must be open; a
signal to it kills what it runs.
"""

import ast
import os
import runpy
import select
import signal
import socket
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import parent_process
from pathlib import Path
from typing import NoReturn

from tests.command_line import context

CLIENT = """#!{python} -IS
import os, socket, sys
request = repr((sys.argv[0], sys.argv[1:], dict(os.environ), os.getcwd())).encode()
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
socket.send_fds(server, [len(request).to_bytes(8, "little")], [0, 1, 2])
server.sendall(request)
status = int(server.recv(16) or 70)
if status < 0:
    os.kill(os.getpid(), -status)
os._exit(status)
"""


@contextmanager
def serving(folder: Path) -> Iterator[Path]:
    """The executable, which lies in this folder and takes `-c`, `-m` or a script, as Python does."""
    address, client = str(folder / "forking"), folder / "python"
    client.write_text(CLIENT.format(python=sys.executable, address=address))
    client.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        server = context().Process(target=_serve, args=(listener,))
        server.start()
    try:
        yield client
    finally:
        server.terminate()
        server.join()


def _serve(listener: socket.socket) -> None:
    """Fork for each that connects, until the process that started this one is gone."""
    parent = parent_process()
    assert parent is not None
    while not _is_ready(parent.sentinel, beside=listener.fileno()):
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _answer(connection)
        connection.close()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _is_ready(file: int, *, beside: int) -> bool:
    """Whether it is that file which is ready, once one of the two is."""
    return file in select.select([file, beside], [], [])[0]


def _answer(connection: socket.socket) -> NoReturn:
    """Run what is asked in another fork, and say how it ended; kill it when nobody is waiting any more."""
    head, streams, _, _ = socket.recv_fds(connection, 8, 3)
    asked = connection.makefile("rb").read(int.from_bytes(head, "little"))
    pid = os.fork()
    if pid == 0:
        connection.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        _run(*ast.literal_eval(asked.decode()))
    for stream in streams:
        os.close(stream)
    ended = os.pidfd_open(pid)
    if not _is_ready(ended, beside=connection.fileno()):
        os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(OSError):
        connection.sendall(str(status).encode())
    sys.exit()


def _run(executable: str, arguments: list[str], environment: dict[str, str], folder: str) -> NoReturn:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.executable = executable
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115 - for as long as it runs
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    found = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    try:
        match arguments[arguments[:1] == ["-u"] :]:
            case ["-c", program, *rest]:
                sys.argv, sys.path[:0] = ["-c", *rest], ["", *found]
                exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
            case ["-m", module, *rest]:
                sys.argv, sys.path[:0] = ["-m", *rest], [folder, *found]
                runpy.run_module(module, run_name="__main__", alter_sys=True)
            case [script, *rest]:
                sys.argv, sys.path[:0] = [script, *rest], [str(Path(script).resolve().parent), *found]
                runpy.run_path(script, run_name="__main__")
            case _:
                raise AssertionError("nothing to run")
    except SystemExit:
        raise
    except BaseException:
        traceback.print_exc()
        sys.exit(1)
    sys.exit()
