"""The options of `zoo run`, which are those of the named model's task.

The call options of a task become flags of the same names, beside the flags that it brings itself. A
command line is read twice: first loosely, to find the model, then with the options of its task.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal

import click

from zoo.errors import UsageError

if TYPE_CHECKING:
    from zoo.catalogs.recipe import Recipe
    from zoo.tasks.task import Task

NAMED = "zoo.task"
TYPES = {int: click.INT, float: click.FLOAT, str: click.STRING}


class TaskCommand(click.Command):
    """A command on a model NAME that has the options of its task."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        name, family = self._model(args)
        if name is not None:
            from zoo import api
            from zoo.tasks.registry import task_of

            recipe = api.show(name, family=family)
            ctx.meta[NAMED] = recipe, task_of(recipe.task)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if NAMED in ctx.meta:
                raise _explained(error, *ctx.meta[NAMED]) from error
            raise

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own = super().get_params(ctx)
        if NAMED in ctx.meta:
            return [*own, *options_of(ctx.meta[NAMED][1])]
        return own

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own = [p for p in click.Command.get_params(self, ctx) if isinstance(p, click.Option)]
        _write(ctx, formatter, "Options", own)
        from zoo.tasks.registry import tasks

        if NAMED in ctx.meta:
            known = [(ctx.meta[NAMED][0].task, ctx.meta[NAMED][1])]
        else:
            known = list(tasks())
        for name, task in known:
            _write(
                ctx, formatter, f"{task.title or name} (INPUT is {task.input})", options_of(task)
            )

    def _model(self, args: list[str]) -> tuple[str | None, str | None]:
        """The NAME and --family on a command line, however wrong the rest of it is."""
        from zoo.tasks.registry import tasks

        every = {o.opts[-1]: o for _, task in tasks() for o in options_of(task)}
        loose = click.Command(
            "run",
            params=[*every.values(), *self.params],
            context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
        )
        with loose.make_context("run", list(args), resilient_parsing=True) as found:
            return found.params.get("name"), found.params.get("family")


def named_task(ctx: click.Context) -> tuple[Recipe, Task]:
    """The recipe that NAME means, and its task."""
    found: tuple[Recipe, Task] = ctx.meta[NAMED]
    return found


def options_of(task: Task) -> list[click.Option]:
    """The options that a task has on the command line: its call's, then its own."""
    from zoo import schema

    options = task.options()
    hints = schema.hints_of(options)
    derived = [_option(spec.name, hints[spec.name], spec) for spec in fields(options)]
    return [*derived, *task.flags()]


def _option(name: str, hint: Any, spec: Any) -> click.Option:
    flag = f"--{name.replace('_', '-')}"
    doc = str(spec.metadata.get("doc", ""))
    settings: dict[str, Any] = {"help": f"{doc[:1].upper()}{doc[1:]}." if doc else None}
    kinds = [kind for kind in (typing.get_args(hint) or (hint,)) if kind is not type(None)]
    if bool in kinds:
        return click.Option([f"{flag}/--no-{flag[2:]}", name], default=None, **settings)
    if typing.get_origin(hint) is Literal:
        return click.Option([flag, name], type=click.Choice(kinds), **settings)
    multiple = typing.get_origin(hint) is tuple
    if multiple:
        settings["help"] = f"{settings['help'] or ''} May be given several times.".strip()
    return click.Option(
        [flag, name], type=TYPES.get(kinds[0], click.STRING), multiple=multiple, **settings
    )


def _write(ctx: click.Context, formatter: click.HelpFormatter, title: str, params: Any) -> None:
    rows = [record for param in params if (record := param.get_help_record(ctx)) is not None]
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows)


def _explained(error: click.NoSuchOption, recipe: Recipe, task: Task) -> Exception:
    """The error that says which task an option is of, or what it is called here."""
    option = error.option_name
    if meant := task.options().peers.get(option.lstrip("-").replace("-", "_")):
        here = meant.replace("_", "-")
        message = f"No such option '{option}'. Did you mean '--{here}'?"
        return click.NoSuchOption(option, message, ctx=error.ctx)
    if others := list(_tasks_with(option, recipe.task)):
        return UsageError(
            f"{option} is an option of {' and '.join(others)}, and '{recipe.ref}' is a model for "
            f"{task.title.lower()}",
            f"zoo run {recipe.ref} --help lists its options",
        )
    return error


def _tasks_with(option: str, without: str) -> Iterator[str]:
    from zoo.tasks.registry import tasks

    for name, task in tasks():
        if name != without:
            for known in options_of(task):
                if option in (*known.opts, *known.secondary_opts):
                    yield task.title.lower() or name
                    break
