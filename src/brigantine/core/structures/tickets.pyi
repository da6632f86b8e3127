from ...pure.structures.tickets import TicketTable as TicketTable
from ...pure.structures.tickets import Verdict as Verdict
