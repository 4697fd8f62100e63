"""The contract's query parameters: one table, and how a request's texts become a task's spec."""

from velum_ingress.parameters.query import collect
from velum_ingress.parameters.submission import Defaults, Submission, parse
from velum_ingress.parameters.table import ROWS, Parameter

__all__ = ["ROWS", "Defaults", "Parameter", "Submission", "collect", "parse"]
