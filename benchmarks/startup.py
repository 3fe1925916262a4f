"""How long the command line takes to start, beside a bare interpreter and its peers.

Run with `python benchmarks/startup.py`. It first installs 20 plugins, each with a family and a
catalog of 100 models, in a temporary folder. Prints the medians of the wall and the processor time
in milliseconds, how much more processor time each takes than the bare interpreter of the same run,
and how many times the bare interpreter's that is: a busy machine distorts this ratio least. Exits 1
when a browsing command takes over 150 ms more than an interpreter of 12 ms: 12.5 times as much.
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


def median_ms(command: list[str], env: dict[str, str], rounds: int) -> tuple[float, float]:
    """The median wall and processor time of a command, after one run to warm the caches."""
    walls, processor = [], []
    for _ in range(rounds + 1):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, env=env, capture_output=True, check=False)
        walls.append((time.perf_counter() - start) * 1000)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        processor.append(used * 1000)
    return statistics.median(walls[1:]), statistics.median(processor[1:])


def measure(plugins: int) -> float:
    """Print a table for so many plugins; by how much the slowest browsing command exceeds
    a bare interpreter, in times of the latter."""
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        site.mkdir()
        install(site, plugins)
        env = {**os.environ, "ZOO_HOME": f"{folder}/home", "PYTHONPATH": str(site)}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        print(f"\n{plugins} plugins, {plugins * MODELS:,} models beside the shipped catalog")
        print(f"{'command':32}{'wall ms':>9}{'cpu ms':>9}{'more':>9}{'times':>8}")
        bare = median_ms([sys.executable, "-c", "pass"], env, ROUNDS)
        print(f"{'python -c pass':32}{bare[0]:9.0f}{bare[1]:9.0f}")
        worst = 0.0
        commands = [("zoo", *line) for line in BROWSING] + [*PEERS] * (plugins == 0)
        for command in commands:
            path = BIN / command[0]
            if path.is_file():
                wall, used = median_ms([str(path), *command[1:]], env, ROUNDS)
                line = " ".join(command)
                more = used - bare[1]
                times = more / bare[1]
                print(f"{line:32}{wall:9.0f}{used:9.0f}{more:+9.0f}{times:8.1f}", flush=True)
                worst = max(worst, times) if command[0] == "zoo" else worst
    return worst


def main() -> int:
    slow = max(measure(0), measure(PLUGINS)) > MOST
    if slow:
        print(f"a browsing command takes over {MOST} times as long as a bare interpreter")
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
