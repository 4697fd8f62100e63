"""Labels to train on: what people drew, completed by what teachers see.

step        the command; sources: the sets that shipped weights may learn from, with licence and remarks
hand        what people labelled; teachers: networks that look at what people left out
fuse        one verdict of both; split: what is kept back to choose thresholds on
records     the file that all of it ends in; kept_back: its validation part in the form of hack/evaluate
"""
