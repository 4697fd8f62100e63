"""Rules that a JSON schema cannot say, each written once in CEL and once in Python, side by side.

The API server evaluates the expression (`x-kubernetes-validations`, put into the CRD by `velum.api.crd`); pydantic
runs the Python check, so that a task in SQLite gets the same answer with the same words. A cluster test and a unit
test hold the two together: both run every case of `tests/support/constraints.py`.
"""

from dataclasses import dataclass

from pydantic.config import JsonDict

KEYWORD = "x-kubernetes-validations"


@dataclass(frozen=True)
class Rule:
    """A CEL expression over `self` that must hold, and the words for when it does not."""

    expression: str
    message: str

    def require(self, holds: bool) -> None:
        """Raise ValueError (which pydantic turns into its own error with the field's path) unless it holds."""
        if not holds:
            raise ValueError(self.message)


def schema(*rules: Rule) -> JsonDict:
    """Return the schema keywords that carry these rules, for `json_schema_extra`."""
    return {KEYWORD: [{"rule": rule.expression, "message": rule.message} for rule in rules]}
