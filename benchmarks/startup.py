"""How long the command line takes to start, beside a bare interpreter and its peers.

Run with `python benchmarks/startup.py`. It installs 20 small plugins in a temporary folder first.
Prints medians in milliseconds and their ratio to the bare interpreter of the same run.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from zoo.testing.plugins import install_plugin

BIN = Path(sys.executable).parent
CATALOG = """schema = 1
[models.{name}]
default = "one"
variants = {{ one = "one.toml" }}
"""


def install_twenty(site: Path) -> None:
    """Twenty distributions, each with a family and a catalog of one model."""
    shipped = Path(__file__).parent.parent / "recipes" / "mistral" / "7b-instruct-v0.3.toml"
    for number in range(20):
        name = f"extra{number}"
        modules = {
            f"zoo_{name}/__init__.py": "",
            f"zoo_{name}/catalog.toml": CATALOG.format(name=name),
            f"zoo_{name}/one.toml": shipped.read_text(),
        }
        groups = {
            "zoo.catalogs": {name: f"zoo_{name}:catalog.toml"},
            "zoo.families": {f"{name}.torch": f"zoo_{name}"},
        }
        install_plugin(site, f"zoo-{name}", modules, groups)


def median_ms(command: list[str], env: dict[str, str], rounds: int) -> float:
    """The median wall time of a command, after one run to warm the disk cache."""
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        subprocess.run(command, env=env, capture_output=True, check=False)
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times[1:])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        install_twenty(site)
        env = {**os.environ, "ZOO_HOME": f"{folder}/home", "PYTHONPATH": str(site)}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        zoo = str(BIN / "zoo")
        bare = median_ms([sys.executable, "-c", "pass"], env, 15)
        rows = [
            ("python -c pass", bare),
            ("zoo --help", median_ms([zoo, "--help"], env, 15)),
            ("zoo list", median_ms([zoo, "list"], env, 15)),
            ("zoo show mistral", median_ms([zoo, "show", "mistral"], env, 15)),
            ("zoo plan mistral", median_ms([zoo, "plan", "mistral"], env, 15)),
            ("hf --help", median_ms([str(BIN / "hf"), "--help"], env, 5)),
            ("mlx_lm --help", median_ms([str(BIN / "mlx_lm"), "--help"], env, 3)),
        ]
    print(f"{'command':20}{'ms':>8}{'over bare':>12}")
    for name, took in rows:
        print(f"{name:20}{took:8.0f}{took - bare:+12.0f}")


if __name__ == "__main__":
    main()
