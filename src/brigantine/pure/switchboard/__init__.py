"""The state machine of a broker, as in brigantine.core.switchboard."""
