"""What `hack/evaluate` measures: how much of what people labelled a detector finds, and what an attacker recovers.

command     the command line of the recall tables; flags: its options. privacy is the attack on the redaction
sets        labelled pictures on disk; annotations: the form of their labels
subjects    packs as detectors; peers: any command as one
matching    which detection is which object's
coverage    which labelled pixels would be anonymized
measure     one subject on one set
report      the JSON rows and the table; sheet: a picture of what was missed
"""
