"""How the core calls the libzmq that pyzmq has loaded."""
