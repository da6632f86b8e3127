"""The main job on real input: ``brigantine demo`` sends a folder's files through a broker.

``runner`` leads; ``corpus`` finds and cuts the files, ``processes`` holds the broker and the
workers, ``load`` the clients, ``work`` the workers' function, ``cpu`` and ``figures`` the
measuring, ``screen`` what is drawn.  Worker processes import this package, too: it stays empty.
"""
