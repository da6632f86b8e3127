from ..pure._bench import EnvelopeRounds as EnvelopeRounds
from ..pure._bench import ExpiryRounds as ExpiryRounds
from ..pure._bench import LRURounds as LRURounds
from ..pure._bench import MajordomoRounds as MajordomoRounds
from ..pure._bench import SessionsRounds as SessionsRounds
from ..pure._bench import SwitchboardRounds as SwitchboardRounds
from ..pure._bench import TicketRounds as TicketRounds
