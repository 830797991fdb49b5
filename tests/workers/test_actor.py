"""A machine that cannot work on a run says why."""

from pathlib import Path

import pytest

from prodemb.core.errors import ConfigError
from prodemb.workers.actor import VERSIONS, check_machine


def test_a_machine_that_does_not_see_a_file_or_has_other_versions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"found no .*absent, which is there .*wanted one file system for all"):
        check_machine([], home=tmp_path / "absent", versions=VERSIONS)
    with pytest.raises(ConfigError, match=r"found no .*file, which is there .*reads and writes at the same paths"):
        check_machine([tmp_path, tmp_path / "file"], home=tmp_path, versions=VERSIONS)
    with pytest.raises(ConfigError, match=r"found prodemb .*, torch .*; wanted prodemb 0, torch 0, as where"):
        check_machine([tmp_path], home=tmp_path, versions={"prodemb": "0", "torch": "0"})
