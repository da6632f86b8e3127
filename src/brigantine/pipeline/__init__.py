"""The pipeline of the guide with an account of every task: ventilator, workers, sink.

``wire`` is what is said, ``allotment`` and ``ledger`` are the two sides' state machines without socket or
clock, ``caller`` and ``hub`` the connecting and the bound end of a connection; the rest drives them.
"""
