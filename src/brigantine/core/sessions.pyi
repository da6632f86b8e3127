from ..pure.sessions import Sessions as Sessions
