"""The counters' places by name, as counters.pxd has them."""
