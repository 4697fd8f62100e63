"""One attempt at a video: planned once, worked on by all replicas a run of segments at a time, joined at the end.

What is done is kept in the task's work folder in the output store (`parts`), so that whoever dies costs no more than
the segments that were in hand: the next attempt finds the plan (`plan`) and does what is missing (`coordinator`).
"""
