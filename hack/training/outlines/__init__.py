"""From a box to the object's outline: a small network that says which pixels of a window are the object in its middle.

step        the command; sources: objects with and without masks, read from the sets
windows     box to window to crop and back; masks: run lengths and polygons; augment: what is done to an example
network     encoder of PicoDet-S and a decoder; losses: what a mask is held to; trainer: steps, average, checkpoints
teach       masks for objects that have only a box, by the network itself or by any other program; lessons: their file
measure     how right masks are; choice: threshold and dilation for a recall that is asked for
"""
