"""What videos cost and what they show, beside the floor and beside a peer: the parts of `hack/bench video`."""
