"""The `zoo` command group. A verb's module is imported only when it is run."""

from __future__ import annotations

import gc
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from zoo.errors import Exit

if TYPE_CHECKING:
    from zoo.cli.journal import Journal

SECTIONS = {
    "Browse": {
        "list": "Browse the catalog.",
        "show": "Show a model's license, files, builds and check.",
        "catalog": "Add, list, remove and check catalogs.",
        "compare": "Compare models, or builds of a model, side by side.",
        "card": "Print a model as a Markdown page.",
        "plan": "Show what a build would download, write and need.",
        "browse": "Open the catalog in a web browser.",
        "site": "Write the catalog as a static web site.",
    },
    "Make": {
        "pull": "Download and verify the source of a model.",
        "build": "Download, convert, optimize and check a build.",
        "check": "Compare a build with its source.",
        "run": "Run a model, building it first if needed.",
        "app": "Write the files of a build that an app ships.",
        "cost": "Count the weights, memory traffic and arithmetic of a build.",
        "fit": "Check whether a build fits a device.",
        "lint": "Find known device faults in a Core ML package.",
        "lock": "Pin models in a lock file of the project.",
        "sync": "Pull and build what a project's lock file names.",
    },
    "Disk": {
        "ls": "List the artifacts in the store.",
        "du": "Show the disk usage of the store.",
        "rm": "Remove artifacts.",
        "prune": "Remove artifacts that nothing needs.",
        "verify": "Verify stored files against their hashes.",
        "export": "Export artifacts to a folder or a tar archive.",
        "import": "Import artifacts from a folder or a tar archive.",
    },
    "Trust": {
        "provenance": "Show where an artifact comes from: source, recipe, tools, check.",
        "sign": "Sign artifacts with a key.",
    },
    "Health": {
        "plugins": "List the installed plugins.",
        "new": "Create a plugin project, or the recipe of a checkpoint.",
        "doctor": "Check this machine's setup.",
        "outdated": "Show which sources have changed on the Hub since they were pinned.",
        "completion": "Print the script that completes names in bash, zsh or fish.",
    },
}
MEANT = {
    **dict.fromkeys(("search", "find", "browse", "models", "catalogue"), ("zoo list WORDS",)),
    **dict.fromkeys(("info", "inspect", "describe", "view"), ("zoo show NAME",)),
    **dict.fromkeys(("download", "get", "fetch", "install"), ("zoo pull NAME", "zoo build NAME")),
    **dict.fromkeys(("remove", "delete", "uninstall", "del"), ("zoo rm NAME",)),
    **dict.fromkeys(("ps", "installed", "images", "cache"), ("zoo ls", "zoo du")),
    **dict.fromkeys(("convert", "quantize", "optimize", "compress"), ("zoo build NAME/BUILD",)),
    **dict.fromkeys(("generate", "transcribe", "predict", "chat"), ("zoo run NAME INPUT",)),
    **dict.fromkeys(("test", "evaluate", "eval", "validate"), ("zoo check NAME/BUILD",)),
    **dict.fromkeys(("diff", "vs"), ("zoo compare A B",)),
    **dict.fromkeys(("df", "size", "disk"), ("zoo du",)),
    **dict.fromkeys(("gc", "clean", "purge"), ("zoo prune --dry-run",)),
    **dict.fromkeys(("push", "share", "package"), ("zoo export NAME --to FOLDER",)),
    **dict.fromkeys(("update", "upgrade", "freeze", "pin"), ("zoo outdated", "zoo lock")),
    "help": ("zoo --help", "zoo VERB --help"),
    "version": ("zoo --version",),
    "alias": ("zoo catalog --help",),
    "autocomplete": ("zoo completion SHELL",),
    **dict.fromkeys(("bench", "benchmark"), ("zoo run NAME INPUT -v", "zoo cost NAME")),
    **dict.fromkeys(("swift", "xcode", "bundle"), ("zoo app NAME --to FOLDER",)),
    **dict.fromkeys(("serve", "server", "tune", "finetune", "fine-tune", "train"), ()),
}
"""Verbs that people know from other tools, and what they are here; nothing for some."""

VERBS = {verb: line for verbs in SECTIONS.values() for verb, line in verbs.items()}
BRIEF = frozenset(("list", "show", "compare", "card", "plan", "ls", "plugins"))
"""Verbs that make many objects, drop none and end: there the garbage collector only costs time."""


@dataclass
class Settings:
    """The options of the group that outlive it, and the command line."""

    arguments: tuple[str, ...] = ()
    debug: bool = False
    verbose: bool = False
    journal: Journal | None = None


class PipeClosed(Exception):
    """Whoever read our output has seen enough."""


class Zoo(click.Group):
    """A group that knows its verbs without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"zoo.cli.verbs.{cmd_name}").command
        if cmd_name not in BRIEF:
            gc.enable()
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in VERBS and not args[0].startswith("-"):
            from zoo.words import suggest

            meant = MEANT.get(args[0].lower())
            if meant is None:
                close = suggest(args[0], VERBS)
            else:
                close = (
                    f"; you may want: {', '.join(meant)}"
                    if meant
                    else ", and there is no equivalent"
                )
            raise click.UsageError(f"'{args[0]}' is not a zoo command{close}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, verbs in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl(list(verbs.items()))

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with _noticing_a_closed_pipe():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _noticing_a_closed_pipe():
            return super().invoke(ctx)


@contextmanager
def _noticing_a_closed_pipe() -> Iterator[None]:
    """Tell a reader that left from other failures, before click takes it for one."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise PipeClosed from None
    except ValueError:
        if sys.stdout.closed:
            raise PipeClosed from None
        raise


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        import zoo

        click.echo(f"zoo {zoo.__version__}")
        ctx.exit()


@click.command(
    cls=Zoo,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok, 1 negative answer, 2 usage, 3 not found, 4 gated, 5 integrity, "
    "6 no room, 7 offline, 8 plugin, 130 interrupted.",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version,
    help="Print the version.",
)  # fmt: skip
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option(
    "--log", type=click.Path(dir_okay=False, path_type=Path), envvar="ZOO_LOG", metavar="FILE",
    help="Append what happens to this file, with the time; ZOO_LOG names it too.",
)  # fmt: skip
@click.pass_context
def zoo_command(ctx: click.Context, debug: bool, log: Path | None) -> None:
    """The model zoo for Apple platforms: one name becomes a running model."""
    ctx.obj.debug = debug
    if log is not None:
        from zoo.cli.journal import Journal

        ctx.obj.journal = Journal(log)
        ctx.obj.journal.begin(ctx.obj.arguments)
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(arguments: list[str]) -> int:
    """Run one command line; its exit code."""
    from zoo.cli import failures

    if "_ZOO_COMPLETE" in os.environ:
        from zoo.cli import completion

        return completion.answer(zoo_command)
    settings = Settings(tuple(arguments))
    code: int = Exit.OK
    try:
        found = zoo_command.main(
            _debug_first(arguments), "zoo", standalone_mode=False, obj=settings
        )
        code = found if isinstance(found, int) else Exit.OK
    except PipeClosed:
        failures.close_stdout()
    except BaseException as caught:  # a plugin's SystemExit and a library's panic too
        error = failures.raised(caught)
        if settings.debug:
            failures.trace(error)
        if settings.journal is not None:
            settings.journal.error(error)
        code = failures.tell(error)
    if settings.journal is not None:
        settings.journal.end(code)
    return code


def _debug_first(arguments: list[str]) -> list[str]:
    """`--debug` is an option of the group, and may be given anywhere before `--`."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    rest = [argument for argument in arguments[:end] if argument != "--debug"]
    debug = ["--debug"] if len(rest) < end else []
    return [*debug, *rest, *arguments[end:]]


def main() -> None:
    """Run the command line of this process, and end it."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    warnings.showwarning = _warn
    code = int(run(sys.argv[1:]))
    code = code if _flushed() else code or Exit.NO_ROOM
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done: an interrupt has nothing to stop
    gc.freeze()  # what is left goes with the process: nothing need look for cycles in it
    sys.exit(code)


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning of some package, on stderr like all that we say."""
    from zoo.cli.output import warn

    warn(warnings.formatwarning(message, category, filename, lineno, line).rstrip())


def _flushed() -> bool:
    """Write what is left of our output; whether it could be written."""
    from zoo.cli import failures

    try:
        if not sys.stdout.closed:
            sys.stdout.flush()
    except OSError:
        failures.close_stdout()
        return False
    return True


if __name__ == "__main__":
    main()
