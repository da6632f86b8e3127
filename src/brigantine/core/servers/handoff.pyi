from ...pure.servers.handoff import Handoff as Handoff
from ...pure.servers.handoff import Task as Task
