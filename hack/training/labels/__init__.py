"""Labels to train on: what people drew, completed by what teachers see.

step        the command; sources: the sets that shipped weights may learn from, with licence and remarks
hand        what people labelled; teachers: networks that look at what they did not; agreement: one verdict of two of them
fuse        both together; split: what is kept back to choose thresholds on
records     the file that all of it ends in; evaluation: the kept back part in the form of hack/evaluate
"""
