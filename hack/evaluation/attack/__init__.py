"""Attacks on the redaction, by one who holds the originals: who is behind this blur?

faces          the gallery: labelled faces on one sheet, all of one size
redactions     what is attacked: Velum with any options, and deface as it comes; film: the covers of a video
simple         attackers that need no more than two pictures: correlation, cell means
likelihood     the attacker who runs the redaction on every original; copies: who has several copies of one face
embedding      a small network trained on pairs of others' faces
ranks          rank-1 and its interval
"""
