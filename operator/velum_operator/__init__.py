"""The operator: it sees tasks, hands them to Ray Serve, and writes down what became of them."""
