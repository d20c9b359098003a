"""How long events are kept, how they are erased on request, and how they are backed up."""
