from ...pure.sessions.sessions import Sessions as Sessions
