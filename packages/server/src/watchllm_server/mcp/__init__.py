"""The server of the Model Context Protocol: what assistants may ask of a project's events."""
