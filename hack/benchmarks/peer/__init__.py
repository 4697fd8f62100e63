"""Velum beside another anonymizer, on the same labelled files in the same run."""

from peer.compare import compare
from peer.sides import PeerFailed

__all__ = ["PeerFailed", "compare"]
