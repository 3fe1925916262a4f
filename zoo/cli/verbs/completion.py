"""`zoo completion`: the script that lets a shell complete names, builds and options."""

from __future__ import annotations

import click

from zoo.cli import output

INSTALL = {
    "bash": "add this line to ~/.bashrc:  source <(zoo completion bash)",
    "zsh": "add this line to ~/.zshrc, after compinit:  source <(zoo completion zsh)",
    "fish": "save it for fish:  zoo completion fish > ~/.config/fish/completions/zoo.fish",
}


@click.command(name="completion")
@click.argument("shell", type=click.Choice(list(INSTALL)))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes names in bash, zsh or fish.

    \b
    bash:  source <(zoo completion bash)      in ~/.bashrc
    zsh:   source <(zoo completion zsh)       in ~/.zshrc, after compinit
    fish:  zoo completion fish > ~/.config/fish/completions/zoo.fish
    """
    from click.shell_completion import get_completion_class

    from zoo.cli import completion

    completion.register()
    made = get_completion_class(shell)
    assert made is not None
    print(made(ctx.find_root().command, {}, "zoo", completion.VARIABLE).source(), end="")
    output.note(INSTALL[shell])
