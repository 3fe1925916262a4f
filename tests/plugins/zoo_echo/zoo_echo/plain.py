"""The family `echo` in a format of its own, `plain`."""

import zoo


class Echo(zoo.Model):
    def __init__(self, voice: str) -> None:
        super().__init__()
        self.voice = voice

    def __call__(self, text: str) -> str:
        return self.voice.format(text)


@zoo.hookimpl
def convert(source, workdir):
    (workdir / "voice.txt").write_text((source / "voice.txt").read_text().strip())
    return workdir


@zoo.hookimpl
def optimize(build, converted, workdir):
    voice = (converted / "voice.txt").read_text()
    for step in build.optimize:
        if step.kind != "loud":
            raise zoo.RecipeError(f"echo knows the pass 'loud', not '{step.kind}'")
        voice += "!" * step.options["times"]
    (workdir / "voice.txt").write_text(voice)
    return workdir


@zoo.hookimpl
def run(artifact):
    return Echo((artifact / "voice.txt").read_text())
