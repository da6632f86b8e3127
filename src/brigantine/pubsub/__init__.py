"""Publish-subscribe: numbers that tell what was missed, heartbeats, spare publishers, last values."""
