"""Converting Stable Diffusion 1.5's U-Net to Core ML, beside plain coremltools in the same run.

    python benchmarks/unet_conversion.py [--widths 320 640 1280 1280]

The U-Net has random weights, 860 M of them at the default widths, stored in float16. Each way is a
process of its own and ends with a package on the disk; CPU seconds count where other work runs
beside it. The usual way traces diffusers' module at one size and converts it; zoo's package takes
every size, and one prompt or two.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WAYS = ("coremltools", "zoo")
TOKENS, TOLD, SIDE = 77, 768, 64


def make_source(folder: Path, widths: list[int]) -> None:
    """Write a pipeline's folder whose U-Net is like that of `runwayml/stable-diffusion-v1-5`."""
    import torch
    from diffusers import UNet2DConditionModel

    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from worlds.diffusion_checkpoint import make

    torch.set_default_dtype(torch.float16)
    unet = UNet2DConditionModel(
        sample_size=SIDE,
        block_out_channels=tuple(widths),
        layers_per_block=2,
        attention_head_dim=8,
        cross_attention_dim=TOLD,
    )
    torch.set_default_dtype(torch.float32)
    folder.mkdir()
    make(folder)
    unet.save_pretrained(folder / "whole" / "unet")


def plain_way(source: Path, package: Path) -> None:
    import coremltools as ct
    import numpy as np
    import torch
    from coremltools.converters.mil.frontend.torch import ops
    from diffusers import UNet2DConditionModel

    original = ops._cast

    def to_constant(context: Any, node: Any, dtype: Any, name: str) -> None:
        """Casts of arrays with one entry, which NumPy 2.4 refuses to take for numbers."""
        (x,) = ops._get_inputs(context, node, expected=1)
        if x.can_be_folded_to_const():
            value = dtype(np.asarray(x.val).item())
            context.add(ops.mb.const(val=value, name=node.name), node.name)
        else:
            original(context, node, dtype, name)

    ops._cast = to_constant

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unet = UNet2DConditionModel.from_pretrained(
                source / "unet", torch_dtype=torch.float32
            ).eval()

        def forward(self, sample: Any, timestep: Any, hidden: Any) -> Any:
            return self.unet(sample, timestep, hidden, return_dict=False)[0]

    example = torch.zeros(2, 4, SIDE, SIDE), torch.zeros(2), torch.zeros(2, TOKENS, TOLD)
    with torch.inference_mode():
        traced = torch.jit.trace(Plain(), example, check_trace=False)
    names = ("sample", "timestep", "encoder_hidden_states")
    model = ct.convert(
        traced,
        inputs=[
            ct.TensorType(name, shape=tuple(one.shape))
            for name, one in zip(names, example, strict=True)
        ],
        outputs=[ct.TensorType("noise_pred")],
        minimum_deployment_target=ct.target.iOS18,
        skip_model_load=True,
    )
    model.save(str(package))


def zoo_way(source: Path, folder: Path) -> None:
    """The hook that makes builds, without the other components."""
    import zoo
    from zoo.progress import Progress
    from zoo_stable_diffusion.coreml import plugin
    from zoo_stable_diffusion.coreml.components import Conversion

    for other in ("decoder", "encoder", "text"):
        setattr(Conversion, f"write_{other}", lambda *_: None)
    build = zoo.Build("coreml", ())
    recipe = zoo.Recipe(
        schema=1,
        family="stable-diffusion",
        title="U-Net",
        summary="of random weights",
        task="text-to-image",
        license="MIT",
        parameters=1,
        source=zoo.Source(folder=source.name),
        build={"coreml": build},
        ref="unet",
        home=source.parent,
    )
    folder.mkdir()
    plugin.convert(recipe, build, source, {}, folder, Progress("convert"))


def measured(way: str, source: Path, place: Path) -> dict[str, float]:
    """Seconds, CPU seconds and MiB of a process of its own."""
    line = [sys.executable, __file__, "--way", way, str(source), str(place)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Convert by each way in a process of its own."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--widths", type=int, nargs=4, default=[320, 640, 1280, 1280])
    parser.add_argument("--way", nargs=3, metavar=("WAY", "SOURCE", "PLACE"))
    parser.add_argument("--make", type=Path, help="only write the source here")
    options = parser.parse_args()
    if options.make:
        make_source(options.make, options.widths)
        return
    if options.way:
        way, source, place = options.way[0], *map(Path, options.way[1:])
        begin = time.perf_counter()
        if way == "zoo":
            zoo_way(source, place)
        else:
            plain_way(source, place)
        seconds, used = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF)
        busy = used.ru_utime + used.ru_stime
        print(json.dumps({"seconds": seconds, "busy": busy, "mib": used.ru_maxrss / 1024}))
        return
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        line = [sys.executable, __file__, "--make", str(place / "source"), "--widths"]
        subprocess.run([*line, *map(str, options.widths)], check=True)  # its memory goes with it
        source = place / "source" / "whole"
        plain = measured("coremltools", source, place / "plain.mlpackage")
        ours = measured("zoo", source, place / "build")
        weights = source / "unet" / "diffusion_pytorch_model.safetensors"
        count = weights.stat().st_size / 2e6
        packages = place / "plain.mlpackage", place / "build" / "unet.mlpackage"
        sizes = [sum(p.stat().st_size for p in one.rglob("*") if p.is_file()) for one in packages]
    print(f"{count:.0f} M weights{'':10}{'coremltools':>12}{'zoo':>9}{'ratio':>8}")
    for what, key in (("seconds", "seconds"), ("CPU seconds", "busy"), ("peak MiB", "mib")):
        print(f"{what:21}{plain[key]:12.1f}{ours[key]:9.1f}{ours[key] / plain[key]:8.2f}")
    print(f"{'package MB':21}{sizes[0] / 1e6:12.1f}{sizes[1] / 1e6:9.1f}{sizes[1] / sizes[0]:8.2f}")


if __name__ == "__main__":
    main()
