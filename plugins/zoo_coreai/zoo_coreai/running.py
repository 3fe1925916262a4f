"""Run a saved program by Apple's runtime: the system's on macOS 27, that of the wheel on Linux."""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import threading
import time
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack, ExitStack, closing
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakSet

import zoo

from zoo_coreai.quiet import quiet_runtime

SUFFIX = ".aimodel"

State = dict[str, Any]
"""What a program remembers from call to call: an array of the runtime's for each name."""


class Program:
    """A program, loaded and ready to be called.

    Args:
        path: of the asset, a folder that ends in `.aimodel`.
        function: which of its functions.

    Raises:
        zoo.IntegrityError: the asset is missing or damaged.
    """

    def __init__(self, path: Path, function: str = "main") -> None:
        from coreai.authoring import AIModelAsset

        if not AIModelAsset.is_valid(str(path)):
            raise zoo.IntegrityError(f"{path} is missing, or is no Core AI asset", "build it again")
        _require_whole(path)
        self._stack = AsyncExitStack()
        try:
            with quiet_runtime():
                self._function = _wait(self._opened(path, function))
        except RuntimeError as error:
            raise zoo.IntegrityError(
                f"{path} cannot be loaded by Core AI: {_first_line(error)}", "build it again"
            ) from error
        _open.add(self)

    async def _opened(self, path: Path, function: str) -> Any:
        from coreai.authoring import AIModelAsset

        asset = AIModelAsset.load(path)
        self._model = await self._stack.enter_async_context(asset.executable())
        return self._model.load_function(function)

    def make_state(self) -> State:
        """A state of zeros."""
        import numpy as np
        from coreai.runtime import NDArray

        about = self._function.desc
        found = {}
        for name in about.state_names:
            kind = about.state_descriptor(name)
            found[name] = NDArray(np.zeros(kind.shape, _numpy_type(kind.dtype)))
        return found

    def predict(self, inputs: Mapping[str, Any], state: State | None = None) -> dict[str, Any]:
        """The outputs of a call, as NumPy arrays by name; a state is updated in place.

        Args:
            inputs: an array for each name, converted to the type that the program takes.
            state: of `make_state`.
        """
        import numpy as np
        from coreai.runtime import NDArray

        about, given = self._function.desc, {}
        for name, value in inputs.items():
            wanted = _numpy_type(about.input_descriptor(name).dtype)
            given[name] = NDArray(np.ascontiguousarray(value, wanted))
        found = _wait(self._function(given, state=state))
        return {name: value.numpy() for name, value in found.items()}

    def close(self) -> None:
        """Free the program; a second time does nothing."""
        if self in _open:
            _open.discard(self)
            _wait(self._stack.aclose())
            del self._function, self._model


def _require_whole(path: Path) -> None:
    """Refuse an asset that is not as it was written: the runtime ends the process by one.

    Raises:
        zoo.IntegrityError: the program, or the digest that Apple's tools keep beside it, is not
            there, or they do not agree.
    """
    try:
        with (path / "main.mlirb").open("rb") as program:
            found = hashlib.file_digest(program, "sha256").digest()
        whole = found == (path / "main.hash").read_bytes()
    except FileNotFoundError:
        whole = False
    if not whole:
        raise zoo.IntegrityError(f"{path} is damaged", "build it again")


def opened(path: Path, stack: ExitStack) -> Program:
    """The program at a path, which is closed when the stack is."""
    return stack.enter_context(closing(Program(path)))


def copy_of(state: State) -> State:
    """A state with the same numbers, which goes its own way."""
    from coreai.runtime import NDArray

    return {name: NDArray(value.numpy().copy()) for name, value in state.items()}


def _numpy_type(name: str) -> Any:
    """The NumPy type of an array of the runtime, which may say `float16` or `Float16`."""
    import numpy as np

    return np.dtype(str(name).lower())


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


_open: WeakSet[Program] = WeakSet()

SETTLES = 0.02
"""Seconds in which the runtime's own threads let go of what a call was given."""


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """One event loop in a thread of its own, since the caller may be within another."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="coreai", daemon=True)
    thread.start()

    def end() -> None:
        """Leave no thread behind that wants the interpreter when it is gone.

        Swift's runtime ends the process with an error when such a thread is unwound.
        """
        for program in list(_open):
            program.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        time.sleep(SETTLES)

    atexit.register(end)
    return loop


def _wait(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of what the runtime does."""
    return asyncio.run_coroutine_threadsafe(work, _loop()).result()
