"""What a pack's manifest says about any of its networks: which weights, in which form, and whose they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Frozen(BaseModel):
    """Immutable, and an unknown key is an error: a typo in a threshold must not become a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NetworkSpec(Frozen):
    """One network: a weights file of the pack.

    The file's ending says what runs it: ``.onnx`` ONNX Runtime, ``.pt2`` torch. ``torch`` names the same network as a
    torch program, for machines where torch has the GPU. ``batch`` says that the network may be given several pictures
    at once: an ONNX graph after its batch dimension is made free, an exported torch program as it is.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    file: Annotated[str, Field(pattern=r"\.(onnx|pt2)$")]
    torch: Annotated[str, Field(pattern=r"\.pt2$")] | None = None
    licence: str
    batch: bool = False

    @property
    def files(self) -> tuple[str, ...]:
        """The weights that it may be run from."""
        return (self.file,) if self.torch is None else (self.file, self.torch)

    @property
    def format(self) -> Literal["onnx", "pt2"]:
        """What runs the weights: ONNX Runtime, or torch."""
        return "pt2" if self.file.endswith(".pt2") else "onnx"

    @property
    def resizes(self) -> bool:
        """Whether the graph must take other sizes than the one it was exported with."""
        return False

    @property
    def partial(self) -> bool:
        """Whether an answer without a number for some of the pictures is of use."""
        return False

    def suited(self, provider: str, cuda: Callable[[], bool]) -> Self:
        """The network from the file that suits: ``torch``'s on a GPU, where ``cuda()`` says that torch has it."""
        if self.torch is None or provider != "cuda" or not cuda():
            return self
        return self.model_copy(update={"file": self.torch, "torch": None})

    @model_validator(mode="after")
    def _two_forms(self) -> Self:
        if self.torch is not None and self.format == "pt2":
            raise ValueError(f"torch stands beside an .onnx file; {self.file} is a torch program itself")
        return self
