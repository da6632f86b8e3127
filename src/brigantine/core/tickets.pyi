from ..pure.tickets import TicketTable as TicketTable
from ..pure.tickets import Verdict as Verdict
