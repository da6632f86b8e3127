from ..pure.switchboard import Switchboard as Switchboard
