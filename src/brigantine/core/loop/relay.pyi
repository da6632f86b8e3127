from ...pure.loop.relay import Relay as Relay
