"""How `velum-street` is made: from a folder of labelled pictures to the files that are shipped, one command per step.

command     the command line of `hack/train`, flags its numbers; errors: what the user can mend
loop        what both trainings share of theirs; checkpoints: their files
labels      which pictures, and what is in them
detector    the network for four classes and how it learns
outlines    the head from box to mask and how it learns
weights     from what was learnt to the pack: export, thresholds, model card
"""
