"""The detector of `velum-street`: a frozen PicoDet-S for persons and vehicles, and a tower of our own for faces and plates."""
