from ..pure.rounds import EnvelopeRounds as EnvelopeRounds
from ..pure.rounds import ExpiryRounds as ExpiryRounds
from ..pure.rounds import LRURounds as LRURounds
from ..pure.rounds import MajordomoRounds as MajordomoRounds
from ..pure.rounds import SwitchboardRounds as SwitchboardRounds
from ..pure.rounds import TicketRounds as TicketRounds
