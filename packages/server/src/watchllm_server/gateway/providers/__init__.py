"""The providers of models: what is known of them, which one a request goes to, and asking it."""
