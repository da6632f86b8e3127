from ...pure.servers.desk import Desk as Desk
from ...pure.servers.desk import Task as Task
