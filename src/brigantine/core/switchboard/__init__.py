"""The state machine of a broker: frames and the time in, frames out."""
