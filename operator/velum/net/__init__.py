"""Calls to addresses that clients name: webhooks and URL sources, guarded against request forgery."""

from velum.net.guard import check_url, guarded_session

__all__ = ["check_url", "guarded_session"]
