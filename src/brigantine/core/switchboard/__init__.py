"""The state machine of a broker: frames and the time in, frames out."""

from ...counters import COUNTERS, check_places
from ...events import KINDS as EVENTS
from ...notices.kinds import KINDS as NOTICES
from . import counters, events, notices

# Numbers mean the same on both sides of the core, or it can't be imported.
check_places("core/switchboard/counters.pxd", vars(counters), COUNTERS, "COUNTER_COUNT")
check_places("core/switchboard/events.pxd", vars(events), EVENTS, "EVENT_COUNT", "EVENT_")
check_places("core/switchboard/notices.pxd", vars(notices), NOTICES, "NOTICE_COUNT", "NOTICE_")
