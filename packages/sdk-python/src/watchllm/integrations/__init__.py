"""Web frameworks, queues and hosts: each in a module of its own, imported only when asked for."""
