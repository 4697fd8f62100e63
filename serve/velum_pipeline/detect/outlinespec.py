"""What a pack's manifest says about a network that draws the outline of an object whose box is known."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from velum_pipeline.detect.networkspec import NetworkSpec
from velum_pipeline.options import ObjectClass


class OutlineSpec(NetworkSpec):
    """A box's pixels in, a mask out; it sees one object at a time and need not know what it is.

    classes: whose boxes it is given. side: pixels of its square input, ``side`` x ``side``, RGB 0..255. margin: by how
    much the box is grown on every side before it is cut out, as a fraction of its sides. threshold: the probability
    from which a cell counts as the object. grow: how far the mask is widened, as a fraction of the square root of the
    box's area; so far outlines fall short of the object.
    """

    classes: Annotated[frozenset[ObjectClass], Field(min_length=1)]
    side: Annotated[int, Field(ge=16, le=1024)]
    margin: Annotated[float, Field(ge=0, le=1)] = 0.15
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    grow: Annotated[float, Field(ge=0, le=0.25)] = 0.0

    @property
    def partial(self) -> bool:
        """True: an object without an outline is hidden by its box."""
        return True

    @field_validator("classes")
    @classmethod
    def _outlined(cls, classes: frozenset[ObjectClass]) -> frozenset[ObjectClass]:
        if shaped := sorted(name for name in classes if name.relative_kernel):
            raise ValueError(f"{', '.join(shaped)}: faces and plates have shapes of their own, not outlines")
        return classes
