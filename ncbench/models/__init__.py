"""The adapter: every model behind one interface."""
