"""What libraries write to stderr themselves can be kept from it for a while."""

import os
import subprocess
import sys

import pytest

from prodemb.core.streams import STDERR, silent_stderr


def test_nothing_is_heard_inside_and_everything_after(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with silent_stderr():
        os.write(STDERR, b"panicked\n")
    os.write(STDERR, b"after\n")
    with pytest.raises(KeyboardInterrupt), silent_stderr():
        raise KeyboardInterrupt
    monkeypatch.setenv("PRODEMB_DEBUG", "1")
    with silent_stderr():
        os.write(STDERR, b"shown\n")
    assert capfd.readouterr().err == "after\nshown\n"


def test_a_file_never_takes_the_number_of_a_stream() -> None:
    program = (
        "import os, sys\n"
        "os.closerange(0, 3); sys.stdin = sys.stdout = sys.stderr = None\n"
        "from prodemb.core.streams import open_closed_streams\n"
        "open_closed_streams()\n"
        "print('out'); print('err', file=sys.stderr); sys.stdin.read()\n"
        "os._exit(os.open(os.devnull, os.O_RDONLY))\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode >= 3
