from ...pure.switchboard.switchboard import Switchboard as Switchboard
