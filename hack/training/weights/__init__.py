"""From trained networks to the files of a pack: export, thresholds, the model card."""
