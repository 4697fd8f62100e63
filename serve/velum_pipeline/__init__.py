"""Pure computer vision.

A file's bytes in, an anonymized file with masks and metadata out. Imports nothing else of ours.
"""
