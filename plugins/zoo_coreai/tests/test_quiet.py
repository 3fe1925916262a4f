"""The streams of the program stay the program's."""

from __future__ import annotations

import os
import subprocess
import sys

from zoo_coreai.quiet import quiet_runtime


def test_the_log_of_the_runtime_is_dropped_and_nothing_else(capfd):
    with quiet_runtime():
        os.write(2, b"ODIE [default]: Loading function 'main'\n")
        os.write(2, b"something that matters\n")
    assert capfd.readouterr().err == "something that matters\n"


def test_what_fails_inside_leaves_the_streams_as_they_were(capfd):
    try:
        with quiet_runtime():
            raise ValueError("no")
    except ValueError:
        os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_a_program_that_ends_with_an_open_model_ends_well(runtime):
    code = (
        "import zoo; model = zoo.load('mistral:mini', build='coreai', check=False);"
        "print(model.generate('Once upon a time', temperature=0, max_tokens=3))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ", there lived"
    assert done.stderr == ""
