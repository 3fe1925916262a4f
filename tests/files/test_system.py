"""What the operating system refuses, in the words that people read."""

from __future__ import annotations

import subprocess
import sys

import pytest

COPY = """
import resource, shutil, sys
from zoo.files.system import explain

resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    shutil.copyfile(*sys.argv[1:])
except OSError as error:
    print(explain(error).message)
"""


def test_a_copy_that_does_not_fit_names_where_it_goes(tmp_path):
    source, target = tmp_path / "source.bin", tmp_path / "copy.bin"
    source.write_bytes(bytes(1000))
    done = subprocess.run(
        [sys.executable, "-c", COPY, source, target], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"a file at {target} became larger than is allowed here\n"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("home", ["/proc/none", "/sys/none"])
def test_a_home_where_the_system_keeps_no_files(sandbox, home):
    done = sandbox.zoo("pull", "mistral:mini", env={"ZOO_HOME": home})
    assert done.returncode == 1
    assert f"{home} cannot be used: the system keeps no files there" in done.stderr
    assert "set ZOO_HOME" in done.stderr
