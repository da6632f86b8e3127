"""The loops that own sockets: of a broker, and of a device."""

from ...counters import DEVICE_COUNTERS, check_places
from . import relay

# Numbers mean the same on both sides of the core, or it can't be imported.
check_places("core/loop/relay.pxd", vars(relay), DEVICE_COUNTERS, "COUNTER_COUNT")
