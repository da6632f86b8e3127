"""The pipeline of the guide with an account of every task: ventilator, workers, sink.

| room | what it knows |
|---|---|
| ``wire``, ``numbers`` | what is said, byte by byte; sets of task numbers |
| ``report`` | what came of a batch |
| ``allotment`` | the ventilator's state machine: who may have how many tasks, who holds which |
| ``received``, ``ledger`` | the sink's: what has come of each batch, what is acknowledged |
| ``caller`` | the connecting end of a connection, ``peers`` and ``hub`` the bound one |
| ``thread`` | a thread that binds sockets, and the handle to it |
| ``sink_line``, ``ventilator_io`` | the ventilator's thread |
| ``sink_io`` | the sink's |
| ``results``, ``link`` | the worker's |
| ``faces``, ``sending``, ``receiving`` | arguments and errors, for threads and for asyncio |
| ``ventilator``, ``sink``, ``worker`` and their ``_aio`` | what a program imports |

The state machines have no socket and no clock.
"""
