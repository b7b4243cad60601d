"""A real single-node Kubernetes cluster in a network namespace of its own, for the tests."""
