"""The life of a task: the store port, work orders, and the pure decisions over both."""
