"""The control endpoint, both sides: what `brigantine ls` and `brigantine ctl` speak."""
