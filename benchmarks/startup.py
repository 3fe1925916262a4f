"""How long the command line takes to start, beside a bare interpreter and its peers.

Run with `python benchmarks/startup.py`. It first installs 20 plugins, each with a family and a
catalog of 100 models, in a temporary folder. Every run of a command has one of a bare interpreter
beside it, because a shared machine is now faster and now slower. Prints the medians of the wall and
the processor time in milliseconds, how much more processor time a command takes than the bare
interpreter, and how many times the interpreter's that is. Exits 1 when a browsing command takes
over 150 ms more than an interpreter of 12 ms: 12.5 times as much.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from zoo.testing.plugins import install_plugin

PLUGINS, MODELS = 20, 100
MOST = 150 / 12
ROUNDS = 11
BIN = Path(sys.executable).parent
BROWSING = (
    ("--help",), ("list",), ("list", "japanese", "transcription"), ("show", "mistral"),
    ("show", "extra7/m42"), ("compare", "mistral", "whisper"), ("card", "mistral"),
    ("plan", "mistral"), ("ls",), ("plugins",),
)  # fmt: skip
PEERS = (("hf", "--help"), ("mlx_lm", "--help"))


def install(site: Path, plugins: int) -> None:
    """Distributions with a family and a catalog of many models each."""
    shipped = Path(__file__).parent.parent / "recipes" / "mistral" / "7b-instruct-v0.3.toml"
    recipe = shipped.read_text(encoding="utf-8")
    check = shipped.with_name("check.txt").read_text(encoding="utf-8")
    for number in range(plugins):
        name = f"extra{number}"
        catalog = "schema = 1\n"
        modules = {f"zoo_{name}/__init__.py": "", f"zoo_{name}/check.txt": check}
        for model in range(MODELS):
            catalog += f'[models.m{model}]\ndefault = "a"\nvariants = {{ a = "m{model}.toml" }}\n'
            modules[f"zoo_{name}/m{model}.toml"] = recipe
        modules[f"zoo_{name}/catalog.toml"] = catalog
        groups = {
            "zoo.catalogs": {name: f"zoo_{name}:catalog.toml"},
            "zoo.families": {f"{name}.torch": f"zoo_{name}"},
        }
        install_plugin(site, f"zoo-{name}", modules, groups)


def run_ms(command: list[str], env: dict[str, str]) -> tuple[float, float]:
    """The wall and the processor time of a command."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, env=env, capture_output=True, check=False)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall * 1000, used * 1000


def paired_ms(command: list[str], env: dict[str, str]) -> tuple[float, float, float, float]:
    """The median wall and processor time of a command, the median processor time of a bare
    interpreter beside it, and the median of how many times the latter the command takes more."""
    bare = [sys.executable, "-c", "pass"]
    run_ms(command, env)
    pairs = [(run_ms(bare, env), run_ms(command, env)) for _ in range(ROUNDS)]
    walls, used = zip(*(command for _, command in pairs), strict=True)
    least = [bare for (_, bare), _ in pairs]
    times = [(more - less) / less for less, more in zip(least, used, strict=True)]
    medians = map(statistics.median, (walls, used, least, times))
    wall, processor, interpreter, ratio = medians
    return wall, processor, interpreter, ratio


def measure(plugins: int) -> float:
    """Print a table for so many plugins; the most times that a bare interpreter's is exceeded."""
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        site.mkdir()
        install(site, plugins)
        env = {**os.environ, "ZOO_HOME": f"{folder}/home", "PYTHONPATH": str(site)}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        print(f"\n{plugins} plugins, {plugins * MODELS:,} models beside the shipped catalog")
        print(f"{'command':32}{'wall ms':>9}{'cpu ms':>9}{'python':>9}{'more':>9}{'times':>8}")
        worst = 0.0
        commands = [("zoo", *line) for line in BROWSING] + [*PEERS] * (plugins == 0)
        for command in commands:
            path = BIN / command[0]
            if path.is_file():
                wall, used, bare, times = paired_ms([str(path), *command[1:]], env)
                line, figures = " ".join(command), f"{wall:9.0f}{used:9.0f}{bare:9.0f}"
                print(f"{line:32}{figures}{used - bare:+9.0f}{times:8.1f}", flush=True)
                worst = max(worst, times) if command[0] == "zoo" else worst
    return worst


def main() -> int:
    slow = max(measure(0), measure(PLUGINS)) > MOST
    if slow:
        print(f"a browsing command takes over {MOST} times as long as a bare interpreter")
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
