"""Videos: what they are, their frames one after the other, and how they are written again.

`probe` reads what a file holds, `segments` cuts it, `reader` decodes any part of it, `work` hides what is to be hidden
in a run of segments, `join` puts the parts together with everything else that the file held.
"""
