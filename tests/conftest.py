"""A `zoo` of one's own for every test: an empty home, an empty configuration, no network."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from worlds.hub_world import CONTENT, REPO, Puller, write
from worlds.warm import Client, Warm

from zoo.hub import transfer
from zoo.testing.loopback_hub import LoopbackHub

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers on two cores would thrash with more
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a thousand processes import the same modules

from zoo.testing.plugins import install_plugin

sys.dont_write_bytecode = False
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it

# The same examples everywhere, and no deadline that a busy machine breaks.
hypothesis.settings.register_profile("zoo", derandomize=True, deadline=None)
hypothesis.settings.load_profile("zoo")

ZOO = str(Path(sys.executable).parent / "zoo")
START = "from zoo.cli.start import main\nmain()"
PLUGINS = Path(__file__).parent / "plugins"
ECHO = PLUGINS / "zoo_echo" / "zoo_echo"


def pytest_configure(config: pytest.Config) -> None:
    """Start the server of warm processes, in the process that starts the workers."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        config.stash[WARM] = Warm()


def pytest_unconfigure(config: pytest.Config) -> None:
    if WARM in config.stash:
        config.stash[WARM].close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker where the server is."""
    node.workerinput["warm"] = node.config.stash[WARM].address


WARM = pytest.StashKey[Warm]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the files that `make quick` leaves out, and begin with the slowest.

    A worker takes whole files: a long one that comes last leaves the other worker without work.
    """
    for item in items:
        if _file_of(item).startswith(SLOW):
            item.add_marker("slow")
    items.sort(key=lambda item: SLOWEST.get(_file_of(item), len(SLOWEST)))


def _file_of(item: pytest.Item) -> str:
    try:
        return item.path.relative_to(TESTS).as_posix()
    except ValueError:  # of a plugin that has tests of its own
        return ""


@pytest.fixture(scope="module", autouse=True)
def _imports_frozen() -> None:
    """Exclude everything that exists already from garbage collection.

    coremltools collects garbage after each conversion, which takes a second with PyTorch imported.
    """
    gc.collect()
    gc.freeze()


gc.get_freeze_count = lambda: 1  # the real one walks a million objects each time

TESTS = Path(__file__).parent
SLOW = (
    "families/", "formats/", "decoders/", "packaging/", "faults/", "pipeline/", "registry/",
    "scaffold/", "testing/", "catalogs/test_index", "cli/test_cli_app", "cli/test_cli_json",
    "hub/test_pull", "hub/test_hub_faults", "hub/test_project_lock", "hub/test_tokenizer_source",
    "site/test_in_browser", "site/test_cost_page", "site/test_site", "store/test_archive",
    "store/test_provenance", "tasks/test_tasks", "tasks/test_tokenizer_edges",
)  # fmt: skip
SLOWEST = {
    name: place
    for place, name in enumerate((
        "families/whisper/test_whisper.py", "families/stable_diffusion/test_mini.py",
        "formats/coreml/test_minis.py", "families/mistral/test_mistral.py",
        "packaging/test_wheel.py", "scaffold/test_new.py", "formats/coreml/test_neural_engine.py",
        "formats/coreml/test_cost.py", "families/stable_diffusion/test_styles.py",
        "site/test_in_browser.py", "packaging/test_architecture.py", "registry/test_builds.py",
        "pipeline/test_checking.py", "families/stable_diffusion/test_coreml.py",
        "families/stable_diffusion/test_layouts.py",
        "families/stable_diffusion/test_safety.py", "packaging/test_snippets.py",
        "packaging/test_plugin_tutorial.py", "store/test_provenance.py",
        "families/whisper/test_openai.py", "formats/coreml/test_optimize.py",
        "formats/coreml/test_rewrite.py", "families/whisper/test_whisper_cli.py",
        "families/stable_diffusion/test_mixed.py", "testing/test_own_plugins.py",
        "families/stable_diffusion/test_pipelines.py", "pipeline/test_annotating.py",
        "families/stable_diffusion/test_stable_diffusion.py", "registry/test_broken_plugins.py",
        "registry/test_broken_distributions.py", "testing/test_contract.py", "hub/test_pull.py",
        "tasks/test_tasks.py", "registry/test_plugins.py", "packaging/test_docs.py",
    ))
}  # fmt: skip
HUNG = 1_800
"""Seconds after which a command is taken for hung, on a busy machine too."""


class Sandbox:
    """A home for zoo below a temporary folder, and the ways to run things in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home, self.config, self.site = folder / "home", folder / "config", folder / "site"
        self.server: Client | None = None
        for path in (self.config, self.site):
            path.mkdir(parents=True, exist_ok=True)
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("ZOO_", "HF_"))},
            "ZOO_HOME": str(self.home),
            "ZOO_CONFIG": str(self.config),
            "HF_HOME": str(folder / "hf"),
            "HF_HUB_OFFLINE": "1",
            "PYTHONPATH": str(self.site),
        }

    def zoo(self, *args: str, **options) -> subprocess.CompletedProcess[str]:
        """Run the command line to its end."""
        return self._run([ZOO, *args], (START, list(args)), options)

    def python(self, code: str, **options) -> subprocess.CompletedProcess[str]:
        """Run Python code in a process of its own."""
        return self._run([sys.executable, "-c", code], (code, []), options)

    def start(self, *args: str) -> subprocess.Popen[str]:
        """Start the command line and go on."""
        return subprocess.Popen(
            [ZOO, *args], env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def echo(self, plain: str | None = None, **options) -> None:
        """Install the plugin `zoo-echo`, with other code for its hooks if wanted."""
        shutil.copytree(ECHO, self.site / "zoo_echo", dirs_exist_ok=True)
        groups = {
            "zoo.families": {"echo.plain": options.pop("value", "zoo_echo.plain")},
            "zoo.catalogs": {"echo": "zoo_echo:catalog.toml"},
            "zoo.tasks": {"echo": "zoo_echo.task:TASK"},
        }
        modules = {} if plain is None else {"zoo_echo/plain.py": plain}
        install_plugin(self.site, "zoo-echo", modules, groups, version="0.3", **options)

    def install(self, *sites: Path) -> None:
        """Have what pip installed into these folders."""
        for site in sites:
            shutil.copytree(site, self.site, dirs_exist_ok=True)

    def builds(self, text: str) -> None:
        """Write the user's own builds."""
        (self.config / "builds.toml").write_text(text)

    def artifacts(self) -> list[Path]:
        return sorted((self.home / "artifacts").glob("*"))

    def catalog(self, text: str, **recipes: str) -> None:
        """Write the user's catalog and its recipes."""
        (self.config / "catalog.toml").write_text(text)
        for name, recipe in recipes.items():
            (self.config / f"{name}.toml").write_text(recipe)

    def _run(
        self, command: list[str], program: tuple[str, list[str]], options: dict
    ) -> subprocess.CompletedProcess[str]:
        env = {**self.env, **options.pop("env", {})}
        if self.server is not None:
            return self.server.run(*program, env=env, **options)
        return subprocess.run(
            command, env=env, text=True, capture_output=True, timeout=HUNG, check=False, **options
        )


@pytest.fixture(scope="session")
def npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip installed `zoo-npz`, a format that a stranger wrote."""
    return pip_install(tmp_path_factory.mktemp("npz"), PLUGINS / "zoo_npz")


def pip_install(site: Path, project: Path) -> Path:
    """Install a project into `site`, with what is in this environment to build it."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--no-index", "--target", str(site), str(project)], check=True)
    return site


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path)


@pytest.fixture(scope="session")
def server(pytestconfig: pytest.Config) -> Iterator[Client]:
    """A server of processes that begin with the large libraries imported."""
    if WARM in pytestconfig.stash:
        address = pytestconfig.stash[WARM].address
    else:
        address = pytestconfig.workerinput["warm"]
    with closing(Client(address)) as client:
        yield client


@pytest.fixture
def warm(sandbox: Sandbox, server: Client) -> None:
    """What the sandbox runs begins with the large libraries imported."""
    sandbox.server = server


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, server: Client) -> Sandbox:
    """A sandbox that tests share to build models in once; nobody damages what is in it.

    The workers of a run share it too.
    """
    base = tmp_path_factory.getbasetemp()
    shared = Sandbox((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared")
    shared.server = server
    return shared


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    root = tmp_path / "repositories"
    write(root / REPO / "main", CONTENT)
    with LoopbackHub(root) as running:
        yield running


@pytest.fixture
def puller(hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Puller:
    """The client reads its environment once, at import: what it read is replaced."""
    import huggingface_hub
    from huggingface_hub import constants

    cache = tmp_path / "cache" / "hub"
    files = "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + files)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(tmp_path / "no-tokens"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(transfer, "PAUSES", (0.01, 0.01))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv(
        "SSL_CERT_DIR", str(tmp_path)
    )  # without authorities, which take long to read
    huggingface_hub.close_session()
    return Puller(hub, cache)
