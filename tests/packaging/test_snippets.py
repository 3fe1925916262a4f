"""What README and docs show passes type checkers, as a user's own project runs them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
GENERATED = ("api.md", "reference.md")
TYPES = """
import zoo
from zoo.tasks import CallOptions

reveal_type(zoo.load("mistral"))
reveal_type(zoo.load("whisper:mini", format="mlx"))
reveal_type(zoo.load("./folder", task=zoo.ImageModel))
reveal_type(zoo.load("mistral").generate("x", max_tokens=3, stop="."))
reveal_type(zoo.load("whisper").transcribe("a.wav", words=True).segments[0].text)
reveal_type(CallOptions().names())
"""
REVEALED = ("TextModel", "SpeechModel", "ImageModel", "str", "str", "tuple")
WRONG = """
import zoo

zoo.load("mistral").generate("x", temperature="hot")
zoo.load("mistral").generate("x", max_new_tokens=3)
zoo.load("whisper:mini").generate("x")
zoo.load("./x", task=zoo.Recipe)
"""


HEAVY = (
    "torch transformers mlx mlx_lm coremltools numpy diffusers av huggingface_hub safetensors rich"
)
SETTINGS = f"""
[mypy]
strict = true
[mypy-{",".join(f"{name}.*" for name in HEAVY.split())}]
follow_imports = skip
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project outside the repository, with a file for each snippet."""
    folder = tmp_path_factory.mktemp("project")
    for page in PAGES:
        snippets = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.S | re.M)
        for number, snippet in enumerate(snippets if page.name not in GENERATED else ()):
            name = f"{page.stem.lower().replace('-', '_')}_{number}.py"
            (folder / name).write_text(snippet)
    assert len(list(folder.glob("*.py"))) >= 7
    (folder / "told.py").write_text(TYPES)
    (folder / "wrong.py").write_text(WRONG)
    (folder / "mypy.ini").write_text(SETTINGS)
    (folder / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    return folder


@pytest.mark.parametrize(
    ("tool", "told", "error"),
    [
        (("mypy", "."), r'Revealed type is "(?:.*\.)?(\w+)(?:\[.*)?"', r"(\w+)\.py:(\d+): error"),
        (
            ("pyright", "--pythonpath", sys.executable),
            r'Type of .* is "(\w+)',
            r"(\w+)\.py:(\d+):\d+ - error",
        ),
    ],
)
def test_snippets_pass_and_wrong_calls_do_not(
    project: Path, tool: tuple[str, ...], told: str, error: str
) -> None:
    pytest.importorskip(tool[0])
    done = subprocess.run(
        [sys.executable, "-m", *tool], cwd=project, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert tuple(re.findall(told, done.stdout)) == REVEALED, done.stdout
    found = re.findall(error, done.stdout)
    assert {name for name, _ in found} == {"wrong"}, done.stdout
    assert {int(line) for _, line in found} == {4, 5, 6, 7}, done.stdout
