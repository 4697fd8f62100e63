"""Blobs: uploads and results, in folders or object stores."""
