"""The programs of the ZeroMQ guide, each with its name there: ``python -m brigantine.examples`` lists them.

Each starts what it needs and shows what it does.  With an endpoint on its command line it plays its part
against programs elsewhere, of any language; ``--help`` tells which.  Each ends by itself.
"""
