from ...pure.servers.loop import ServerLoop as ServerLoop
