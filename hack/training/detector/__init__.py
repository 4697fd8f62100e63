"""The detector of `velum-street`: a frozen PicoDet-S for persons and vehicles, a tower for faces and plates."""
