"""The exclusive pair of the guide: two threads of a process that signal each other.

``rendezvous`` is where ends meet, ``ends`` what each of them does, ``pair`` and ``aio`` who waits for it.
"""
